//! CPU twin of `shaders/attend_dense.wgsl`.

use rayon::prelude::*;

use super::dot;
use super::dot::add_weighted;
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
    let HeadShape { kv_heads, head_dim, .. } = shape.heads;
    let group = |(index, queries): (usize, &[f32])| {
        let (token, kv_head) = (index / kv_heads, index % kv_heads);
        let first = kv_head * shape.capacity;
        let read: Vec<usize> = (first..=first + shape.start + token).map(|place| place * head_dim).collect();
        attend(queries, keys, values, head_dim, &read)
    };
    queries.par_chunks_exact(shape.heads.group() * head_dim).enumerate().flat_map_iter(group).collect()
}

/// Tokens that lie in the nearest cache while all heads of a group read them.
const NEAR: usize = 64;

/// One softmax for each head of a group over the tokens whose keys and values begin at `read`: `queries` (heads of the group,
/// head_dim), returns their shape.
pub(super) fn attend(queries: &[f32], keys: &[f32], values: &[f32], head_dim: usize, read: &[usize]) -> Vec<f32> {
    let scale = 1.0 / (head_dim as f32).sqrt();
    let (heads, count) = (|| queries.chunks_exact(head_dim), read.len().max(1));
    let mut weights = vec![0.0f32; heads().len() * read.len()];
    for (part, places) in read.chunks(NEAR).enumerate() {
        for (query, weights) in heads().zip(weights.chunks_exact_mut(count)) {
            for (weight, place) in weights[part * NEAR..].iter_mut().zip(places) {
                *weight = dot(query, &keys[*place..][..head_dim]) * scale;
            }
        }
    }
    for weights in weights.chunks_exact_mut(count) {
        let most = weights.iter().copied().fold(f32::MIN, f32::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    let mut out = vec![0.0f32; queries.len()];
    for (part, places) in read.chunks(NEAR).enumerate() {
        for (out, weights) in out.chunks_exact_mut(head_dim).zip(weights.chunks_exact(count)) {
            let weights = &weights[part * NEAR..][..places.len()];
            add_weighted(out, weights, |index| &values[places[index]..][..head_dim]);
        }
    }
    out
}
