//! See `ops::argmax`.

use super::{Comparison, Random, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::Argmax;
use crate::reference;

/// `count` logits, several of them equal and largest.
pub fn check(gpu: &Gpu, count: usize) -> Result<Comparison> {
    let mut random = Random::new(count as u64);
    let mut logits = random.halves(count, 4.0);
    for _ in 0..count.min(3) {
        let place = random.below(count);
        logits[place] = 100.0;
    }
    let out = gpu.tensor("out", &[1], Element::U32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = upload_f32(gpu, "logits", &[1, count], &logits)?;
    Argmax::new(gpu)?.record(gpu, &mut recorder, &on_gpu, &out)?;
    let got = recorder.read::<u32>(gpu, &out)?;
    Ok(Comparison::equal("token", &got, &[reference::argmax(&logits)]))
}
