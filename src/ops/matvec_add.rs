//! A block's last matrix for one token, the residual add, and the rounding of what the next norm reads. Shader:
//! `shaders/matvec_add.wgsl`.

use super::Matrix;
use super::quantize_row::{RoundedRow, RowLayout};
use super::row_products::{OUTPUTS, RowProducts, round_out};
use crate::error::{Error, Result};
use crate::gpu::{Binding, Element, Gpu, Recorder, Tensor, grid};
use crate::weights::Format;

/// Multiplies matrices of one width and format, for rows of one layout.
pub struct MatvecAdd {
    products: RowProducts,
    out: RowLayout,
}

/// What one step reads and writes.
pub struct MatvecAddArgs<'a> {
    /// What is multiplied; not normalised.
    pub row: &'a RoundedRow,
    /// (width, cols)
    pub matrix: &'a Matrix,
    /// (rows, width) f32; the first row is updated
    pub stream: &'a Tensor,
    /// (width) f32: weights of the norm that reads the stream next
    pub norm: &'a Tensor,
    /// The first row of the stream times `norm`, and its squares.
    pub out: &'a RoundedRow,
    /// Factor on what is added.
    pub scale: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    scale: f32,
}

impl MatvecAdd {
    /// Compiles for matrices with `cols` inputs whose results are wanted in the layout `out`.
    pub fn new(gpu: &Gpu, (cols, format): (usize, Format), out: RowLayout) -> Result<Self> {
        Ok(Self { products: RowProducts::new(gpu, "matvec_add", (cols, format), &round_out(out))?, out })
    }

    /// Appends one dispatch.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &MatvecAddArgs<'_>) -> Result<()> {
        let MatvecAddArgs { row, matrix, stream, norm, out, scale } = *args;
        let rows = matrix.rows;
        if !rows.is_multiple_of(OUTPUTS) {
            return Err(Error::shape("matvec_add", format!("rows in multiples of {OUTPUTS}"), rows));
        }
        let shard = self.products.single(row, matrix, rows)?;
        stream.expect_rows("matvec_add stream", 1, rows, Element::F32)?;
        norm.expect("matvec_add norm", &[rows], Element::F32)?;
        out.expect("matvec_add out", self.out, rows)?;
        let mut tensors = RowProducts::bindings(row, shard);
        tensors.extend([stream, norm, &out.integers, &out.steps].map(Binding::from));
        let params = Params { rows: rows as u32, scale };
        let work = (rows * matrix.cols) as u64;
        recorder.dispatch(gpu, &self.products.kernel, &tensors, &params, grid(rows / OUTPUTS), work)
    }
}
