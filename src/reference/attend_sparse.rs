//! CPU twin of `shaders/attend_sparse.wgsl`.

use rayon::prelude::*;

use super::attend_dense::attend;
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
    let group = |(index, queries): (usize, &[f32])| {
        let (token, kv_head) = (index / kv_heads, index % kv_heads);
        let read: Vec<usize> = ids[index * budget..][..budget]
            .iter()
            .take_while(|block| **block != NO_BLOCK)
            .flat_map(|block| *block as usize * block_size..(*block as usize + 1) * block_size)
            .take_while(|token_read| *token_read <= start + token)
            .map(|token_read| (kv_head * capacity + token_read) * head_dim)
            .collect();
        attend(queries, keys, values, head_dim, &read)
    };
    q.par_chunks_exact(shape.group() * head_dim).enumerate().flat_map_iter(group).collect()
}
