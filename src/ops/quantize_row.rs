//! One token's activations as 8-bit integers, for [`super::Matvec`] in its integer form. Shader: `shaders/quantize_row.wgsl`.

use crate::error::Result;
use crate::gpu::shader::Constant::{Bool, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::weights::Format;

/// Lanes of a workgroup, each with a chunk.
const GROUP_SIZE: u32 = 32;

/// How the integers of a row lie in memory, which follows from the weights they are to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowLayout {
    /// Neighbours that share a step: as many as 16 bytes of weights have columns.
    pub chunk: usize,
    /// Of every eight neighbours the even ones come first.
    pub split: bool,
}

impl RowLayout {
    /// The layout for weights in `format`; `None` where they have no integer form: floats are no integers, and
    /// 16 neighbours of 4 bits are half a chunk.
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::Affine { bits: 4, group } if group >= 32 => Some(Self { chunk: 32, split: true }),
            Format::Affine { bits: 8, .. } => Some(Self { chunk: 16, split: false }),
            _ => None,
        }
    }

    /// Shapes of the tensors of integers (U32, four to a word) and of steps (F32, with the sums) for rows of `cols`.
    pub fn shapes(self, cols: usize) -> ([usize; 2], [usize; 2]) {
        ([1, cols / 4], [1, 2 * (cols / self.chunk)])
    }
}

/// Rounds rows for weights of one layout.
pub struct QuantizeRow {
    kernel: Kernel,
    layout: RowLayout,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    chunks: u32,
}

impl QuantizeRow {
    /// Compiles for one layout.
    pub fn new(gpu: &Gpu, layout: RowLayout) -> Result<Self> {
        let constants =
            [("GROUP_SIZE", U32(GROUP_SIZE)), ("CHUNK", U32(layout.chunk as u32)), ("SPLIT", Bool(layout.split))];
        let spec = KernelSpec { name: "quantize_row", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, layout })
    }

    /// Appends one dispatch: the first row of `x` (tokens, cols) f16 to `integers` and `steps`, shaped as
    /// [`RowLayout::shapes`] says.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, integers, steps): (&Tensor, &Tensor, &Tensor),
        cols: usize,
    ) -> Result<()> {
        let (integer_shape, step_shape) = self.layout.shapes(cols);
        x.expect_rows("quantize_row x", 1, cols, Element::F16)?;
        integers.expect("quantize_row integers", &integer_shape, Element::U32)?;
        steps.expect("quantize_row steps", &step_shape, Element::F32)?;
        let chunks = (cols / self.layout.chunk) as u32;
        let size = [chunks.div_ceil(GROUP_SIZE), 1, 1];
        let tensors = [x.into(), integers.into(), steps.into()];
        recorder.dispatch(gpu, &self.kernel, &tensors, &Params { chunks }, size, cols as u64)
    }
}
