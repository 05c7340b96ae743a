//! See `ops::attend_dense`.

use super::quantize_row::{self, poisoned_row};
use super::tile_cache::poisoned_tiles;
use super::{Comparison, Random, poisoned, read_f32, recorder, upload_cache, upload_f16};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::attend_dense::{AttendDense, AttendDenseArgs};
use crate::ops::{CacheFormat, HeadShape, RowLayout, RowTarget};
use crate::reference::{self, AttendDenseShape};

/// `tokens` from position `start` on, by the kernels of prefill or, for one token, of decoding.
pub fn check(
    gpu: &Gpu,
    shape: HeadShape,
    cache: CacheFormat,
    (start, tokens): (usize, usize),
    decode: bool,
) -> Result<Comparison> {
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
    let out = poisoned(gpu, "out", &[tokens, heads * head_dim], Element::F16)?;
    let tiles = poisoned_tiles(gpu, shape, capacity)?;
    let args = AttendDenseArgs {
        queries: &upload_f16(gpu, "queries", &[tokens, heads * head_dim], &queries)?,
        cache: &upload_cache(gpu, shape, cache, (&mut keys, &mut values))?,
        tiles: tiles.as_ref(),
        partial: &poisoned(gpu, "partial", &AttendDense::partial_shape(shape), Element::F32)?,
        out: (&out).into(),
        start,
        tokens,
    };
    let mut recorder = recorder(gpu)?;
    let op = AttendDense::new(gpu, shape, cache, &RowLayout::ALL)?;
    if decode {
        op.record_decode(gpu, &mut recorder, &args)?;
    } else {
        op.record_prefill(gpu, &mut recorder, &args)?;
    }
    let shape = AttendDenseShape { heads: shape, capacity, start };
    let expected = reference::attend_dense(&queries, &keys, &values, shape);
    // f16 output, and weights whose sum is taken in another order; cooperative matrices take the weights as f16.
    let absolute = if gpu.features.coop.is_some() { 2e-3 } else { 1e-3 };
    let got = read_f32(gpu, &mut recorder, &out)?;
    let mut comparison = Comparison::of("out", &got, &expected, (absolute, 2e-3))?;
    // A decode step may leave its row as integers too.
    for layout in RowLayout::ALL.into_iter().filter(|_| decode) {
        let row = poisoned_row(gpu, heads * head_dim, layout)?;
        let args = AttendDenseArgs { out: RowTarget { floats: &out, rounded: Some(&row) }, ..args };
        op.record_decode(gpu, &mut recorder, &args)?;
        comparison = comparison.and(quantize_row::compare(gpu, &mut recorder, &row, &got)?);
    }
    Ok(comparison)
}
