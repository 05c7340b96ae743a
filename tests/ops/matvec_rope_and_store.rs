use foveal::ops::{HeadShape, RowLayout};
use foveal::selfcheck::matvec_rope_and_store;

use super::formats;
use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin_and_leaves_the_rest_of_the_cache_alone() {
    for (heads, kv_heads, head_dim, cols, position) in
        [(1, 1, 32, 32, 0), (8, 2, 64, 512, 3), (6, 3, 96, 96, 64), (32, 2, 128, 128, 70), (4, 4, 128, 4096, 1)]
    {
        let shape = HeadShape { heads, kv_heads, head_dim };
        for format in formats(cols).into_iter().filter(|format| RowLayout::of(*format).is_some()) {
            check_on_each_gpu(|gpu| matvec_rope_and_store::check(gpu, shape, (cols, format), position));
        }
    }
}
