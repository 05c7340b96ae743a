//! See `ops::swiglu`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::Swiglu;
use crate::ops::swiglu::SCALE;
use crate::reference;

/// `tokens` rows of `width` gates and `width` values.
pub fn check(gpu: &Gpu, tokens: usize, width: usize) -> Result<Comparison> {
    let mut random = Random::new(width as u64);
    let mut x = random.halves(tokens * 2 * width, 3.0);
    // Far out on both sides, where a careless exponential overflows.
    for (place, value) in x.iter_mut().zip([-300.0, 300.0]) {
        *place = value;
    }
    let out = poisoned(gpu, "out", &[tokens, width], Element::F16)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = upload_f32(gpu, "x", &[tokens, 2 * width], &x)?;
    Swiglu::new(gpu, width)?.record(gpu, &mut recorder, &on_gpu, &out, tokens)?;
    let expected: Vec<f32> = reference::swiglu(&x, width).iter().map(|value| value * SCALE).collect();
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (1e-5, 1e-3))
}
