//! A packed matrix times the activations of many tokens. Shader: `shaders/matmul.wgsl`.

use super::matrix::{self, Matrix};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::weights::Format;

/// Side of the tile of tokens and rows that a workgroup computes.
const TILE: usize = 64;
/// The same with cooperative matrices, and the columns they take at a time.
const COOP_TILE: usize = 128;
const COOP_DEPTH: usize = 32;

/// Multiplies matrices of one width and format.
pub struct Matmul {
    plain: Kernel,
    coop: Option<Kernel>,
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

impl Matmul {
    /// Compiles for matrices with `cols` inputs.
    pub fn new(gpu: &Gpu, cols: usize, format: Format) -> Result<Self> {
        let (piece, mut constants) = matrix::piece(format, cols);
        let pieces = [("weights", piece)];
        let spec = KernelSpec { name: "matmul", entry: "main", constants: &constants, pieces: &pieces };
        let plain = Kernel::new(gpu, &spec)?;
        let coop = match (gpu.features.coop, gpu.features.subgroup_size) {
            (Some(shape), Some(subgroup)) if cols % COOP_DEPTH == 0 => {
                constants.extend([("M", U32(shape.side())), ("SUBGROUP", U32(subgroup))]);
                let spec = KernelSpec { name: "coop/matmul", entry: "main", constants: &constants, pieces: &pieces };
                Kernel::optional(gpu, &spec)
            }
            _ => None,
        };
        Ok(Self { plain, coop, cols })
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
            let params = Params {
                tokens: tokens as u32,
                rows: shard.rows as u32,
                first_out: (first_out + shard.first_row) as u32,
                out_cols: out.shape[1] as u32,
            };
            let mut tensors: Vec<Binding<'_>> = vec![x.into()];
            tensors.extend(shard.bindings());
            tensors.push(out.into());
            let (kernel, tile) = match &self.coop {
                Some(coop) if whole_tiles(shard.rows, tokens, x, out) => (coop, COOP_TILE),
                _ => (&self.plain, TILE),
            };
            let size = [shard.rows.div_ceil(tile) as u32, tokens.div_ceil(tile) as u32, 1];
            recorder.dispatch(gpu, kernel, &tensors, &params, size, (tokens * shard.rows * self.cols) as u64)?;
        }
        Ok(())
    }
}

/// Whether cooperative tiles neither miss rows of the shard nor leave the tensors. A few tokens are not worth a tile.
fn whole_tiles(rows: usize, tokens: usize, x: &Tensor, out: &Tensor) -> bool {
    let padded = tokens.next_multiple_of(COOP_TILE);
    rows % COOP_TILE == 0 && tokens >= 16 && x.shape[0] >= padded && out.shape[0] >= padded
}
