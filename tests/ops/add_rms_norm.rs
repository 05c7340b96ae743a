use foveal::selfcheck::add_rms_norm;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin() {
    for (tokens, width, first_row) in [(1, 6, 0), (3, 64, 2), (7, 514, 0), (5, 4096, 1)] {
        check_on_each_gpu(|gpu| add_rms_norm::check(gpu, (tokens, width), first_row));
    }
}
