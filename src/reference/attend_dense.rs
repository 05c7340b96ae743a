//! CPU twin of `shaders/attend_dense.wgsl`.

use rayon::prelude::*;

use super::dot;
use crate::ops::HeadShape;

/// Shapes of one call.
#[derive(Debug, Clone, Copy)]
pub struct AttendDenseShape {
    /// Heads.
    pub heads: HeadShape,
    /// Positions that one KV head has room for in `keys` and `values`.
    pub capacity: usize,
    /// Position of the first query.
    pub start: usize,
}

/// `queries` (tokens, heads, head_dim); `keys` and `values` (kv_heads, capacity, head_dim); returns the queries' shape.
pub fn attend_dense(queries: &[f32], keys: &[f32], values: &[f32], shape: AttendDenseShape) -> Vec<f32> {
    let HeadShape { heads, head_dim, .. } = shape.heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let one = |(index, query): (usize, &[f32])| -> Vec<f32> {
        let (token, head) = (index / heads, index % heads);
        let first = (head / shape.heads.group()) * shape.capacity * head_dim;
        let seen = (shape.start + token + 1) * head_dim;
        let (keys, values) = (&keys[first..first + seen], &values[first..first + seen]);
        let scores: Vec<f32> = keys.chunks_exact(head_dim).map(|key| dot(query, key) * scale).collect();
        let maximum = scores.iter().copied().fold(f32::MIN, f32::max);
        let mut total = 0.0;
        let mut out = vec![0.0f32; head_dim];
        for (score, value) in scores.iter().zip(values.chunks_exact(head_dim)) {
            let weight = (score - maximum).exp();
            total += weight;
            for (sum, v) in out.iter_mut().zip(value) {
                *sum += weight * v;
            }
        }
        out.iter().map(|sum| sum / total).collect()
    };
    queries.par_chunks_exact(head_dim).enumerate().flat_map_iter(one).collect()
}
