//! Rotation by position and the append to the cache. Shader: `shaders/rope_and_store.wgsl`.

use super::{HeadShape, ROW_GROUP};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Rotates and stores for one shape of heads.
pub struct RopeAndStore {
    kernel: Kernel,
    heads: HeadShape,
}

/// What one step reads and writes.
pub struct RopeAndStoreArgs<'a> {
    /// (tokens, (heads + 2 kv_heads) head_dim) f32: queries, keys, values
    pub qkv: &'a Tensor,
    /// (tokens, head_dim) f32: cosine and sine of each pair of dimensions
    pub turns: &'a Tensor,
    /// (tokens, heads * head_dim) f16
    pub queries: &'a Tensor,
    /// (kv_heads, capacity, head_dim) f16
    pub keys: &'a Tensor,
    /// (kv_heads, capacity, head_dim) f16
    pub values: &'a Tensor,
    /// Position of the first token.
    pub start: usize,
    /// How many.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    start: u32,
    capacity: u32,
}

impl RopeAndStore {
    /// Compiles for one shape of heads.
    pub fn new(gpu: &Gpu, heads: HeadShape) -> Result<Self> {
        let mut constants = heads.constants();
        constants.push(("GROUP_SIZE", U32(ROW_GROUP)));
        let spec = KernelSpec { name: "rope_and_store", entry: "main", constants: &constants, pieces: &[] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, heads })
    }

    /// Appends one dispatch: a workgroup per token.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &RopeAndStoreArgs<'_>) -> Result<()> {
        let HeadShape { heads, kv_heads, head_dim } = self.heads;
        let width = (heads + 2 * kv_heads) * head_dim;
        args.qkv.expect_rows("rope_and_store qkv", args.tokens, width, Element::F32)?;
        args.turns.expect_rows("rope_and_store turns", args.tokens, head_dim, Element::F32)?;
        args.queries.expect_rows("rope_and_store queries", args.tokens, heads * head_dim, Element::F16)?;
        let capacity = self.heads.expect_cache("rope_and_store", args.keys, args.values, args.start + args.tokens)?;
        let params = Params { start: args.start as u32, capacity: capacity as u32 };
        let tensors = [args.qkv.into(), args.turns.into(), args.queries.into(), args.keys.into(), args.values.into()];
        let work = (args.tokens * width) as u64;
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, [args.tokens as u32, 1, 1], work)
    }
}
