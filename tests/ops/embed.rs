use foveal::selfcheck::embed;

use super::formats;
use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin_in_one_and_many_shards() {
    for (rows, cols, shard_rows) in [(5, 32, 100), (37, 96, 10), (300, 1024, 128)] {
        for format in formats(cols) {
            check_on_each_gpu(|gpu| embed::check(gpu, (rows, cols, shard_rows), format));
        }
    }
}
