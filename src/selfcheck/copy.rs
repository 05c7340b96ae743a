//! See `ops::copy`.

use super::{Comparison, Random, poisoned, recorder};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::Copy;
use crate::reference;

/// `count` words.
pub fn check(gpu: &Gpu, count: usize) -> Result<Comparison> {
    let mut random = Random::new(count as u64);
    let x: Vec<u32> = (0..count).map(|_| random.bits() as u32).collect();
    let on_gpu = gpu.upload("x", &[count], Element::U32, &x)?;
    let out = poisoned(gpu, "out", &[count], Element::U32)?;
    let mut recorder = recorder(gpu)?;
    Copy::new(gpu)?.record(gpu, &mut recorder, &on_gpu, &out)?;
    let got: Vec<u32> = recorder.read(gpu, &out)?;
    Ok(Comparison::equal("out", &got, &reference::copy(&x)))
}
