//! Keys and values of every position seen so far, per layer, on the device.
//!
//! Capacity is fixed when the cache is made. Truncating only forgets the length: what lies beyond is written again before
//! it is read again.

use crate::error::Result;
use crate::gpu::{Element, Gpu, Tensor};
use crate::ops::HeadShape;

/// One layer's share.
pub struct LayerCache {
    /// (kv_heads, capacity, head_dim) f16, rotated
    pub keys: Tensor,
    /// (kv_heads, capacity, head_dim) f16
    pub values: Tensor,
}

/// The cache of one conversation.
pub struct KvCache {
    /// In order.
    pub layers: Vec<LayerCache>,
    /// Positions it has room for; a multiple of 64.
    pub capacity: usize,
}

impl KvCache {
    /// Room for at least `positions`.
    pub fn new(gpu: &Gpu, layers: usize, heads: HeadShape, positions: usize) -> Result<Self> {
        let capacity = Self::capacity_for(positions);
        let shape = [heads.kv_heads, capacity, heads.head_dim];
        let layer = |index: usize| {
            Ok(LayerCache {
                keys: gpu.tensor(format!("layers.{index}.keys"), &shape, Element::F16)?,
                values: gpu.tensor(format!("layers.{index}.values"), &shape, Element::F16)?,
            })
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, capacity })
    }

    /// The capacity that is made for `positions`.
    pub fn capacity_for(positions: usize) -> usize {
        positions.max(1).next_multiple_of(64)
    }

    /// Bytes of a cache for `positions`.
    pub fn bytes(layers: usize, heads: HeadShape, positions: usize) -> u64 {
        (layers * heads.kv_heads * heads.head_dim * 2 * 2) as u64 * Self::capacity_for(positions) as u64
    }

    /// Bytes of its largest single tensor.
    pub fn largest_tensor_bytes(heads: HeadShape, positions: usize) -> u64 {
        (heads.kv_heads * heads.head_dim * 2) as u64 * Self::capacity_for(positions) as u64
    }
}
