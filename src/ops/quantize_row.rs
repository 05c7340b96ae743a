//! Activations as 8-bit integers: of one token for [`super::Matvec`] in its integer form, of many for [`super::Matmul`]. Shader:
//! `shaders/quantize_row.wgsl`.

use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{Bool, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor, grid};
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

    /// Shapes of the tensors of integers (U32, four to a word) and of steps (F32: for each chunk the step and step times sum of the
    /// integers, then for each chunk the sum of squares and nothing) for rows of `cols`.
    pub fn shapes(self, cols: usize) -> ([usize; 2], [usize; 2]) {
        ([1, cols / 4], [1, 4 * (cols / self.chunk)])
    }
}

/// One rounded row. It may be a normalised row but for one factor, which follows from the squares that it carries: what reads
/// such a row is an op with `normed` or `rope_and_store` or `swiglu` in its name.
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

/// Memory for the rounded rows of many tokens, in whatever layout.
pub struct RoundedRows {
    /// (values / 4) U32, four to a word, token after token
    pub integers: Tensor,
    /// (values / 4) F32: step, and step times sum of the integers, of each chunk
    pub steps: Tensor,
}

impl RoundedRows {
    /// Bytes for a value: its integer, and steps of the layout that has most of them.
    pub const VALUE_BYTES: usize = 2;

    /// For `rows` rows of up to `cols` values.
    pub fn new(gpu: &Gpu, label: &str, rows: usize, cols: usize) -> Result<Self> {
        Ok(Self {
            integers: gpu.tensor(format!("{label}.integers"), &[rows, cols / 4], Element::U32)?,
            steps: gpu.tensor(format!("{label}.steps"), &[rows, cols / 4], Element::F32)?,
        })
    }

    /// Checks that `tokens` rows of `cols` fit.
    pub(super) fn expect(&self, what: &str, tokens: usize, cols: usize) -> Result<()> {
        let (needed, room) = (tokens * cols / 4, self.integers.len().min(self.steps.len()));
        if room < needed {
            return Err(Error::shape(what, format!("room for {needed} words"), room));
        }
        Ok(())
    }
}

/// Rounds rows for weights of one layout.
pub struct QuantizeRow {
    kernel: Kernel,
    rows_kernel: Kernel,
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
        let kernel =
            |entry| Kernel::new(gpu, &KernelSpec { name: "quantize_row", entry, constants: &constants, pieces: &[] });
        Ok(Self { kernel: kernel("main")?, rows_kernel: kernel("rows")?, layout })
    }

    /// The layout that it leaves.
    pub fn layout(&self) -> RowLayout {
        self.layout
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

    /// Appends one dispatch: the first `tokens` rows of `x` (tokens, cols) f16 to `rows`.
    pub fn record_rows(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, rows): (&Tensor, &RoundedRows),
        (tokens, cols): (usize, usize),
    ) -> Result<()> {
        x.expect_rows("quantize_row x", tokens, cols, Element::F16)?;
        rows.expect("quantize_row rows", tokens, cols)?;
        // All rows are one long one, of which nobody asks for squares.
        let chunks = tokens * cols / self.layout.chunk;
        let size = grid(chunks.div_ceil(GROUP_SIZE as usize));
        let tensors = [x.into(), (&rows.integers).into(), (&rows.steps).into()];
        let params = Params { chunks: chunks as u32 };
        recorder.dispatch(gpu, &self.rows_kernel, &tensors, &params, size, (tokens * cols) as u64)
    }
}
