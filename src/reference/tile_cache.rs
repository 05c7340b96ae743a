//! CPU twin of `shaders/tile_cache.wgsl`.

use crate::sparse_settings::HeadShape;

/// `rows` (kv_heads, capacity, head_dim), of which the first `tokens` slots of each head are used, as matrices of `side` by
/// `side`: (kv_heads, tile_capacity / side, head_dim / side, side, side), where within a matrix the slots come first for
/// `keys` and last for values. Slots from `tokens` on are zero.
pub fn tile_cache(
    rows: &[f32],
    heads: &HeadShape,
    (tokens, tile_capacity): (usize, usize),
    side: usize,
    keys: bool,
) -> Vec<f32> {
    let HeadShape { kv_heads, head_dim, .. } = *heads;
    let capacity = rows.len() / (kv_heads * head_dim);
    let mut out = vec![0.0; kv_heads * tile_capacity * head_dim];
    for head in 0..kv_heads {
        for slot in 0..tokens {
            for dim in 0..head_dim {
                let matrix = ((head * tile_capacity + slot) / side) * (head_dim / side) + dim / side;
                let (outer, inner) = if keys { (slot % side, dim % side) } else { (dim % side, slot % side) };
                out[(matrix * side + outer) * side + inner] = rows[(head * capacity + slot) * head_dim + dim];
            }
        }
    }
    out
}
