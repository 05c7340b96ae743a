//! CPU twin of `shaders/rope_and_store.wgsl`.

use crate::ops::{CacheFormat, HeadShape};

/// One step's rotated queries (tokens, heads, head_dim), keys and values (tokens, kv_heads, head_dim).
pub struct Rotated {
    /// Rotated queries.
    pub queries: Vec<f32>,
    /// Rotated keys.
    pub keys: Vec<f32>,
    /// Values as they are.
    pub values: Vec<f32>,
}

/// Rotates the rows of `qkv` (tokens, (heads + 2 kv_heads) head_dim) by `turns` (tokens, head_dim / 2 pairs of cosine
/// and sine). Storing is up to the caller, whose cache on the CPU is a plain list of tokens.
pub fn rope_and_store(qkv: &[f32], turns: &[f32], shape: HeadShape) -> Rotated {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let width = (heads + 2 * kv_heads) * head_dim;
    let mut out = Rotated { queries: Vec::new(), keys: Vec::new(), values: Vec::new() };
    for (row, turns) in qkv.chunks_exact(width).zip(turns.chunks_exact(head_dim)) {
        for (index, head) in row.chunks_exact(head_dim).enumerate() {
            if index < heads {
                out.queries.extend(rotate(head, turns));
            } else if index < heads + kv_heads {
                out.keys.extend(rotate(head, turns));
            } else {
                out.values.extend_from_slice(head);
            }
        }
    }
    out
}

/// A key or value as the `q8` cache holds it: integers and their scale. Rounding is to the nearest, halves to even, and a
/// row without a value of 1e-30 or more becomes zero, all as `shaders/pieces/cache_store.q8.wgsl` does.
pub fn quantise(row: &[f32]) -> (Vec<i8>, f32) {
    let most = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    if most < 1e-30 {
        return (vec![0; row.len()], 0.0);
    }
    let inverse = 127.0 / most;
    (row.iter().map(|value| (value * inverse).round_ties_even() as i8).collect(), most / 127.0)
}

/// What attention reads of a key or value that was written as `row`. The twins keep 16-bit caches in full precision.
pub fn read_back(row: &[f32], format: CacheFormat) -> Vec<f32> {
    match format {
        CacheFormat::F16 => row.to_vec(),
        CacheFormat::Q8 => {
            let (integers, scale) = quantise(row);
            integers.into_iter().map(|integer| f32::from(integer) * scale).collect()
        }
    }
}

fn rotate(head: &[f32], turns: &[f32]) -> Vec<f32> {
    let (first, second) = head.split_at(head.len() / 2);
    let pairs = || first.iter().zip(second).zip(turns.chunks_exact(2));
    let low = pairs().map(|((a, b), turn)| a * turn[0] - b * turn[1]);
    let high = pairs().map(|((a, b), turn)| b * turn[0] + a * turn[1]);
    low.chain(high).collect()
}
