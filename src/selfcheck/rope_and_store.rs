//! See `ops::rope_and_store`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::rope_and_store::{RopeAndStore, RopeAndStoreArgs};
use crate::ops::{CacheFormat, CachedTokens, HeadShape};
use crate::reference;

/// f16 output.
const TOLERANCE: (f32, f32) = (1e-5, 1e-3);

/// Integers of a row: to the nearest, but for the rounding of a rotation on the way.
const HALF_A_STEP: (f32, f32) = (0.501, 0.0);

/// `tokens` from position `start` on into an empty cache, whose other places must stay empty.
pub fn check(gpu: &Gpu, shape: HeadShape, format: CacheFormat, (start, tokens): (usize, usize)) -> Result<Comparison> {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let capacity = (start + tokens).next_multiple_of(64);
    let mut random = Random::new(head_dim as u64);
    let width = (heads + 2 * kv_heads) * head_dim;
    let mut qkv = random.halves(tokens * width, 1.0);
    // A value that is zero throughout, as the last token's last head.
    qkv[tokens * width - head_dim..].fill(0.0);
    let angles: Vec<f32> = (0..tokens * head_dim / 2).map(|_| random.unit() * 6.0).collect();
    let turns: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let queries = poisoned(gpu, "queries", &[tokens, heads * head_dim], Element::F16)?;
    let cache = CachedTokens::new(gpu, "cache", shape, format, capacity)?;
    let mut recorder = recorder(gpu)?;
    let args = RopeAndStoreArgs {
        qkv: &upload_f32(gpu, "qkv", &[tokens, width], &qkv)?,
        turns: &upload_f32(gpu, "turns", &[tokens, head_dim], &turns)?,
        queries: &queries,
        cache: &cache,
        start,
        tokens,
    };
    RopeAndStore::new(gpu, shape, format)?.record(gpu, &mut recorder, &args)?;
    let expected = reference::rope_and_store(&qkv, &turns, shape);
    let got = read_f32(gpu, &mut recorder, &queries)?;
    let mut comparison = Comparison::of("queries", &got, &expected.queries, TOLERANCE)?;
    let scales: Option<Vec<f32>> = match &cache.scales {
        Some(scales) => Some(read_f32(gpu, &mut recorder, scales)?),
        None => None,
    };
    let stored = [("keys", &cache.keys, &expected.keys), ("values", &cache.values, &expected.values)];
    for (which, (name, tensor, rows)) in stored.into_iter().enumerate() {
        let mut wanted = vec![0.0; kv_heads * capacity * head_dim];
        for (index, row) in rows.chunks_exact(head_dim).enumerate() {
            let (token, head) = (index / kv_heads, index % kv_heads);
            let place = (head * capacity + start + token) * head_dim;
            wanted[place..place + head_dim].copy_from_slice(row);
        }
        let Some(scales) = &scales else {
            let got = read_f32(gpu, &mut recorder, tensor)?;
            comparison = comparison.and(Comparison::of(name, &got, &wanted, TOLERANCE)?);
            continue;
        };
        let got: Vec<f32> = recorder.read::<i8>(gpu, tensor)?.into_iter().map(f32::from).collect();
        let wanted_scales: Vec<f32> = wanted.chunks_exact(head_dim).map(|row| reference::quantise(row).1).collect();
        let own_scales: Vec<f32> = scales.iter().skip(which).step_by(2).copied().collect();
        comparison = comparison.and(Comparison::of("scales", &own_scales, &wanted_scales, (0.0, 1e-5))?);
        for (row, scale) in wanted.chunks_exact_mut(head_dim).zip(&wanted_scales) {
            row.iter_mut().for_each(|value| *value /= scale.max(f32::MIN_POSITIVE));
        }
        comparison = comparison.and(Comparison::of(name, &got, &wanted, HALF_A_STEP)?);
    }
    Ok(comparison)
}
