//! See `ops::swiglu`.

use super::quantize_row::{self, poisoned_row};
use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::swiglu::SCALE;
use crate::ops::{RowLayout, RowTarget, Swiglu};
use crate::reference;

/// `tokens` rows of `width` gates and `width` values. With a layout, as integers too.
pub fn check(gpu: &Gpu, (tokens, width): (usize, usize), layout: Option<RowLayout>) -> Result<Comparison> {
    let mut random = Random::new(width as u64);
    let mut x = random.halves(tokens * 2 * width, 3.0);
    // Far out on both sides, where a careless exponential overflows.
    for (place, value) in x.iter_mut().zip([-300.0, 300.0]) {
        *place = value;
    }
    let out = poisoned(gpu, "out", &[tokens, width], Element::F16)?;
    let row = layout.map(|layout| poisoned_row(gpu, width, layout)).transpose()?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = upload_f32(gpu, "x", &[tokens, 2 * width], &x)?;
    let target = RowTarget { floats: &out, rounded: row.as_ref() };
    Swiglu::new(gpu, width, layout.as_slice())?.record(gpu, &mut recorder, &on_gpu, target, tokens)?;
    let expected: Vec<f32> = reference::swiglu(&x, width).iter().map(|value| value * SCALE).collect();
    let got = read_f32(gpu, &mut recorder, &out)?;
    let comparison = Comparison::of("out", &got, &expected, (1e-5, 1e-3))?;
    match &row {
        Some(row) => Ok(comparison.and(quantize_row::compare(gpu, &mut recorder, row, &got)?)),
        None => Ok(comparison),
    }
}
