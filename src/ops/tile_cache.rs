//! One layer's keys and values as matrices, for the cooperative attentions. Shader: `shaders/tile_cache.wgsl`.

use super::{CacheFormat, CachedTokens, HeadShape, ROW_GROUP};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Features, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Slots of a workgroup.
const SLOTS: usize = 16;
/// The cooperative attentions read so many slots at a time, so up to the next multiple behind the last token.
pub(super) const MOST_KEYS: usize = 64;

/// Tiles the caches of one shape and format.
pub struct TileCache {
    kernel: Kernel,
    heads: HeadShape,
    cache: CacheFormat,
}

/// Scratch for the keys and values of one layer, matrix by matrix.
pub struct CacheTiles {
    /// (kv_heads, capacity / side, head_dim / side, side slots, side dimensions) f16
    pub keys: Tensor,
    /// (kv_heads, capacity / side, head_dim / side, side dimensions, side slots) f16
    pub values: Tensor,
    /// Tokens that it has room for: those of the cache, in whole reads.
    pub capacity: usize,
}

impl CacheTiles {
    /// Room for a cache of `capacity` tokens, where the device reads such.
    pub fn new(gpu: &Gpu, heads: HeadShape, capacity: usize) -> Result<Option<Self>> {
        let bytes = Self::bytes(&gpu.features, heads, capacity);
        if bytes == 0 || bytes / 2 > gpu.max_binding_bytes() {
            return Ok(None);
        }
        let capacity = capacity.next_multiple_of(MOST_KEYS);
        let tensor = |label| gpu.tensor(label, &[heads.kv_heads, capacity, heads.head_dim], Element::F16);
        Ok(Some(Self { keys: tensor("tiled keys")?, values: tensor("tiled values")?, capacity }))
    }

    /// Bytes that it takes on a device with these features: none where no attention would read it.
    pub fn bytes(features: &Features, heads: HeadShape, capacity: usize) -> u64 {
        let values = heads.kv_heads * capacity.next_multiple_of(MOST_KEYS) * heads.head_dim;
        if super::attend_coop::attends_by_matrices(features, heads) {
            (2 * values * Element::F16.bytes()) as u64
        } else {
            0
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    capacity: u32,
    tokens: u32,
    tile_capacity: u32,
}

impl TileCache {
    /// For the matrices of this device, where it has some.
    pub(super) fn for_device(gpu: &Gpu, heads: HeadShape, cache: CacheFormat) -> Result<Option<Self>> {
        gpu.features.coop.map(|coop| Self::new(gpu, heads, cache, coop.side())).transpose()
    }

    /// Compiles for one shape of heads, one format of the cache and matrices of `side` by `side`.
    pub fn new(gpu: &Gpu, heads: HeadShape, cache: CacheFormat, side: u32) -> Result<Self> {
        let constants = [("GROUP_SIZE", U32(ROW_GROUP)), ("HEAD_DIM", U32(heads.head_dim as u32)), ("M", U32(side))];
        let pieces = [("cache", cache.piece())];
        let spec = KernelSpec { name: "tile_cache", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, heads, cache })
    }

    /// Appends one dispatch: the first `tokens` of `cache` to `tiles`, and zeros behind them as far as they are read.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (cache, tokens): (&CachedTokens, usize),
        tiles: &CacheTiles,
    ) -> Result<()> {
        let HeadShape { kv_heads, head_dim, .. } = self.heads;
        cache.expect("tile_cache", self.heads, self.cache, (tokens, 1))?;
        let slots = tokens.next_multiple_of(MOST_KEYS);
        if tiles.capacity < slots {
            return Err(Error::shape("tile_cache tiles", format!("room for {slots} tokens"), tiles.capacity));
        }
        let shape = [kv_heads, tiles.capacity, head_dim];
        tiles.keys.expect("tile_cache keys", &shape, Element::F16)?;
        tiles.values.expect("tile_cache values", &shape, Element::F16)?;
        let params =
            Params { capacity: cache.capacity as u32, tokens: tokens as u32, tile_capacity: tiles.capacity as u32 };
        let tensors: Vec<Binding<'_>> =
            cache.bindings().chain([(&tiles.keys).into(), (&tiles.values).into()]).collect();
        let size = [(slots / SLOTS) as u32, kv_heads as u32, 1];
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, (slots * kv_heads * head_dim) as u64)
    }
}
