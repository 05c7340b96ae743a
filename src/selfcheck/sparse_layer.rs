//! One layer's random queries, keys and values, for the ops of block-sparse attention.

use half::f16;

use super::{Random, upload_f16};
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::ops::HeadShape;
use crate::reference;
use crate::sparse_settings::{ScoreType, SparseSettings};

/// Queries of the last `tokens` of `length` positions, and a cache of all of them.
pub(super) struct SparseLayer {
    pub(super) heads: HeadShape,
    pub(super) start: usize,
    pub(super) tokens: usize,
    pub(super) capacity: usize,
    pub(super) q: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    score_type: ScoreType,
}

impl SparseLayer {
    pub(super) fn new(heads: HeadShape, settings: SparseSettings, (start, tokens): (usize, usize)) -> Self {
        let HeadShape { heads: count, kv_heads, head_dim } = heads;
        let mut random = Random::new((count + start) as u64);
        let capacity = (start + tokens).next_multiple_of(settings.block_size) + settings.block_size;
        let cache = kv_heads * capacity * head_dim;
        let q = random.halves(tokens * count * head_dim, 2.0);
        let (keys, values) = (random.halves(cache, 1.0), random.halves(cache, 1.0));
        Self { heads, start, tokens, capacity, q, keys, values, score_type: settings.score_type }
    }

    /// A tensor (kv_heads, slots, head_dim) of the cache.
    pub(super) fn upload(&self, gpu: &Gpu, label: &str, data: &[f32]) -> Result<Tensor> {
        let HeadShape { kv_heads, head_dim, .. } = self.heads;
        upload_f16(gpu, label, &[kv_heads, data.len() / (kv_heads * head_dim), head_dim], data)
    }

    pub(super) fn upload_q(&self, gpu: &Gpu) -> Result<Tensor> {
        let HeadShape { heads, head_dim, .. } = self.heads;
        upload_f16(gpu, "q", &[self.tokens, heads, head_dim], &self.q)
    }

    /// Compressed keys by the twin, rounded as the device stores them.
    pub(super) fn compressed(&self, stride: usize) -> Vec<f32> {
        let HeadShape { kv_heads, head_dim, .. } = self.heads;
        let end = self.start + self.tokens;
        let means = reference::compress_keys(&self.keys, kv_heads, self.capacity, head_dim, end, stride);
        means.into_iter().map(|mean| f16::from_f32(self.score_type.round(mean)).to_f32()).collect()
    }
}
