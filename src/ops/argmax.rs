//! The most likely token. Shader: `shaders/argmax.wgsl`.

use super::ROW_GROUP;
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Finds the largest logit.
pub struct Argmax {
    kernel: Kernel,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

impl Argmax {
    /// Compiles; any number of logits.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP))];
        let spec = KernelSpec { name: "argmax", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)? })
    }

    /// Appends one dispatch: the id of the largest of the first row of `logits` (rows, count) f32 to `out` (1) u32.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, logits: &Tensor, out: &Tensor) -> Result<()> {
        let count = super::columns("argmax logits", logits, Element::F32)?;
        out.expect("argmax out", &[1], Element::U32)?;
        let params = Params { count: count as u32 };
        recorder.dispatch(gpu, &self.kernel, &[logits.into(), out.into()], &params, [1, 1, 1], count as u64)
    }
}
