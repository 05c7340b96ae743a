//! A packed matrix times one token's normalised row. Shader: `shaders/matvec_normed.wgsl`.

use super::Matrix;
use super::quantize_row::RoundedRow;
use super::row_products::{OUTPUTS, RowProducts};
use crate::error::Result;
use crate::gpu::shader::Constant::F32;
use crate::gpu::{Gpu, Recorder, Tensor, grid};
use crate::weights::Format;

/// Multiplies matrices of one width and format.
pub struct MatvecNormed {
    products: RowProducts,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    first_out: u32,
    scale: f32,
}

impl MatvecNormed {
    /// Compiles for matrices with `cols` inputs.
    pub fn new(gpu: &Gpu, (cols, format): (usize, Format), epsilon: f32) -> Result<Self> {
        let own = [("EPSILON", F32(epsilon))];
        Ok(Self { products: RowProducts::new(gpu, "matvec_normed", (cols, format), &own)? })
    }

    /// Appends one dispatch per shard: `out[first_out + r] = scale * factor * (matrix[r] . row)`, `out` (1, at least that many) f32.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        row: &RoundedRow,
        (matrix, out): (&Matrix, &Tensor),
        (first_out, scale): (usize, f32),
    ) -> Result<()> {
        self.products.expect(row, matrix)?;
        super::expect_columns("matvec_normed out", out, 1, first_out + matrix.rows)?;
        for shard in &matrix.shards {
            let params = Params { rows: shard.rows as u32, first_out: (first_out + shard.first_row) as u32, scale };
            let mut tensors = RowProducts::bindings(row, shard);
            tensors.push(out.into());
            let (size, work) = (grid(shard.rows.div_ceil(OUTPUTS)), (shard.rows * matrix.cols) as u64);
            recorder.dispatch(gpu, &self.products.kernel, &tensors, &params, size, work)?;
        }
        Ok(())
    }
}
