//! The gated activation of the feed-forward block. Shader: `shaders/swiglu.wgsl`.

use super::ROW_GROUP;
use crate::error::Result;
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor, grid};

/// What results are multiplied by, so that activations up to 4 million fit in f16. A power of two rounds nothing, and
/// values that become so small that they lose digits (below 0.004) are far below what the sum of a row resolves.
pub const SCALE: f32 = 1.0 / 64.0;

/// Joins gate and up of one width.
pub struct Swiglu {
    kernel: Kernel,
    width: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
}

impl Swiglu {
    /// Compiles for `width` values of each, which must be even.
    pub fn new(gpu: &Gpu, width: usize) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP)), ("WIDTH", U32(width as u32)), ("SCALE", F32(SCALE))];
        let spec = KernelSpec { name: "swiglu", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, width })
    }

    /// Appends one dispatch: `x` (tokens, 2 width) f32, gate before up, to `out` (tokens, width) f16, which is [`SCALE`] times
    /// the activation.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, x: &Tensor, out: &Tensor, tokens: usize) -> Result<()> {
        x.expect_rows("swiglu x", tokens, 2 * self.width, Element::F32)?;
        out.expect_rows("swiglu out", tokens, self.width, Element::F16)?;
        let pairs = tokens * self.width / 2;
        let params = Params { tokens: tokens as u32 };
        let size = grid(pairs.div_ceil(ROW_GROUP as usize));
        recorder.dispatch(gpu, &self.kernel, &[x.into(), out.into()], &params, size, pairs as u64)
    }
}
