//! Queries, keys and values of one token, rotated and stored. Shader: `shaders/matvec_rope_and_store.wgsl`.

use super::quantize_row::RoundedRow;
use super::row_products::{OUTPUTS, RowProducts};
use super::{CacheFormat, CachedTokens, HeadShape, Matrix};
use crate::error::Result;
use crate::gpu::shader::Constant::F32;
use crate::gpu::{Binding, Element, Gpu, Recorder, Tensor};
use crate::weights::Format;

/// Multiplies matrices of one width and format, for one shape of heads.
pub struct MatvecRopeAndStore {
    products: RowProducts,
    heads: HeadShape,
}

/// What one step reads and writes.
pub struct MatvecRopeAndStoreArgs<'a> {
    /// Normalised, or with its squares.
    pub row: &'a RoundedRow,
    /// ((heads + 2 kv_heads) head_dim, cols): queries, keys, values
    pub matrix: &'a Matrix,
    /// (at least 1, head_dim) f32: cosine and sine of each pair of dimensions
    pub turns: &'a Tensor,
    /// (at least 1, heads * head_dim) f16
    pub queries: &'a Tensor,
    /// Gets the key and value of `position`; 16-bit floats.
    pub cache: &'a CachedTokens,
    /// The token's place.
    pub position: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    position: u32,
    capacity: u32,
}

impl MatvecRopeAndStore {
    /// Compiles for matrices with `cols` inputs.
    pub fn new(gpu: &Gpu, (cols, format): (usize, Format), heads: HeadShape, epsilon: f32) -> Result<Self> {
        let own = [heads.constants(), vec![("EPSILON", F32(epsilon))]].concat();
        Ok(Self { products: RowProducts::new(gpu, "matvec_rope_and_store", (cols, format), &own)?, heads })
    }

    /// Appends one dispatch.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &MatvecRopeAndStoreArgs<'_>) -> Result<()> {
        let HeadShape { heads, kv_heads, head_dim } = self.heads;
        let rows = (heads + 2 * kv_heads) * head_dim;
        let shard = self.products.single(args.row, args.matrix, rows)?;
        args.turns.expect_rows("matvec_rope_and_store turns", 1, head_dim, Element::F32)?;
        args.queries.expect_rows("matvec_rope_and_store queries", 1, heads * head_dim, Element::F16)?;
        args.cache.expect("matvec_rope_and_store", self.heads, CacheFormat::F16, (args.position + 1, 1))?;
        let mut tensors = RowProducts::bindings(args.row, shard);
        tensors.extend([args.turns, args.queries].map(Binding::from));
        tensors.extend(args.cache.bindings());
        let params = Params { position: args.position as u32, capacity: args.cache.capacity as u32 };
        let size = [(rows / OUTPUTS) as u32, 1, 1];
        recorder.dispatch(gpu, &self.products.kernel, &tensors, &params, size, (rows * args.matrix.cols) as u64)
    }
}
