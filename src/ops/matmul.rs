//! A packed matrix times the activations of many tokens. Shaders: `shaders/coop/matmul.wgsl` where the adapter has cooperative
//! matrices, `processor/matmul.wgsl` where the driver runs shaders on the processor, else `matmul_int8.wgsl` for weights with an
//! integer form, and `matmul.wgsl` for all others.

use super::matrix::{self, Matrix, Shard};
use super::quantize_row::{RoundedRows, RowLayout};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::weights::Format;

/// Rows and tokens of the tile that a workgroup computes.
const TILE: [usize; 2] = [64, 64];
/// The same for each lane of a processor.
const PROCESSOR_ROWS: usize = 8;
const PROCESSOR_TOKENS: usize = 16;
/// Columns that cooperative matrices take at a time.
const COOP_DEPTH: usize = 32;
/// Tokens and rows of a tile in integers.
const INT8_TOKENS: usize = 128;
const INT8_ROWS: usize = 64;

/// Multiplies matrices of one width and format.
pub struct Matmul {
    /// With the rows and tokens of its tile.
    plain: (Kernel, [usize; 2]),
    /// With the side of its tile.
    coop: Option<(Kernel, usize)>,
    /// With the layout of its activations.
    int8: Option<(Kernel, RowLayout)>,
    cols: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    rows: u32,
    first_out: u32,
    out_cols: u32,
}

impl Params {
    fn new(tokens: usize, shard: &Shard, first_out: usize, out: &Tensor) -> Self {
        Self {
            tokens: tokens as u32,
            rows: shard.rows as u32,
            first_out: (first_out + shard.first_row) as u32,
            out_cols: out.shape[1] as u32,
        }
    }
}

impl Matmul {
    /// Compiles for matrices with `cols` inputs, in the form that suits the device.
    pub fn new(gpu: &Gpu, cols: usize, format: Format) -> Result<Self> {
        Self::with_integers(gpu, cols, format, Self::rounds(gpu))
    }

    /// Compiles the form in integers too if `integers` says so and the format has one.
    pub fn with_integers(gpu: &Gpu, cols: usize, format: Format, integers: bool) -> Result<Self> {
        let (piece, mut constants) = matrix::piece(format, cols);
        let pieces = [("weights", piece)];
        let spec = KernelSpec { name: "matmul", entry: "main", constants: &constants, pieces: &pieces };
        let plain = match Self::for_processor(gpu, &spec) {
            Some(form) => form,
            None => (Kernel::new(gpu, &spec)?, TILE),
        };
        let coop = match (gpu.features.coop, gpu.features.subgroup_size) {
            (Some(shape), Some(subgroup)) if cols.is_multiple_of(COOP_DEPTH) && subgroup <= 32 => {
                let loads = 8 * shape.side() * COOP_DEPTH as u32 / 8 / (4 * subgroup);
                constants.extend([("M", U32(shape.side())), ("SUBGROUP", U32(subgroup)), ("LOADS", U32(loads))]);
                let spec = KernelSpec { name: "coop/matmul", entry: "main", constants: &constants, pieces: &pieces };
                Kernel::optional(gpu, &spec).map(|kernel| (kernel, 8 * shape.side() as usize))
            }
            _ => None,
        };
        let int8 = match RowLayout::of(format) {
            Some(layout) if integers => {
                let (piece, constants) = matrix::piece(format, cols);
                let pieces = [("bytes", piece)];
                let spec = KernelSpec { name: "matmul_int8", entry: "main", constants: &constants, pieces: &pieces };
                Some((Kernel::new(gpu, &spec)?, layout))
            }
            _ => None,
        };
        Ok(Self { plain, coop, int8, cols })
    }

    /// The form for drivers that run shaders on the processor.
    fn for_processor(gpu: &Gpu, plain: &KernelSpec<'_>) -> Option<(Kernel, [usize; 2])> {
        let lanes = gpu.features.processor?;
        let constants = [plain.constants, &[("LANES", U32(lanes))]].concat();
        let spec = KernelSpec { name: "processor/matmul", constants: &constants, ..*plain };
        Some((Kernel::optional(gpu, &spec)?, [PROCESSOR_ROWS * lanes as usize, PROCESSOR_TOKENS]))
    }

    /// Whether this device multiplies rounded activations where the weights have an integer form.
    pub fn rounds(gpu: &Gpu) -> bool {
        gpu.features.int8 && gpu.features.coop.is_none()
    }

    /// The layout of the integers that [`Matmul::record_integers`] takes; `None` where [`Matmul::record`] is to be called.
    pub fn layout(&self) -> Option<RowLayout> {
        self.int8.as_ref().map(|(_, layout)| *layout)
    }

    /// As [`Matmul::record`] from integers, as [`super::QuantizeRow::record_rows`] leaves them.
    pub fn record_integers(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, matrix, out): (&RoundedRows, &Matrix, &Tensor),
        first_out: usize,
        tokens: usize,
    ) -> Result<()> {
        let Some((kernel, _)) = &self.int8 else {
            return Err(Error::shape("matmul", "weights and a device with an integer form", matrix.format));
        };
        x.expect("matmul x", tokens, self.cols)?;
        super::expect_columns("matmul out", out, tokens, first_out + matrix.rows)?;
        for shard in &matrix.shards {
            let params = Params::new(tokens, shard, first_out, out);
            let mut tensors: Vec<Binding<'_>> = vec![(&x.integers).into()];
            tensors.extend(shard.bindings());
            tensors.extend([&x.steps, out].map(Binding::from));
            let size = [shard.rows.div_ceil(INT8_ROWS) as u32, tokens.div_ceil(INT8_TOKENS) as u32, 1];
            recorder.dispatch(gpu, kernel, &tensors, &params, size, (tokens * shard.rows * self.cols) as u64)?;
        }
        Ok(())
    }

    /// Appends one dispatch per shard: `out[t, first_out + r] = matrix[r] . x[t]`, with `x` (tokens, cols) f16 and `out`
    /// (tokens, rows) f32.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, matrix, out): (&Tensor, &Matrix, &Tensor),
        first_out: usize,
        tokens: usize,
    ) -> Result<()> {
        x.expect_rows("matmul x", tokens, self.cols, Element::F16)?;
        super::expect_columns("matmul out", out, tokens, first_out + matrix.rows)?;
        for shard in &matrix.shards {
            let params = Params::new(tokens, shard, first_out, out);
            let mut tensors: Vec<Binding<'_>> = vec![x.into()];
            tensors.extend(shard.bindings());
            tensors.push(out.into());
            let (kernel, [tile_rows, tile_tokens]) = match &self.coop {
                Some((coop, tile)) if whole_tiles(*tile, shard.rows, tokens, x, out) => (coop, [*tile; 2]),
                _ => (&self.plain.0, self.plain.1),
            };
            let size = [shard.rows.div_ceil(tile_rows) as u32, tokens.div_ceil(tile_tokens) as u32, 1];
            recorder.dispatch(gpu, kernel, &tensors, &params, size, (tokens * shard.rows * self.cols) as u64)?;
        }
        Ok(())
    }
}

/// Whether cooperative tiles neither miss rows of the shard nor leave the tensors. Few tokens take a whole tile too: a token's
/// result must not hang on how many come with it, because how a prompt is cut into chunks follows the device's speed.
fn whole_tiles(tile: usize, rows: usize, tokens: usize, x: &Tensor, out: &Tensor) -> bool {
    let padded = tokens.next_multiple_of(tile);
    rows.is_multiple_of(tile) && x.shape[0] >= padded && out.shape[0] >= padded
}
