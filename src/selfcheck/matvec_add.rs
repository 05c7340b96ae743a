//! See `ops::matvec_add`.

use super::quantize_row::poisoned_row;
use super::rounded::{self, RandomRow};
use super::{Comparison, Random, random_matrix, read_f32, recorder, upload_f32};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::matvec_add::{MatvecAdd, MatvecAddArgs};
use crate::ops::{Matrix, RowLayout};
use crate::reference;
use crate::weights::Format;

/// A stream of `rows` values to which a matrix of `cols` inputs adds, left in the layout `out`.
pub fn check(gpu: &Gpu, (rows, cols): (usize, usize), format: Format, out: RowLayout) -> Result<Comparison> {
    let layout = RowLayout::of(format).ok_or_else(|| Error::shape("matvec_add", "an integer form", format))?;
    let mut random = Random::new((rows * cols) as u64 + 4);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let row = RandomRow::new(gpu, &mut random, cols, layout)?;
    // A second row that must stay as it is.
    let mut stream = random.halves(2 * rows, 3.0);
    let norm = random.halves(rows, 1.0);
    let on_gpu = upload_f32(gpu, "stream", &[2, rows], &stream)?;
    let left = poisoned_row(gpu, rows, out)?;
    let mut recorder = recorder(gpu)?;
    let args = MatvecAddArgs {
        row: &row.on_gpu,
        matrix: &Matrix::upload(gpu, "w", &matrix, rows)?,
        stream: &on_gpu,
        norm: &upload_f32(gpu, "norm", &[rows], &norm)?,
        out: &left,
        scale: 0.35,
    };
    MatvecAdd::new(gpu, (cols, format), out)?.record(gpu, &mut recorder, &args)?;
    let expected = reference::matvec_add(&row.values, &matrix, &mut stream[..rows], &norm, 0.35);
    let shares: Vec<f32> =
        stream[..rows].chunks(out.chunk).map(|chunk| chunk.iter().map(|value| value * value).sum()).collect();
    let got_stream = read_f32(gpu, &mut recorder, &on_gpu)?;
    let got_shares = rounded::squares(gpu, &mut recorder, &left, rows)?;
    Ok(rounded::compare(gpu, &mut recorder, &left, &expected)?
        .and(Comparison::of("stream", &got_stream, &stream, (1e-3, 1e-4))?)
        .and(Comparison::of("squares", &got_shares, &shares, (1e-2, 1e-3))?))
}
