use foveal::ops::{CacheFormat, HeadShape};
use foveal::reference;
use foveal::selfcheck::rope_and_store;

use crate::harness::{check_on_each_gpu, close};

#[test]
fn matches_twin_and_leaves_the_rest_of_the_cache_alone() {
    for (heads, kv_heads, head_dim, start, tokens) in
        [(1, 1, 32, 0, 1), (8, 2, 64, 3, 5), (6, 3, 96, 60, 4), (32, 2, 128, 7, 9), (32, 32, 128, 1, 2)]
    {
        let shape = HeadShape { heads, kv_heads, head_dim };
        for cache in CacheFormat::ALL {
            check_on_each_gpu(|gpu| rope_and_store::check(gpu, shape, cache, (start, tokens)));
        }
    }
}

#[test]
fn twin_by_hand() {
    // A quarter turn of the only pair-of-pairs: (a, b) becomes (-b, a); values stay.
    let shape = HeadShape { heads: 1, kv_heads: 1, head_dim: 4 };
    let qkv = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
    let out = reference::rope_and_store(&qkv, &[0.0, 1.0, 1.0, 0.0], shape);
    close("queries", &out.queries, &[-3.0, 2.0, 1.0, 4.0], 0.0, 0.0);
    close("keys", &out.keys, &[-7.0, 6.0, 5.0, 8.0], 0.0, 0.0);
    close("values", &out.values, &[9.0, 10.0, 11.0, 12.0], 0.0, 0.0);
}

#[test]
fn eight_bit_twin_by_hand() {
    // The largest becomes 127; 1.5 steps round to 2 and 2.5 steps too, the even one; what is zero stays zero.
    let (integers, scale) = reference::quantise(&[-254.0, 3.0, 5.0, -3.0, 0.0, 1.9]);
    assert_eq!((integers.as_slice(), scale), ([-127, 2, 2, -2, 0, 1].as_slice(), 2.0));
    assert_eq!(reference::read_back(&[-254.0, 3.0, 5.0], CacheFormat::Q8), [-254.0, 4.0, 4.0]);
    assert_eq!(reference::quantise(&[0.0, 1e-31]), (vec![0, 0], 0.0));
}
