//! See `ops::matvec_normed`.

use super::rounded::RandomRow;
use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder};
use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu};
use crate::ops::{Matrix, MatvecNormed, RowLayout};
use crate::reference;
use crate::weights::Format;

/// A matrix in shards of `shard_rows` times one normalised token.
pub fn check(gpu: &Gpu, (rows, cols, shard_rows): (usize, usize, usize), format: Format) -> Result<Comparison> {
    let layout = RowLayout::of(format).ok_or_else(|| Error::shape("matvec_normed", "an integer form", format))?;
    let mut random = Random::new((rows * cols) as u64 + 2);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let row = RandomRow::new(gpu, &mut random, cols, layout)?;
    let out = poisoned(gpu, "out", &[1, rows], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows)?;
    let op = MatvecNormed::new(gpu, (cols, format), 1e-5)?;
    op.record(gpu, &mut recorder, &row.on_gpu, (&on_gpu, &out), (0, 0.5))?;
    let factor = reference::norm_factor(row.squares, cols, 1e-5);
    let expected = reference::matvec_normed(&row.values, factor, &matrix, 0.5);
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (2e-3, 1e-4))
}
