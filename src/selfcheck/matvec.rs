//! See `ops::matvec`.

use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder, upload_f16};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::{Matrix, Matvec};
use crate::reference;
use crate::weights::Format;

/// A matrix in shards of `shard_rows` times one token.
pub fn check(gpu: &Gpu, (rows, cols, shard_rows): (usize, usize, usize), format: Format) -> Result<Comparison> {
    let mut random = Random::new((rows * cols) as u64);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let x = random.halves(cols, 1.0);
    let out = poisoned(gpu, "out", &[1, rows], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows)?;
    let input = upload_f16(gpu, "x", &[1, cols], &x)?;
    Matvec::new(gpu, cols, format)?.record(gpu, &mut recorder, (&input, &on_gpu, &out), 0)?;
    // f32 sums of `cols` products of size one in another order.
    let expected = reference::matvec(&x, &matrix);
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (2e-3, 1e-4))
}
