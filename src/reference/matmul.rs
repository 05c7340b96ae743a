//! CPU twin of `shaders/matmul.wgsl`.

use ndarray::{Array2, aview1};
use rayon::prelude::*;

use crate::weights::PackedMatrix;

/// Rows of the matrix that are unpacked and multiplied together.
const ROWS: usize = 64;

/// `out[t, r] = matrix[r] . x[t]` for the rows `x[t]` of `matrix.cols` values.
pub fn matmul(x: &[f32], matrix: &PackedMatrix) -> Vec<f32> {
    let cols = matrix.cols;
    let x = stack(x.chunks_exact(cols), cols);
    let tile = |first: usize| -> Array2<f32> {
        let rows = first..matrix.rows.min(first + ROWS);
        x.dot(&stack(rows.map(|row| matrix.row_f32(row)), cols).t())
    };
    let tiles: Vec<_> = (0..matrix.rows.div_ceil(ROWS)).into_par_iter().map(|index| tile(index * ROWS)).collect();
    let mut out = vec![0.0; x.nrows() * matrix.rows];
    out.par_chunks_exact_mut(matrix.rows).enumerate().for_each(|(token, out)| {
        for (out, tile) in out.chunks_mut(ROWS).zip(&tiles) {
            out.iter_mut().zip(tile.row(token)).for_each(|(out, value)| *out = *value);
        }
    });
    out
}

fn stack<T: AsRef<[f32]>>(rows: impl ExactSizeIterator<Item = T>, cols: usize) -> Array2<f32> {
    let mut matrix = Array2::zeros((rows.len(), cols));
    for (mut place, row) in matrix.rows_mut().into_iter().zip(rows) {
        place.assign(&aview1(row.as_ref()));
    }
    matrix
}
