//! See `ops::rms_norm`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::rms_norm::{RmsNorm, RmsNormArgs};
use crate::reference;

/// f16 output: half a unit in the last place is 2^-11 relative.
const TOLERANCE: (f32, f32) = (1e-5, 1e-3);

/// Rows of `width`, from `first_row` on.
pub fn check(gpu: &Gpu, (tokens, width): (usize, usize), first_row: usize) -> Result<Comparison> {
    let mut random = Random::new(width as u64);
    let rows = first_row + tokens;
    let x = random.halves(rows * width, 3.0);
    let weight = random.halves(width, 1.0);
    let out = poisoned(gpu, "out", &[tokens, width], Element::F16)?;
    let mut recorder = recorder(gpu)?;
    let args = RmsNormArgs {
        x: &upload_f32(gpu, "x", &[rows, width], &x)?,
        weight: &upload_f32(gpu, "weight", &[width], &weight)?,
        out: &out,
        first_row,
        tokens,
        scale: 0.25,
    };
    RmsNorm::new(gpu, width, 1e-5)?.record(gpu, &mut recorder, &args)?;
    let expected = reference::rms_norm(&x[first_row * width..], &weight, 1e-5, 0.25);
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, TOLERANCE)
}
