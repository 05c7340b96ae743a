//! The best candidates for the sampler, picked on the device. Shader: `shaders/top_logits.wgsl`.

use super::ROW_GROUP;
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Candidates that come back for each token.
pub const KEEP: usize = 64;
/// Logits that one workgroup ranks.
const SLICE: usize = 4 * ROW_GROUP as usize;
/// Words of the result.
pub const WORDS: usize = 2 + 2 * KEEP;

/// Picks candidates from rows of one length.
pub struct TopLogits {
    slices: Kernel,
    merge: Kernel,
}

/// Scratch of one step, made once.
pub struct TopLogitsScratch {
    kept: Tensor,
    kept_ids: Tensor,
    totals: Tensor,
}

/// What the device found, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// Token and logit, largest first; fewer than [`KEEP`] for a tiny vocabulary.
    pub candidates: Vec<(u32, f32)>,
    /// ln of the sum of exp(logit) over the whole row.
    pub log_sum_exp: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
    slices: u32,
}

impl TopLogits {
    /// Compiles; any number of logits.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP)), ("KEEP", U32(KEEP as u32))];
        let spec = |entry| KernelSpec { name: "top_logits", entry, constants: &constants, pieces: &[] };
        Ok(Self { slices: Kernel::new(gpu, &spec("slices"))?, merge: Kernel::new(gpu, &spec("merge"))? })
    }

    /// Appends two dispatches: the first row of `logits` (rows, count) f32 to `out` ([`WORDS`]) u32.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        logits: &Tensor,
        scratch: &TopLogitsScratch,
        out: &Tensor,
    ) -> Result<()> {
        let count = super::columns("top_logits logits", logits, Element::F32)?;
        out.expect("top_logits out", &[WORDS], Element::U32)?;
        let slices = count.div_ceil(SLICE);
        scratch.kept.expect("top_logits scratch", &[slices, KEEP], Element::F32)?;
        let params = Params { count: count as u32, slices: slices as u32 };
        let tensors =
            [logits.into(), (&scratch.kept).into(), (&scratch.kept_ids).into(), (&scratch.totals).into(), out.into()];
        recorder.dispatch(gpu, &self.slices, &tensors, &params, [slices as u32, 1, 1], (count * KEEP) as u64)?;
        let groups = (slices * KEEP).div_ceil(ROW_GROUP as usize);
        let work = (slices * KEEP * (slices + KEEP)) as u64;
        recorder.dispatch(gpu, &self.merge, &tensors, &params, [groups as u32, 1, 1], work)
    }

    /// Reads the words that a step left in `out`. `count` is the vocabulary's size.
    pub fn parse(words: &[u32], count: usize) -> Result<Top> {
        if words.len() < WORDS {
            return Err(Error::shape("top_logits result", WORDS, words.len()));
        }
        let logit = |index: usize| f32::from_bits(words[2 + index]);
        let candidates = (0..KEEP.min(count)).map(|i| (words[2 + KEEP + i], logit(i))).collect();
        let log_sum_exp = f32::from_bits(words[0]) + f32::from_bits(words[1]).ln();
        Ok(Top { candidates, log_sum_exp })
    }
}

impl TopLogitsScratch {
    /// For rows of `count` logits.
    pub fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        let slices = count.div_ceil(SLICE);
        Ok(Self {
            kept: gpu.tensor("top_logits.kept", &[slices, KEEP], Element::F32)?,
            kept_ids: gpu.tensor("top_logits.kept_ids", &[slices, KEEP], Element::U32)?,
            totals: gpu.tensor("top_logits.totals", &[slices, 2], Element::F32)?,
        })
    }
}
