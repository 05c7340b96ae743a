//! CPU twin of `shaders/score_blocks.wgsl`.

use rayon::prelude::*;

use super::dot;
use crate::sparse_settings::{HeadShape, Lse, SparseSettings};

/// Largest exponent of a score: a key far above its denominator must not overflow, nor the sum over 64 heads.
pub const MOST_EXPONENT: f32 = 80.0;

/// How much each block matters to each query: (kv_heads, tokens, blocks), blocks = `capacity / block_size`.
///
/// ```text
/// lse[h]      = ln sum_j exp(q[h] . coarse[j] / sqrt(d))           over the visible coarse (or fine) keys
/// score[g, j] = sum_{h in g} exp(q[h] . fine[j] / sqrt(d) - lse[h])
/// out[g, b]   = max of score[g, 4b-1 .. 4b+3]
/// ```
///
/// Only blocks that a query may choose get a score; the others, forced or in the future, are 0. `q` is (tokens, heads,
/// head_dim) for the positions from `start` on.
pub fn score_blocks(
    q: &[f32],
    fine: &[f32],
    coarse: &[f32],
    shape: &HeadShape,
    settings: &SparseSettings,
    capacity: usize,
    start: usize,
) -> Vec<f32> {
    let HeadShape { heads, kv_heads, head_dim } = *shape;
    let tokens = q.len() / (heads * head_dim);
    let blocks = capacity / settings.block_size;
    let fine_slots = capacity / settings.kernel_stride;
    let mut out = vec![0.0; kv_heads * tokens * blocks];
    out.par_chunks_exact_mut(blocks.max(1)).enumerate().for_each(|(row, scores)| {
        let (kv_head, token) = (row / tokens, row % tokens);
        let position = start + token;
        if settings.count(position) > position / settings.block_size {
            return; // Every block is read: nothing to rank.
        }
        let fine = &fine[kv_head * fine_slots * head_dim..][..settings.fine_keys(position + 1) * head_dim];
        let denominators = match settings.lse {
            Lse::Exact => fine,
            Lse::Coarse => &coarse[kv_head * blocks * head_dim..][..settings.coarse_keys(position + 1) * head_dim],
        };
        let mut sums = vec![0.0f32; fine.len() / head_dim];
        for head in kv_head * shape.group()..(kv_head + 1) * shape.group() {
            let q = &q[(token * heads + head) * head_dim..][..head_dim];
            let score = |key: &[f32]| dot(q, key) * shape.scale();
            let against: Vec<f32> = denominators.chunks_exact(head_dim).map(score).collect();
            let most = against.iter().copied().fold(f32::MIN, f32::max);
            let lse = most + against.iter().map(|s| (s - most).exp()).sum::<f32>().ln();
            for (sum, key) in sums.iter_mut().zip(fine.chunks_exact(head_dim)) {
                *sum += (score(key) - lse).min(MOST_EXPONENT).exp();
            }
        }
        for (block, score) in scores.iter_mut().enumerate().take(settings.free_end(position)).skip(settings.init_blocks)
        {
            let first = (SparseSettings::FINE_PER_BLOCK * block).saturating_sub(1);
            let end = (SparseSettings::FINE_PER_BLOCK * (block + 1)).min(sums.len());
            *score = sums[first..end].iter().copied().fold(0.0, f32::max);
        }
    });
    out
}
