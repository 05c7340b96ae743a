use foveal::gpu::Element;
use foveal::ops::HeadShape;
use foveal::ops::attend_dense::{AttendDense, AttendDenseArgs};
use foveal::reference::{self, AttendDenseShape};

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f16};

/// f16 output, and weights whose sum is taken in another order.
const ABSOLUTE: f32 = 1e-3;
const RELATIVE: f32 = 2e-3;

fn check(shape: HeadShape, start: usize, tokens: usize, decode: bool) {
    on_each_gpu(|gpu| {
        let HeadShape { heads, kv_heads, head_dim } = shape;
        let capacity = (start + tokens).next_multiple_of(64);
        let mut random = Random::new((heads * 1000 + start) as u64);
        let queries = random.halves(tokens * heads * head_dim, 2.0);
        let mut keys = random.halves(kv_heads * capacity * head_dim, 1.0);
        let mut values = random.halves(kv_heads * capacity * head_dim, 1.0);
        // Nothing past the last position may count.
        for head in 0..kv_heads {
            let unused = (head * capacity + start + tokens) * head_dim..(head + 1) * capacity * head_dim;
            keys[unused.clone()].fill(30000.0);
            values[unused].fill(30000.0);
        }
        let out = poisoned(gpu, "out", &[tokens, heads * head_dim], Element::F16);
        let args = AttendDenseArgs {
            queries: &upload_f16(gpu, "queries", &[tokens, heads * head_dim], &queries),
            keys: &upload_f16(gpu, "keys", &[kv_heads, capacity, head_dim], &keys),
            values: &upload_f16(gpu, "values", &[kv_heads, capacity, head_dim], &values),
            partial: &poisoned(gpu, "partial", &AttendDense::partial_shape(shape), Element::F32),
            out: &out,
            start,
            tokens,
        };
        let mut recorder = recorder(gpu);
        let op = AttendDense::new(gpu, shape).unwrap();
        if decode {
            op.record_decode(gpu, &mut recorder, &args).unwrap();
        } else {
            op.record_prefill(gpu, &mut recorder, &args).unwrap();
        }
        let expected =
            reference::attend_dense(&queries, &keys, &values, AttendDenseShape { heads: shape, capacity, start });
        let what = format!("{shape:?} start {start} tokens {tokens} decode {decode}");
        close(&what, &read_f32(gpu, &mut recorder, &out), &expected, ABSOLUTE, RELATIVE);
    });
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
