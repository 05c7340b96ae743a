//! Keys and values of every position seen so far, and their compressed keys, per layer, on the device.
//!
//! Capacity is fixed when the cache is made. Truncating only forgets the length: what lies beyond is written again before
//! it is read again.

use crate::error::Result;
use crate::gpu::{Element, Gpu, Tensor};
use crate::sparse_settings::{HeadShape, SparseSettings};

/// Capacities are a multiple of this, so that blocks of any supported size divide them.
const LARGEST_BLOCK: usize = 256;

/// One layer's share.
pub struct LayerCache {
    /// (kv_heads, capacity, head_dim) f16, rotated
    pub keys: Tensor,
    /// (kv_heads, capacity, head_dim) f16
    pub values: Tensor,
    /// (kv_heads, capacity / kernel_stride, head_dim) f16, means of keys
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
        positions: usize,
    ) -> Result<Self> {
        let capacity = Self::capacity_for(positions);
        let shape = [heads.kv_heads, capacity, heads.head_dim];
        let compressed = |stride: usize| [heads.kv_heads, capacity / stride, heads.head_dim];
        let layer = |index: usize| {
            Ok(LayerCache {
                keys: gpu.tensor(format!("layers.{index}.keys"), &shape, Element::F16)?,
                values: gpu.tensor(format!("layers.{index}.values"), &shape, Element::F16)?,
                fine: gpu.tensor(format!("layers.{index}.fine"), &compressed(settings.kernel_stride), Element::F16)?,
                coarse: gpu.tensor(format!("layers.{index}.coarse"), &compressed(settings.block_size), Element::F16)?,
            })
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, capacity })
    }

    /// Random keys and values everywhere, for measurements at a depth.
    pub fn randomise(&self, gpu: &Gpu) -> Result<()> {
        // Halves between 0.25 and 2 with random signs: bits 14 and 12..0 of the exponent and fraction vary.
        let mut state = 0x2545_F491u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8 & 0x83FF) as u16 | 0x3400 | (state >> 3 & 0x0800) as u16
        };
        let pool: Vec<u16> = std::iter::repeat_with(next).take((1 << 22) + 64).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            for (shift, tensor) in [&layer.keys, &layer.values].into_iter().enumerate() {
                let offset = (index * 2 + shift) * 2 % 62;
                for first in (0..tensor.len()).step_by(1 << 22) {
                    let count = (1 << 22).min(tensor.len() - first);
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
    pub fn bytes(layers: usize, heads: HeadShape, settings: &SparseSettings, positions: usize) -> u64 {
        let capacity = Self::capacity_for(positions);
        let rows = 2 * capacity + capacity / settings.kernel_stride + capacity / settings.block_size;
        (layers * heads.kv_heads * heads.head_dim * 2) as u64 * rows as u64
    }

    /// Bytes of its largest single tensor.
    pub fn largest_tensor_bytes(heads: HeadShape, positions: usize) -> u64 {
        (heads.kv_heads * heads.head_dim * 2) as u64 * Self::capacity_for(positions) as u64
    }
}
