//! The gated activation of the feed-forward block. Shader: `shaders/swiglu.wgsl`.

use super::RowLayout;
use super::row_out::{RowOut, RowTarget};
use crate::error::Result;
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Binding, Element, Gpu, Recorder, Tensor, grid};

/// Lanes of a workgroup: few, so that one token's row fills a device.
const GROUP_SIZE: u32 = 64;

/// What results are multiplied by, so that activations up to 4 million fit in f16. A power of two rounds nothing, and
/// values that become so small that they lose digits (below 0.004) are far below what the sum of a row resolves.
pub const SCALE: f32 = 1.0 / 64.0;

/// Joins gate and up of one width.
pub struct Swiglu {
    kernels: RowOut,
    width: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
}

impl Swiglu {
    /// Compiles for `width` values of each, a multiple of 8, that may be wanted as integers in `layouts`.
    pub fn new(gpu: &Gpu, width: usize, layouts: &[RowLayout]) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(GROUP_SIZE)), ("WIDTH", U32(width as u32)), ("SCALE", F32(SCALE))];
        Ok(Self { kernels: RowOut::new(gpu, "swiglu", width, &constants, layouts)?, width })
    }

    /// Appends one dispatch: `x` (tokens, 2 width) f32, gate before up, to `out` (tokens, width), which is [`SCALE`] times
    /// the activation.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        x: &Tensor,
        out: RowTarget<'_>,
        tokens: usize,
    ) -> Result<()> {
        x.expect_rows("swiglu x", tokens, 2 * self.width, Element::F32)?;
        let (kernel, out) = self.kernels.kernel(out, tokens)?;
        let eights = tokens * self.width / 8;
        let params = Params { tokens: tokens as u32 };
        let size = grid(eights.div_ceil(GROUP_SIZE as usize));
        let tensors: Vec<Binding<'_>> = std::iter::once(x.into()).chain(out).collect();
        recorder.dispatch(gpu, kernel, &tensors, &params, size, (eights * 4) as u64)
    }
}
