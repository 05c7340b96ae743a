//! CPU twin of `shaders/matvec_rope_and_store.wgsl`.

use super::{Rotated, matvec_normed, rope_and_store};
use crate::ops::HeadShape;
use crate::weights::PackedMatrix;

/// Queries, keys and values of one token, rotated by `turns`.
pub fn matvec_rope_and_store(
    x: &[f32],
    factor: f32,
    matrix: &PackedMatrix,
    turns: &[f32],
    shape: HeadShape,
) -> Rotated {
    rope_and_store(&matvec_normed(x, factor, matrix, 1.0), turns, shape)
}
