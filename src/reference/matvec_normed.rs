//! CPU twin of `shaders/matvec_normed.wgsl`.

use super::matvec;
use crate::weights::PackedMatrix;

/// `factor = 1 / sqrt(squares / width + epsilon)`: what a row is short of being normalised.
pub fn norm_factor(squares: f32, width: usize, epsilon: f32) -> f32 {
    1.0 / (squares / width as f32 + epsilon).sqrt()
}

/// `out[r] = scale * factor * matrix[r] . x`
pub fn matvec_normed(x: &[f32], factor: f32, matrix: &PackedMatrix, scale: f32) -> Vec<f32> {
    matvec(x, matrix).into_iter().map(|sum| sum * factor * scale).collect()
}
