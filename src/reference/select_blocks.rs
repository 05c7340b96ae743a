//! CPU twin of `shaders/select_blocks.wgsl`.

use crate::block_marks::{BlockMark, BlockMarks};
use crate::sparse_settings::SparseSettings;

/// Fills the places after a query's last block.
pub const NO_BLOCK: u32 = u32::MAX;

/// The blocks that each query reads: (tokens, kv_heads, budget), ascending, the rest [`NO_BLOCK`].
///
/// While all blocks fit, all of them; else the first ones, the local ones, and of those between the ones with the
/// highest score in the settings' `score_type`, the lower block first where these are equal; pinned ones before all
/// others, excluded ones after them, the lower first. `scores` is (kv_heads, tokens, blocks) for the positions from `start` on.
pub fn select_blocks(
    scores: &[f32],
    kv_heads: usize,
    tokens: usize,
    settings: &SparseSettings,
    start: usize,
    marks: &BlockMarks,
) -> Vec<u32> {
    let budget = settings.budget();
    let blocks = scores.len() / (kv_heads * tokens).max(1);
    let mut out = vec![NO_BLOCK; tokens * kv_heads * budget];
    for (row, ids) in out.chunks_exact_mut(budget).enumerate() {
        let (token, kv_head) = (row / kv_heads, row % kv_heads);
        let position = start + token;
        let last = position / settings.block_size;
        let mut selected: Vec<usize> = if last < budget {
            (0..=last).collect()
        } else {
            let scores = &scores[(kv_head * tokens + token) * blocks..][..blocks];
            let mut ranked: Vec<usize> = (settings.init_blocks..settings.free_end(position)).collect();
            // A stable sort keeps the lower block first.
            // Excluded ones are all worth the same.
            let score = |block: usize| settings.score_type.round(scores[block]);
            let rank = |block: usize| match marks.mark(position, block) {
                Some(BlockMark::Pinned) => (2, score(block)),
                None => (1, score(block)),
                Some(BlockMark::Excluded) => (0, 0.0),
            };
            ranked.sort_by(|a, b| {
                let ((class_a, score_a), (class_b, score_b)) = (rank(*a), rank(*b));
                class_b.cmp(&class_a).then(score_b.total_cmp(&score_a))
            });
            ranked.truncate(settings.free_blocks());
            ranked.extend(0..settings.init_blocks);
            ranked.extend(settings.free_end(position)..=last);
            ranked
        };
        selected.sort_unstable();
        for (id, block) in ids.iter_mut().zip(selected) {
            *id = block as u32;
        }
    }
    out
}
