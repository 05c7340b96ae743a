//! CPU twin of `shaders/rope_and_store.wgsl`.

use crate::ops::HeadShape;

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

fn rotate(head: &[f32], turns: &[f32]) -> Vec<f32> {
    let (first, second) = head.split_at(head.len() / 2);
    let pairs = || first.iter().zip(second).zip(turns.chunks_exact(2));
    let low = pairs().map(|((a, b), turn)| a * turn[0] - b * turn[1]);
    let high = pairs().map(|((a, b), turn)| b * turn[0] + a * turn[1]);
    low.chain(high).collect()
}
