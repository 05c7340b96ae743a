//! One tensor to another, which measures the device's memory. Shader: `shaders/copy.wgsl`.

use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor, grid};

const GROUP_SIZE: u32 = 256;

/// Copies words.
pub struct Copy {
    kernel: Kernel,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    count: u32,
}

impl Copy {
    /// Compiles it.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(GROUP_SIZE))];
        let spec = KernelSpec { name: "copy", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)? })
    }

    /// Appends one dispatch: all of `x` to `out`, both of one shape of u32.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, x: &Tensor, out: &Tensor) -> Result<()> {
        x.expect("copy x", &x.shape, Element::U32)?;
        out.expect("copy out", &x.shape, Element::U32)?;
        let count = x.len().div_ceil(4);
        let size = grid(count.div_ceil(4 * GROUP_SIZE as usize));
        let tensors = [x.into(), out.into()];
        recorder.dispatch(gpu, &self.kernel, &tensors, &Params { count: count as u32 }, size, x.len() as u64)
    }
}
