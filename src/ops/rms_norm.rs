//! Root-mean-square normalisation of every row. Shader: `shaders/rms_norm.wgsl`.

use super::ROW_GROUP;
use crate::error::Result;
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Normalises rows of one width.
pub struct RmsNorm {
    kernel: Kernel,
    width: usize,
}

/// What one normalisation reads and writes.
pub struct RmsNormArgs<'a> {
    /// (rows, width) f32
    pub x: &'a Tensor,
    /// (width) f32
    pub weight: &'a Tensor,
    /// (tokens, width) f16
    pub out: &'a Tensor,
    /// Row of `x` to start from.
    pub first_row: usize,
    /// How many rows.
    pub tokens: usize,
    /// Factor on the result.
    pub scale: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    first_row: u32,
    scale: f32,
}

impl RmsNorm {
    /// Compiles for rows of `width`, which must be even.
    pub fn new(gpu: &Gpu, width: usize, epsilon: f32) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP)), ("WIDTH", U32(width as u32)), ("EPSILON", F32(epsilon))];
        let spec = KernelSpec { name: "rms_norm", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, width })
    }

    /// Appends one dispatch: a workgroup per token.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &RmsNormArgs<'_>) -> Result<()> {
        args.x.expect_rows("rms_norm x", args.first_row + args.tokens, self.width, Element::F32)?;
        args.weight.expect("rms_norm weight", &[self.width], Element::F32)?;
        args.out.expect_rows("rms_norm out", args.tokens, self.width, Element::F16)?;
        let params = Params { first_row: args.first_row as u32, scale: args.scale };
        let tensors = [args.x.into(), args.weight.into(), args.out.into()];
        let work = (args.tokens * self.width) as u64;
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, [args.tokens as u32, 1, 1], work)
    }
}
