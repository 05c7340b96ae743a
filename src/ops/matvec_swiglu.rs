//! Gate, up and their gated activation for one token. Shader: `shaders/matvec_swiglu.wgsl`.

use super::Matrix;
use super::quantize_row::{RoundedRow, RowLayout};
use super::row_products::{OUTPUTS, RowProducts, round_out};
use super::swiglu::SCALE;
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::F32;
use crate::gpu::{Binding, Gpu, Recorder, grid};
use crate::weights::Format;

/// Multiplies matrices of one width and format, for rows of one layout.
pub struct MatvecSwiglu {
    products: RowProducts,
    out: RowLayout,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    inner: u32,
}

impl MatvecSwiglu {
    /// Compiles for matrices with `cols` inputs whose results are wanted in the layout `out`.
    pub fn new(gpu: &Gpu, (cols, format): (usize, Format), out: RowLayout, epsilon: f32) -> Result<Self> {
        let own = [round_out(out).as_slice(), &[("EPSILON", F32(epsilon)), ("SCALE", F32(SCALE))]].concat();
        Ok(Self { products: RowProducts::new(gpu, "matvec_swiglu", (cols, format), &own)?, out })
    }

    /// Appends one dispatch: `out` is [`SCALE`] times the activation of `gate_up` times the normalised `row`; gates are the
    /// first half of the matrix.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        row: &RoundedRow,
        (gate_up, out): (&Matrix, &RoundedRow),
    ) -> Result<()> {
        let inner = gate_up.rows / 2;
        if !inner.is_multiple_of(OUTPUTS) {
            return Err(Error::shape("matvec_swiglu", format!("gates in multiples of {OUTPUTS}"), inner));
        }
        let shard = self.products.single(row, gate_up, 2 * inner)?;
        out.expect("matvec_swiglu out", self.out, inner)?;
        let mut tensors = RowProducts::bindings(row, shard);
        tensors.extend([&out.integers, &out.steps].map(Binding::from));
        let params = Params { inner: inner as u32 };
        let work = (gate_up.rows * gate_up.cols) as u64;
        recorder.dispatch(gpu, &self.products.kernel, &tensors, &params, grid(inner / OUTPUTS), work)
    }
}
