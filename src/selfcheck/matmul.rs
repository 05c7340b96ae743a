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
    // Whole tiles of tokens, as the model has them: the cooperative kernel does not look for the last one.
    let padded = tokens.next_multiple_of(128);
    let out = poisoned(gpu, "out", &[padded, rows], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows)?;
    let mut rows_of_x = x.clone();
    rows_of_x.resize(padded * cols, 0.0);
    let input = upload_f16(gpu, "x", &[padded, cols], &rows_of_x)?;
    Matmul::new(gpu, cols, format)?.record(gpu, &mut recorder, (&input, &on_gpu, &out), 0, tokens)?;
    let expected = reference::matmul(&x, &matrix);
    // Cooperative matrices round the unpacked weights to f16 first.
    let absolute = if gpu.features.coop.is_some() { 2e-2 } else { 2e-3 };
    let got = read_f32(gpu, &mut recorder, &out)?;
    Comparison::of("out", &got[..expected.len()], &expected, (absolute, 1e-4))
}
