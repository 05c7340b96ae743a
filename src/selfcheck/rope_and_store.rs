//! See `ops::rope_and_store`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::HeadShape;
use crate::ops::rope_and_store::{RopeAndStore, RopeAndStoreArgs};
use crate::reference;

/// f16 output.
const TOLERANCE: (f32, f32) = (1e-5, 1e-3);

/// `tokens` from position `start` on into an empty cache, whose other places must stay empty.
pub fn check(gpu: &Gpu, shape: HeadShape, (start, tokens): (usize, usize)) -> Result<Comparison> {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let capacity = (start + tokens).next_multiple_of(64);
    let mut random = Random::new(head_dim as u64);
    let width = (heads + 2 * kv_heads) * head_dim;
    let qkv = random.halves(tokens * width, 1.0);
    let angles: Vec<f32> = (0..tokens * head_dim / 2).map(|_| random.unit() * 6.0).collect();
    let turns: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let queries = poisoned(gpu, "queries", &[tokens, heads * head_dim], Element::F16)?;
    let keys = gpu.tensor("keys", &[kv_heads, capacity, head_dim], Element::F16)?;
    let values = gpu.tensor("values", &[kv_heads, capacity, head_dim], Element::F16)?;
    let mut recorder = recorder(gpu)?;
    let args = RopeAndStoreArgs {
        qkv: &upload_f32(gpu, "qkv", &[tokens, width], &qkv)?,
        turns: &upload_f32(gpu, "turns", &[tokens, head_dim], &turns)?,
        queries: &queries,
        keys: &keys,
        values: &values,
        start,
        tokens,
    };
    RopeAndStore::new(gpu, shape)?.record(gpu, &mut recorder, &args)?;
    let expected = reference::rope_and_store(&qkv, &turns, shape);
    let got = read_f32(gpu, &mut recorder, &queries)?;
    let mut comparison = Comparison::of("queries", &got, &expected.queries, TOLERANCE)?;
    for (name, tensor, rows) in [("keys", &keys, &expected.keys), ("values", &values, &expected.values)] {
        let mut cache = vec![0.0; kv_heads * capacity * head_dim];
        for (index, row) in rows.chunks_exact(head_dim).enumerate() {
            let (token, head) = (index / kv_heads, index % kv_heads);
            let place = (head * capacity + start + token) * head_dim;
            cache[place..place + head_dim].copy_from_slice(row);
        }
        let got = read_f32(gpu, &mut recorder, tensor)?;
        comparison = comparison.and(Comparison::of(name, &got, &cache, TOLERANCE)?);
    }
    Ok(comparison)
}
