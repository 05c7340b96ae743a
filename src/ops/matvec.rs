//! A packed matrix times one token's activations. Shader: `shaders/matvec.wgsl`.

use super::matrix::{self, Matrix};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor, grid};
use crate::weights::Format;

/// Multiplies matrices of one width and format.
pub struct Matvec {
    kernel: Kernel,
    cols: usize,
    rows_per_group: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    first_out: u32,
}

impl Matvec {
    /// Compiles for matrices with `cols` inputs.
    pub fn new(gpu: &Gpu, cols: usize, format: Format) -> Result<Self> {
        // Short rows would leave most lanes of a large workgroup without work.
        let group_size = if cols >= 2048 { 128 } else { 64 };
        let rows_per_group = 4;
        let (piece, mut constants) = matrix::piece(format, cols);
        constants.extend([("GROUP_SIZE", U32(group_size)), ("ROWS", U32(rows_per_group as u32))]);
        let pieces = [("weights", piece)];
        let spec = KernelSpec { name: "matvec", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, cols, rows_per_group })
    }

    /// Appends one dispatch per shard: `out[first_out + r] = matrix[r] . x`, with `x` the first row of (tokens, cols) f16 and `out`
    /// f32 with at least as many values as the matrix has rows.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, matrix, out): (&Tensor, &Matrix, &Tensor),
        first_out: usize,
    ) -> Result<()> {
        x.expect_rows("matvec x", 1, self.cols, Element::F16)?;
        super::expect_columns("matvec out", out, 1, first_out + matrix.rows)?;
        for shard in &matrix.shards {
            let params = Params { rows: shard.rows as u32, first_out: (first_out + shard.first_row) as u32 };
            let mut tensors: Vec<Binding<'_>> = vec![x.into()];
            tensors.extend(shard.bindings());
            tensors.push(out.into());
            let size = grid(shard.rows.div_ceil(self.rows_per_group));
            recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, (shard.rows * self.cols) as u64)?;
        }
        Ok(())
    }
}
