//! Rotation by position and the append to the cache. Shader: `shaders/rope_and_store.wgsl`.

use super::{CacheFormat, CachedTokens, HeadShape, ROW_GROUP};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Rotates and stores for one shape of heads.
pub struct RopeAndStore {
    kernel: Kernel,
    heads: HeadShape,
    cache: CacheFormat,
}

/// What one step reads and writes.
pub struct RopeAndStoreArgs<'a> {
    /// (tokens, (heads + 2 kv_heads) head_dim) f32: queries, keys, values
    pub qkv: &'a Tensor,
    /// (tokens, head_dim) f32: cosine and sine of each pair of dimensions
    pub turns: &'a Tensor,
    /// (tokens, heads * head_dim) f16
    pub queries: &'a Tensor,
    /// Gets the keys and values of positions `start .. start + tokens`.
    pub cache: &'a CachedTokens,
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
    /// Compiles for one shape of heads and one format of the cache.
    pub fn new(gpu: &Gpu, heads: HeadShape, cache: CacheFormat) -> Result<Self> {
        let mut constants = heads.constants();
        constants.push(("GROUP_SIZE", U32(ROW_GROUP)));
        let pieces = [("cache_store", cache.piece())];
        let spec = KernelSpec { name: "rope_and_store", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, heads, cache })
    }

    /// Appends one dispatch: a workgroup per token and run of heads.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &RopeAndStoreArgs<'_>) -> Result<()> {
        let HeadShape { heads, kv_heads, head_dim } = self.heads;
        let width = (heads + 2 * kv_heads) * head_dim;
        args.qkv.expect_rows("rope_and_store qkv", args.tokens, width, Element::F32)?;
        args.turns.expect_rows("rope_and_store turns", args.tokens, head_dim, Element::F32)?;
        args.queries.expect_rows("rope_and_store queries", args.tokens, heads * head_dim, Element::F16)?;
        args.cache.expect("rope_and_store", self.heads, self.cache, (args.start + args.tokens, 1))?;
        let params = Params { start: args.start as u32, capacity: args.cache.capacity as u32 };
        let before = [args.qkv.into(), args.turns.into(), args.queries.into()];
        let tensors: Vec<Binding<'_>> = before.into_iter().chain(args.cache.bindings()).collect();
        let work = (args.tokens * width) as u64;
        let heads_at_once = ROW_GROUP as usize / (head_dim / 8);
        let size = [args.tokens as u32, (heads + 2 * kv_heads).div_ceil(heads_at_once) as u32, 1];
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, work)
    }
}
