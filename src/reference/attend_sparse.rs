//! CPU twin of `shaders/attend_sparse.wgsl`.

use rayon::prelude::*;

use super::select_blocks::NO_BLOCK;
use crate::sparse_settings::HeadShape;

/// One softmax over the tokens of the selected blocks that lie at or before the query: (tokens, heads, head_dim).
///
/// `ids` is (tokens, kv_heads, budget) as [`super::select_blocks`] returns it, `keys` and `values` are (kv_heads, capacity,
/// head_dim), `q` is (tokens, heads, head_dim) for the positions from `start` on.
#[expect(clippy::too_many_arguments, reason = "a plain function of what the kernel binds")]
pub fn attend_sparse(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    ids: &[u32],
    shape: &HeadShape,
    block_size: usize,
    capacity: usize,
    start: usize,
) -> Vec<f32> {
    let HeadShape { heads, kv_heads, head_dim } = *shape;
    let tokens = q.len() / (heads * head_dim);
    let budget = ids.len() / (tokens * kv_heads).max(1);
    let row = |(row, q): (usize, &[f32])| -> Vec<f32> {
        let (token, head) = (row / heads, row % heads);
        let kv_head = head / shape.group();
        let ids = &ids[(token * kv_heads + kv_head) * budget..][..budget];
        let read: Vec<usize> = ids
            .iter()
            .take_while(|block| **block != NO_BLOCK)
            .flat_map(|block| *block as usize * block_size..(*block as usize + 1) * block_size)
            .take_while(|token_read| *token_read <= start + token)
            .map(|token_read| (kv_head * capacity + token_read) * head_dim)
            .collect();
        let dot = |at: &usize| q.iter().zip(&keys[*at..][..head_dim]).map(|(a, b)| a * b).sum::<f32>() * shape.scale();
        let mut weights: Vec<f32> = read.iter().map(dot).collect();
        let most = weights.iter().copied().fold(f32::MIN, f32::max);
        for weight in &mut weights {
            *weight = (*weight - most).exp();
        }
        let sum: f32 = weights.iter().sum();
        let mut out = vec![0.0; head_dim];
        for (weight, at) in weights.iter().zip(&read) {
            for (out, value) in out.iter_mut().zip(&values[*at..][..head_dim]) {
                *out += weight / sum * value;
            }
        }
        out
    };
    q.par_chunks_exact(head_dim).enumerate().flat_map_iter(row).collect()
}
