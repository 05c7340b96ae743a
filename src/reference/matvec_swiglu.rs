//! CPU twin of `shaders/matvec_swiglu.wgsl`.

use super::{matvec_normed, swiglu};
use crate::weights::PackedMatrix;

/// The activation of the gates (first half of the rows) and values of `factor * matrix . x`.
pub fn matvec_swiglu(x: &[f32], factor: f32, matrix: &PackedMatrix) -> Vec<f32> {
    swiglu(&matvec_normed(x, factor, matrix, 1.0), matrix.rows / 2)
}
