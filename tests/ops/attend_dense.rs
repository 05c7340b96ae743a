use foveal::ops::{CacheFormat, HeadShape};
use foveal::reference::{self, AttendDenseShape};
use foveal::selfcheck::attend_dense;

use crate::harness::{check_on_each_gpu, close};

fn check(shape: HeadShape, start: usize, tokens: usize, decode: bool) {
    for cache in CacheFormat::ALL {
        eprintln!("{shape:?} in {cache} start {start} tokens {tokens} decode {decode}");
        check_on_each_gpu(|gpu| attend_dense::check(gpu, shape, cache, (start, tokens), decode));
    }
}

fn shapes() -> impl Iterator<Item = HeadShape> {
    let of = |heads, kv_heads, head_dim| HeadShape { heads, kv_heads, head_dim };
    [of(1, 1, 32), of(4, 1, 64), of(6, 2, 96), of(8, 2, 64), of(16, 1, 128), of(32, 2, 128), of(24, 1, 32)].into_iter()
}

#[test]
fn prefill_matches_twin() {
    for shape in shapes() {
        for (start, tokens) in [(0, 1), (0, 7), (5, 33), (64, 64), (131, 40)] {
            check(shape, start, tokens, false);
        }
    }
}

#[test]
fn decode_matches_twin() {
    for shape in shapes() {
        for start in [0, 1, 63, 64, 700] {
            check(shape, start, 1, true);
        }
    }
}

#[test]
fn decode_of_a_long_cache_uses_long_splits() {
    check(HeadShape { heads: 4, kv_heads: 2, head_dim: 32 }, 20_000, 1, true);
}

#[test]
fn twin_by_hand() {
    // Two keys with scores 0 and ln 3: weights 1/4 and 3/4.
    let heads = HeadShape { heads: 1, kv_heads: 1, head_dim: 1 };
    let shape = AttendDenseShape { heads, capacity: 2, start: 1 };
    let out = reference::attend_dense(&[1.0], &[0.0, 3f32.ln()], &[4.0, 8.0], shape);
    close("by hand", &out, &[7.0], 1e-5, 0.0);
}
