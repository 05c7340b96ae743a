//! Residual add and normalisation in one pass over the row. Shader: `shaders/add_rms_norm.wgsl`.

use super::ROW_GROUP;
use crate::error::Result;
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Adds and normalises rows of one width.
pub struct AddRmsNorm {
    kernel: Kernel,
    width: usize,
}

/// What one step reads and writes.
pub struct AddRmsNormArgs<'a> {
    /// (rows, width) f32, updated
    pub stream: &'a Tensor,
    /// (rows, width) f32
    pub delta: &'a Tensor,
    /// (width) f32
    pub weight: &'a Tensor,
    /// (tokens, width) f16
    pub out: &'a Tensor,
    /// Row of `stream` and `delta` to start from.
    pub first_row: usize,
    /// How many rows.
    pub tokens: usize,
    /// Factor on `delta`.
    pub residual_scale: f32,
    /// Factor on the result.
    pub scale: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    first_row: u32,
    residual_scale: f32,
    scale: f32,
}

impl AddRmsNorm {
    /// Compiles for rows of `width`, which must be even.
    pub fn new(gpu: &Gpu, width: usize, epsilon: f32) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP)), ("WIDTH", U32(width as u32)), ("EPSILON", F32(epsilon))];
        let spec = KernelSpec { name: "add_rms_norm", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, width })
    }

    /// Appends one dispatch: a workgroup per token.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AddRmsNormArgs<'_>) -> Result<()> {
        let rows = args.first_row + args.tokens;
        args.stream.expect_rows("add_rms_norm stream", rows, self.width, Element::F32)?;
        args.delta.expect_rows("add_rms_norm delta", rows, self.width, Element::F32)?;
        args.weight.expect("add_rms_norm weight", &[self.width], Element::F32)?;
        args.out.expect_rows("add_rms_norm out", args.tokens, self.width, Element::F16)?;
        let params =
            Params { first_row: args.first_row as u32, residual_scale: args.residual_scale, scale: args.scale };
        let tensors = [args.stream.into(), args.delta.into(), args.weight.into(), args.out.into()];
        let work = (args.tokens * self.width) as u64;
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, [args.tokens as u32, 1, 1], work)
    }
}
