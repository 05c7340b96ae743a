//! See `ops::log_probs`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::LogProbs;
use crate::reference;

/// `rows` rows of `vocab` logits, whose targets begin at `first`.
pub fn check(gpu: &Gpu, (rows, vocab): (usize, usize), first: usize) -> Result<Comparison> {
    let mut random = Random::new(vocab as u64);
    let logits = random.halves(rows * vocab, 5.0);
    let targets: Vec<u32> = (0..first + rows).map(|_| random.below(vocab) as u32).collect();
    let out = poisoned(gpu, "out", &[first + rows, 1], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = upload_f32(gpu, "logits", &[rows, vocab], &logits)?;
    let wanted = gpu.upload("targets", &[first + rows, 1], Element::U32, &targets)?;
    LogProbs::new(gpu)?.record(gpu, &mut recorder, (&on_gpu, &wanted, &out), first, rows)?;
    let expected = reference::log_probs(&logits, vocab, &targets[first..]);
    let got = read_f32(gpu, &mut recorder, &out)?;
    Comparison::of("out", &got[first..], &expected, (1e-4, 1e-5))
}
