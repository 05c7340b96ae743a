//! Log-probability of the token that followed each row of logits. Shader: `shaders/log_probs.wgsl`.

use super::ROW_GROUP;
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Scores rows of logits.
pub struct LogProbs {
    kernel: Kernel,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    vocab: u32,
    first: u32,
}

impl LogProbs {
    /// Compiles; any vocabulary.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP))];
        let spec = KernelSpec { name: "log_probs", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)? })
    }

    /// Appends one dispatch: the first `rows` rows of `logits` (rows, vocab) f32, for `targets[first ..]` (tokens, 1)
    /// u32 below the vocabulary's size, to `out[first ..]` (tokens, 1) f32.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (logits, targets, out): (&Tensor, &Tensor, &Tensor),
        first: usize,
        rows: usize,
    ) -> Result<()> {
        let vocab = super::columns("log_probs logits", logits, Element::F32)?;
        targets.expect_rows("log_probs targets", first + rows, 1, Element::U32)?;
        out.expect_rows("log_probs out", first + rows, 1, Element::F32)?;
        let params = Params { vocab: vocab as u32, first: first as u32 };
        let tensors = [logits.into(), targets.into(), out.into()];
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, [rows as u32, 1, 1], (rows * vocab) as u64)
    }
}
