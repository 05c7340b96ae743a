use foveal::ops::{CacheFormat, HeadShape};
use foveal::reference;
use foveal::selfcheck::tile_cache;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin() {
    for (kv_heads, head_dim, side) in [(1, 32, 8), (2, 64, 16), (3, 96, 16), (2, 128, 8), (2, 128, 16)] {
        let heads = HeadShape { heads: 4 * kv_heads, kv_heads, head_dim };
        for cache in CacheFormat::ALL {
            for tokens in [1, 15, 16, 64, 65, 200] {
                check_on_each_gpu(|gpu| tile_cache::check(gpu, heads, cache, (tokens, side)));
            }
        }
    }
}

#[test]
fn twin_by_hand() {
    // Two heads of four values, three slots of which two are used, in matrices of two by two.
    let heads = HeadShape { heads: 2, kv_heads: 2, head_dim: 4 };
    let rows: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let keys = reference::tile_cache(&rows, &heads, (2, 4), 2, true);
    assert_eq!(keys[..8], [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    assert_eq!(keys[8..16], [0.0; 8]);
    assert_eq!(keys[16..24], [12.0, 13.0, 16.0, 17.0, 14.0, 15.0, 18.0, 19.0]);
    let values = reference::tile_cache(&rows, &heads, (2, 4), 2, false);
    assert_eq!(values[..8], [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
    assert_eq!(values[24..], [0.0; 8]);
}
