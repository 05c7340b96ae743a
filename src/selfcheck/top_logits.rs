//! See `ops::top_logits`.

use super::{Comparison, Random, poisoned, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::TopLogits;
use crate::ops::top_logits::{TopLogitsScratch, WORDS};
use crate::reference;

/// `count` logits with many ties.
pub fn check(gpu: &Gpu, count: usize) -> Result<Comparison> {
    let mut random = Random::new(count as u64);
    // Rounded to eighths, so that equal logits are common; the best ones all in one slice.
    let mut logits: Vec<f32> = (0..count).map(|_| (random.normal() * 32.0).round() / 8.0).collect();
    for logit in logits.iter_mut().take(100) {
        *logit += 20.0;
    }
    let out = poisoned(gpu, "out", &[WORDS], Element::U32)?;
    let mut recorder = recorder(gpu)?;
    let scratch = TopLogitsScratch::new(gpu, count)?;
    let on_gpu = upload_f32(gpu, "logits", &[1, count], &logits)?;
    TopLogits::new(gpu)?.record(gpu, &mut recorder, &on_gpu, &scratch, &out)?;
    let got = TopLogits::parse(&recorder.read::<u32>(gpu, &out)?, count)?;
    let expected = reference::top_logits(&logits);
    let sum = Comparison::of("log_sum_exp", &[got.log_sum_exp], &[expected.log_sum_exp], (1e-4, 0.0))?;
    Ok(sum.and(Comparison::equal("candidates", &got.candidates, &expected.candidates)))
}
