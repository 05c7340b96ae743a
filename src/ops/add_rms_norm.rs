//! Residual add and normalisation in one pass over the row. Shader: `shaders/add_rms_norm.wgsl`.

use super::row_out::{RowOut, RowTarget};
use super::{ROW_GROUP, RowLayout};
use crate::error::Result;
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Binding, Element, Gpu, Recorder, Tensor};

/// Adds and normalises rows of one width.
pub struct AddRmsNorm {
    kernels: RowOut,
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
    /// The result.
    pub out: RowTarget<'a>,
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
    /// Compiles for rows of `width`, a multiple of 8, that may be wanted as integers in `layouts`.
    pub fn new(gpu: &Gpu, width: usize, epsilon: f32, layouts: &[RowLayout]) -> Result<Self> {
        let constants = [
            ("GROUP_SIZE", U32(ROW_GROUP)),
            ("WIDTH", U32(width as u32)),
            ("TURNS", U32((width as u32 / 8).div_ceil(ROW_GROUP))),
            ("EPSILON", F32(epsilon)),
        ];
        Ok(Self { kernels: RowOut::new(gpu, "add_rms_norm", width, &constants, layouts)?, width })
    }

    /// Appends one dispatch: a workgroup per token.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AddRmsNormArgs<'_>) -> Result<()> {
        let rows = args.first_row + args.tokens;
        args.stream.expect_rows("add_rms_norm stream", rows, self.width, Element::F32)?;
        args.delta.expect_rows("add_rms_norm delta", rows, self.width, Element::F32)?;
        args.weight.expect("add_rms_norm weight", &[self.width], Element::F32)?;
        let params =
            Params { first_row: args.first_row as u32, residual_scale: args.residual_scale, scale: args.scale };
        let (kernel, out) = self.kernels.kernel(args.out, args.tokens)?;
        let own = [args.stream.into(), args.delta.into(), args.weight.into()];
        let tensors: Vec<Binding<'_>> = own.into_iter().chain(out).collect();
        let work = (args.tokens * self.width) as u64;
        recorder.dispatch(gpu, kernel, &tensors, &params, [args.tokens as u32, 1, 1], work)
    }
}
