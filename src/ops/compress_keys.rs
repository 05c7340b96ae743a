//! Fine and coarse compressed keys of the windows that a chunk completes. Shader: `shaders/compress_keys.wgsl`.

use super::{CacheFormat, CachedTokens, ROW_GROUP};
use crate::error::Result;
use crate::gpu::shader::Constant::{Bool, U32};
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::sparse_settings::{HeadShape, ScoreType, SparseSettings};

/// Keeps the compressed keys of one shape of cache.
pub struct CompressKeys {
    kernel: Kernel,
    shape: HeadShape,
    settings: SparseSettings,
    cache: CacheFormat,
}

/// What one step reads and writes. `capacity` is the cache's own.
pub struct CompressKeysArgs<'a> {
    /// Filled up to `start + tokens`.
    pub cache: &'a CachedTokens,
    /// (kv_heads, capacity / kernel_stride, head_dim) f16
    pub fine: &'a Tensor,
    /// (kv_heads, capacity / block_size, head_dim) f16
    pub coarse: &'a Tensor,
    /// Tokens in the cache before this chunk.
    pub start: usize,
    /// Tokens that this chunk appended.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    capacity: u32,
    first_fine: u32,
    fine_count: u32,
    first_coarse: u32,
}

impl CompressKeys {
    /// Compiles for one model and one format of the cache.
    pub fn new(gpu: &Gpu, shape: HeadShape, settings: SparseSettings, cache: CacheFormat) -> Result<Self> {
        let constants = [
            ("GROUP_SIZE", U32(ROW_GROUP)),
            ("HEAD_DIM", U32(shape.head_dim as u32)),
            ("STRIDE", U32(settings.kernel_stride as u32)),
            ("BLOCK", U32(settings.block_size as u32)),
            ("SLICES", U32(ROW_GROUP / (shape.head_dim as u32 / 8))),
            ("BF16", Bool(settings.score_type == ScoreType::Bf16)),
        ];
        let pieces = [("cache", cache.piece())];
        let spec = KernelSpec { name: "compress_keys", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, shape, settings, cache })
    }

    /// Appends one dispatch, or none when the chunk completes no window.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &CompressKeysArgs<'_>) -> Result<()> {
        let HeadShape { kv_heads, head_dim, .. } = self.shape;
        let end = args.start + args.tokens;
        args.cache.expect("compress_keys", self.shape, self.cache, (end, self.settings.block_size))?;
        let capacity = args.cache.capacity;
        let fine_slots = capacity / self.settings.kernel_stride;
        args.fine.expect("compress_keys fine", &[kv_heads, fine_slots, head_dim], Element::F16)?;
        let coarse_slots = capacity / self.settings.block_size;
        args.coarse.expect("compress_keys coarse", &[kv_heads, coarse_slots, head_dim], Element::F16)?;
        let first_fine = self.settings.fine_keys(args.start);
        let first_coarse = self.settings.coarse_keys(args.start);
        let fine_count = self.settings.fine_keys(end) - first_fine;
        let coarse_count = self.settings.coarse_keys(end) - first_coarse;
        let params = Params {
            capacity: capacity as u32,
            first_fine: first_fine as u32,
            fine_count: fine_count as u32,
            first_coarse: first_coarse as u32,
        };
        let tensors: Vec<Binding<'_>> = args.cache.bindings().chain([args.fine.into(), args.coarse.into()]).collect();
        let sums = fine_count * self.settings.kernel_size + coarse_count * 2 * self.settings.block_size;
        let size = [(fine_count + coarse_count) as u32, kv_heads as u32, 1];
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, (sums * kv_heads * head_dim) as u64)
    }
}
