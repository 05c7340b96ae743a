//! CPU twin of `shaders/matmul.wgsl`.

use rayon::prelude::*;

use super::dot;
use crate::weights::PackedMatrix;

/// `out[t, r] = matrix[r] . x[t]` for the rows `x[t]` of `matrix.cols` values.
pub fn matmul(x: &[f32], matrix: &PackedMatrix) -> Vec<f32> {
    let tokens: Vec<&[f32]> = x.chunks_exact(matrix.cols).collect();
    // Row by row of the matrix, so that each is unpacked once; turned into token order afterwards.
    let by_row: Vec<Vec<f32>> = (0..matrix.rows)
        .into_par_iter()
        .map(|row| {
            let weights = matrix.row_f32(row);
            tokens.iter().map(|token| dot(&weights, token)).collect()
        })
        .collect();
    let mut out = Vec::with_capacity(tokens.len() * matrix.rows);
    for token in 0..tokens.len() {
        out.extend(by_row.iter().map(|row| row[token]));
    }
    out
}
