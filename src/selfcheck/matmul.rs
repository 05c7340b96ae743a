//! See `ops::matmul`.

use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder, upload_f16};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::{Matmul, Matrix};
use crate::reference;
use crate::weights::Format;

/// A matrix in shards of `shard_rows` times `tokens` tokens.
pub fn check(
    gpu: &Gpu,
    tokens: usize,
    (rows, cols, shard_rows): (usize, usize, usize),
    format: Format,
) -> Result<Comparison> {
    let mut random = Random::new((tokens * rows * cols) as u64);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let x = random.halves(tokens * cols, 1.0);
    let out = poisoned(gpu, "out", &[tokens, rows], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows)?;
    let input = upload_f16(gpu, "x", &[tokens, cols], &x)?;
    Matmul::new(gpu, cols, format)?.record(gpu, &mut recorder, (&input, &on_gpu, &out), 0, tokens)?;
    let expected = reference::matmul(&x, &matrix);
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (2e-3, 1e-4))
}
