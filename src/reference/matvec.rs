//! CPU twin of `shaders/matvec.wgsl`.

use rayon::prelude::*;

use super::dot;
use crate::weights::PackedMatrix;

/// `out[r] = matrix[r] . x`
pub fn matvec(x: &[f32], matrix: &PackedMatrix) -> Vec<f32> {
    (0..matrix.rows).into_par_iter().map(|row| dot(&matrix.row_f32(row), x)).collect()
}
