//! Keys and values of every position seen so far, and their compressed keys, per layer, on the device.
//!
//! Capacity is fixed when the cache is made. Truncating only forgets the length: what lies beyond is written again before
//! it is read again.

use crate::error::Result;
use crate::gpu::{Element, Gpu, Tensor};
use crate::ops::{CacheFormat, CachedTokens};
use crate::sparse_settings::{HeadShape, SparseSettings};

/// Capacities are a multiple of this, so that blocks of any supported size divide them.
const LARGEST_BLOCK: usize = 256;

/// One layer's share.
pub struct LayerCache {
    /// Keys and values.
    pub tokens: CachedTokens,
    /// (kv_heads, capacity / kernel_stride, head_dim) f16 whatever the format of the keys, means of keys
    pub fine: Tensor,
    /// (kv_heads, capacity / block_size, head_dim) f16, means over four times as many
    pub coarse: Tensor,
}

/// The cache of one conversation.
pub struct KvCache {
    /// In order.
    pub layers: Vec<LayerCache>,
    /// Positions it has room for; whole blocks.
    pub capacity: usize,
}

impl KvCache {
    /// Room for at least `positions`.
    pub fn new(
        gpu: &Gpu,
        layers: usize,
        heads: HeadShape,
        settings: &SparseSettings,
        (format, positions): (CacheFormat, usize),
    ) -> Result<Self> {
        let capacity = Self::capacity_for(positions);
        let compressed = |stride: usize| [heads.kv_heads, capacity / stride, heads.head_dim];
        let layer = |index: usize| {
            Ok(LayerCache {
                tokens: CachedTokens::new(gpu, &format!("layers.{index}"), heads, format, capacity)?,
                fine: gpu.tensor(format!("layers.{index}.fine"), &compressed(settings.kernel_stride), Element::F16)?,
                coarse: gpu.tensor(format!("layers.{index}.coarse"), &compressed(settings.block_size), Element::F16)?,
            })
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, capacity })
    }

    /// Random keys and values everywhere, for measurements at a depth.
    pub fn randomise(&self, gpu: &Gpu) -> Result<()> {
        // Halves between 0.25 and 2 with random signs: bits 14 and 12..0 of the exponent and fraction vary. As integers these
        // are as good as any.
        let mut state = 0x2545_F491u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8 & 0x83FF) as u16 | 0x3400 | (state >> 3 & 0x0800) as u16
        };
        let pool: Vec<u16> = std::iter::repeat_with(next).take((1 << 22) + 64).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            if let Some(scales) = &layer.tokens.scales {
                gpu.write(scales, 0, &vec![0.01f32; scales.len()])?;
            }
            for (shift, tensor) in [&layer.tokens.keys, &layer.tokens.values].into_iter().enumerate() {
                let offset = (index * 2 + shift) * 2 % 62;
                let halves = tensor.element.bytes() / 2;
                for first in (0..tensor.len()).step_by((1 << 22) / halves) {
                    let count = (1 << 22).min((tensor.len() - first) * halves);
                    gpu.write(tensor, first, &pool[offset..offset + count])?;
                }
                gpu.flush_writes()?;
            }
        }
        Ok(())
    }

    /// The capacity that is made for `positions`.
    pub fn capacity_for(positions: usize) -> usize {
        positions.max(1).next_multiple_of(LARGEST_BLOCK)
    }

    /// Bytes of a cache for `positions`.
    pub fn bytes(
        layers: usize,
        heads: HeadShape,
        settings: &SparseSettings,
        (format, positions): (CacheFormat, usize),
    ) -> u64 {
        let capacity = Self::capacity_for(positions);
        let compressed = (capacity / settings.kernel_stride + capacity / settings.block_size) * heads.head_dim * 2;
        (layers * heads.kv_heads) as u64 * (capacity * format.token_bytes(heads.head_dim) + compressed) as u64
    }

    /// Bytes of its largest single tensor.
    pub fn largest_tensor_bytes(heads: HeadShape, (format, positions): (CacheFormat, usize)) -> u64 {
        let bytes = match format {
            CacheFormat::F16 => 2,
            CacheFormat::Q8 => 1,
        };
        (heads.kv_heads * heads.head_dim * bytes) as u64 * Self::capacity_for(positions) as u64
    }
}
