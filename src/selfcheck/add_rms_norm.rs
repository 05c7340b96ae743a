//! See `ops::add_rms_norm`.

use super::quantize_row::{self, poisoned_row};
use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::add_rms_norm::{AddRmsNorm, AddRmsNormArgs};
use crate::ops::{RowLayout, RowTarget};
use crate::reference;

/// Rows of `width`, from `first_row` on; rows before that must stay as they are. With a layout, as integers too.
pub fn check(
    gpu: &Gpu,
    (tokens, width): (usize, usize),
    first_row: usize,
    layout: Option<RowLayout>,
) -> Result<Comparison> {
    let mut random = Random::new(width as u64 + 1);
    let rows = first_row + tokens;
    let mut stream = random.halves(rows * width, 3.0);
    let delta = random.halves(rows * width, 2.0);
    let weight = random.halves(width, 1.0);
    let on_gpu = upload_f32(gpu, "stream", &[rows, width], &stream)?;
    let out = poisoned(gpu, "out", &[tokens, width], Element::F16)?;
    let row = layout.map(|layout| poisoned_row(gpu, width, layout)).transpose()?;
    let mut recorder = recorder(gpu)?;
    let args = AddRmsNormArgs {
        stream: &on_gpu,
        delta: &upload_f32(gpu, "delta", &[rows, width], &delta)?,
        weight: &upload_f32(gpu, "weight", &[width], &weight)?,
        out: RowTarget { floats: &out, rounded: row.as_ref() },
        first_row,
        tokens,
        residual_scale: 0.35,
        scale: 0.5,
    };
    AddRmsNorm::new(gpu, width, 1e-6, layout.as_slice())?.record(gpu, &mut recorder, &args)?;
    let skip = first_row * width;
    let expected = reference::add_rms_norm(&mut stream[skip..], &delta[skip..], &weight, 1e-6, 0.35, 0.5);
    let got = read_f32(gpu, &mut recorder, &out)?;
    let mut out = Comparison::of("out", &got, &expected, (1e-5, 1e-3))?;
    if let Some(row) = &row {
        out = out.and(quantize_row::compare(gpu, &mut recorder, row, &got)?);
    }
    let sums = read_f32(gpu, &mut recorder, &on_gpu)?;
    Ok(out.and(Comparison::of("stream", &sums, &stream, (1e-6, 1e-6))?))
}
