//! See `ops::matvec`.

use super::rounded::RandomRow;
use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder, upload_f16};
use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu};
use crate::ops::{Matrix, Matvec, MatvecForm, RowLayout};
use crate::reference;
use crate::weights::Format;

/// A matrix in shards of `shard_rows` times one token.
///
/// The integer forms get their integers from the twin, and multiply these as exactly as floats: what rounding the
/// activations costs is no error of this kernel.
pub fn check(
    gpu: &Gpu,
    (rows, cols, shard_rows): (usize, usize, usize),
    format: Format,
    form: MatvecForm,
) -> Result<Comparison> {
    let mut random = Random::new((rows * cols) as u64);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let x = random.halves(cols, 1.0);
    let out = poisoned(gpu, "out", &[1, rows], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows)?;
    let matvec = Matvec::with_form(gpu, cols, format, form)?;
    let expected = if form.integers() {
        let layout = RowLayout::of(format).ok_or_else(|| Error::shape("matvec", "an integer form", format))?;
        let row = RandomRow::new(gpu, &mut random, cols, layout)?;
        matvec.record_integers(gpu, &mut recorder, &row.on_gpu, (&on_gpu, &out), 0)?;
        reference::matvec(&row.values, &matrix)
    } else {
        let input = upload_f16(gpu, "x", &[1, cols], &x)?;
        matvec.record(gpu, &mut recorder, (&input, &on_gpu, &out), 0)?;
        reference::matvec(&x, &matrix)
    };
    // f32 sums of `cols` products of size one in another order.
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (2e-3, 1e-4))
}
