//! See `ops::matvec_swiglu`.

use super::quantize_row::poisoned_row;
use super::rounded::{self, RandomRow};
use super::{Comparison, Random, random_matrix, recorder};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::swiglu::SCALE;
use crate::ops::{Matrix, MatvecSwiglu, RowLayout};
use crate::reference;
use crate::weights::Format;

/// `inner` gates and values of one normalised token, left in the layout `out`.
pub fn check(gpu: &Gpu, (inner, cols): (usize, usize), format: Format, out: RowLayout) -> Result<Comparison> {
    let layout = RowLayout::of(format).ok_or_else(|| Error::shape("matvec_swiglu", "an integer form", format))?;
    let mut random = Random::new((inner * cols) as u64 + 3);
    let matrix = random_matrix(&mut random, 2 * inner, cols, format)?;
    let row = RandomRow::new(gpu, &mut random, cols, layout)?;
    let left = poisoned_row(gpu, inner, out)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, 2 * inner)?;
    let op = MatvecSwiglu::new(gpu, (cols, format), out, 1e-5)?;
    op.record(gpu, &mut recorder, &row.on_gpu, (&on_gpu, &left))?;
    let factor = reference::norm_factor(row.squares, cols, 1e-5);
    let expected = reference::matvec_swiglu(&row.values, factor, &matrix);
    let scaled: Vec<f32> = expected.iter().map(|value| value * SCALE).collect();
    rounded::compare(gpu, &mut recorder, &left, &scaled)
}
