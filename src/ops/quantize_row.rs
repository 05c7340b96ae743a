//! One token's activations as 8-bit integers, for [`super::Matvec`] in its integer form. Shader: `shaders/quantize_row.wgsl`.

use crate::error::{Error, Result};
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
    /// Every layout there is.
    pub const ALL: [Self; 2] = [Self { chunk: 32, split: true }, Self { chunk: 16, split: false }];

    /// The layout for weights in `format`; `None` where they have no integer form: floats are no integers, and
    /// 16 neighbours of 4 bits are half a chunk.
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::Affine { bits: 4, group } if group >= 32 => Some(Self::ALL[0]),
            Format::Affine { bits: 8, .. } => Some(Self::ALL[1]),
            _ => None,
        }
    }

    /// Those that decoding may ask for on this device.
    pub fn wanted(gpu: &Gpu) -> &'static [Self] {
        if gpu.features.int8 { &Self::ALL } else { &[] }
    }

    /// Shapes of the tensors of integers (U32, four to a word) and of steps (F32, with the sums) for rows of `cols`.
    pub fn shapes(self, cols: usize) -> ([usize; 2], [usize; 2]) {
        ([1, cols / 4], [1, 2 * (cols / self.chunk)])
    }
}

/// Memory for one rounded row.
pub struct RoundedRow {
    /// How it lies there.
    pub layout: RowLayout,
    /// See [`RowLayout::shapes`].
    pub integers: Tensor,
    /// See [`RowLayout::shapes`].
    pub steps: Tensor,
}

impl RoundedRow {
    /// For rows of `cols`.
    pub fn new(gpu: &Gpu, label: &str, cols: usize, layout: RowLayout) -> Result<Self> {
        let (integers, steps) = layout.shapes(cols);
        Ok(Self {
            layout,
            integers: gpu.tensor(format!("{label}.integers"), &integers, Element::U32)?,
            steps: gpu.tensor(format!("{label}.steps"), &steps, Element::F32)?,
        })
    }

    /// Checks that it has this layout and holds `cols` values.
    pub fn expect(&self, what: &str, layout: RowLayout, cols: usize) -> Result<()> {
        if self.layout != layout {
            return Err(Error::shape(what, format!("{layout:?}"), format!("{:?}", self.layout)));
        }
        let (integers, steps) = layout.shapes(cols);
        self.integers.expect(what, &integers, Element::U32)?;
        self.steps.expect(what, &steps, Element::F32)
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

    /// Appends one dispatch: the first row of `x` (tokens, cols) f16 to `row`.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, row): (&Tensor, &RoundedRow),
        cols: usize,
    ) -> Result<()> {
        x.expect_rows("quantize_row x", 1, cols, Element::F16)?;
        row.expect("quantize_row row", self.layout, cols)?;
        let chunks = (cols / self.layout.chunk) as u32;
        let size = [chunks.div_ceil(GROUP_SIZE), 1, 1];
        let tensors = [x.into(), (&row.integers).into(), (&row.steps).into()];
        recorder.dispatch(gpu, &self.kernel, &tensors, &Params { chunks }, size, cols as u64)
    }
}
