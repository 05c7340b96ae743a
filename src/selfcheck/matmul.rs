//! See `ops::matmul`.

use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder, upload_f16};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::{Matmul, Matrix, QuantizeRow, RoundedRows};
use crate::reference;
use crate::weights::Format;

/// A matrix in shards of `shard_rows` times `tokens` tokens, in `integers` where the format has them.
pub fn check(
    gpu: &Gpu,
    tokens: usize,
    (rows, cols, shard_rows): (usize, usize, usize),
    format: Format,
    integers: bool,
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
    let matmul = Matmul::with_integers(gpu, cols, format, integers)?;
    let expected = match matmul.layout() {
        None => {
            matmul.record(gpu, &mut recorder, (&input, &on_gpu, &out), 0, tokens)?;
            reference::matmul(&x, &matrix)
        }
        Some(layout) => {
            let rounded = RoundedRows::new(gpu, "rounded", padded, cols)?;
            let quantize_row = QuantizeRow::new(gpu, layout)?;
            quantize_row.record_rows(gpu, &mut recorder, (&input, &rounded), (tokens, cols))?;
            matmul.record_integers(gpu, &mut recorder, (&rounded, &on_gpu, &out), 0, tokens)?;
            // What rounding the activations costs is no error of the product.
            reference::matmul(&reference::quantize_row(&x, layout.chunk).values(), &matrix)
        }
    };
    // Cooperative matrices round the unpacked weights to f16 first. The device may round an activation that lies on the
    // border between two integers to the other one, which is worth a step times a weight.
    let absolute = match (matmul.layout().is_some(), gpu.features.coop.is_some()) {
        (true, _) => 6e-2,
        (false, true) => 2e-2,
        (false, false) => 2e-3,
    };
    let got = read_f32(gpu, &mut recorder, &out)?;
    Comparison::of("out", got.get(..expected.len()).unwrap_or(&got), &expected, (absolute, 1e-4))
}
