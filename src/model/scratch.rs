//! Every activation of a step, allocated once for the largest step.

use super::activations::Activations;
use super::config::ModelConfig;
use super::sparse::SparseOps;
use crate::error::Result;
use crate::gpu::{Element, Gpu, Tensor};
use crate::kv_cache::KvCache;
use crate::ops::attend_dense::AttendDense;
use crate::ops::attend_sparse::AttendSparse;
use crate::ops::top_logits::{TopLogitsScratch, WORDS};
use crate::ops::{CacheTiles, Matmul, RoundedRows};

/// Tensors that one step after another writes over. `tokens` is the chunk size.
pub(crate) struct Scratch {
    /// (tokens) u32
    pub(crate) ids: Tensor,
    /// (tokens, head_dim) f32
    pub(crate) turns: Tensor,
    /// (tokens, hidden) f32, the residual stream
    pub(crate) stream: Tensor,
    /// (tokens, hidden)
    pub(crate) normed: Activations,
    /// (tokens, qkv width) f32
    pub(crate) qkv: Tensor,
    /// (tokens, attention width) f16
    pub(crate) queries: Tensor,
    /// (tokens, attention width)
    pub(crate) attended: Activations,
    /// see `AttendDense::partial_shape`
    pub(crate) partial: Tensor,
    /// One layer's keys and values for the attention of a chunk, where that is by cooperative matrices.
    pub(crate) tiles: Option<CacheTiles>,
    pub(crate) sparse: SparseScratch,
    /// (tokens, hidden) f32, what a block adds to the stream
    pub(crate) delta: Tensor,
    /// (tokens, 2 intermediate) f32
    pub(crate) gate_up: Tensor,
    /// (tokens, intermediate)
    pub(crate) activated: Activations,
    /// Rows of the widest input of a linear map as integers, where prompts are multiplied so.
    pub(crate) rounded: Option<RoundedRows>,
    /// (head rows, vocabulary) f32
    pub(crate) logits: Tensor,
    /// (tokens, 1) u32, the tokens that follow, for scoring
    pub(crate) targets: Tensor,
    /// (tokens, 1) f32
    pub(crate) log_probs: Tensor,
    pub(crate) top: TopLogitsScratch,
    /// (`WORDS`) u32
    pub(crate) best: Tensor,
    /// Tokens of the largest step.
    pub(crate) chunk: usize,
}

/// What selecting blocks needs on the way.
pub(crate) struct SparseScratch {
    /// (values) f32
    pub(crate) lse: Tensor,
    /// (kv_heads, tokens, blocks) f32
    pub(crate) scores: Tensor,
    /// (tokens, kv_heads, budget) u32
    pub(crate) ids: Tensor,
    /// (values) f32
    pub(crate) partials: Tensor,
    /// (blocks of the context) u32: which of them the user pins or excludes
    pub(crate) marks: Tensor,
    /// For each layer what its last decode step read: (1, kv_heads, budget) u32
    pub(crate) selected: Vec<Tensor>,
    /// All of these, one behind the other: (layers, stride of a part) u32
    pub(crate) all_selected: Tensor,
}

impl SparseScratch {
    fn new(gpu: &Gpu, config: &ModelConfig, ops: &SparseOps, rows: usize, capacity: usize) -> Result<Self> {
        let values = |label: &str, count: usize| gpu.tensor(label, &[count], Element::F32);
        let list = ops.select_blocks.ids_shape(1);
        let stride = Tensor::part_stride(list.iter().product(), Element::U32);
        let all_selected = gpu.tensor("selected", &[config.layers, stride], Element::U32)?;
        Ok(Self {
            lse: values("lse", ops.score_blocks.lse_len(rows, capacity))?,
            scores: gpu.tensor("scores", &ops.score_blocks.scores_shape(rows, capacity), Element::F32)?,
            ids: gpu.tensor("ids", &ops.select_blocks.ids_shape(rows), Element::U32)?,
            partials: values("partials", ops.attend_sparse.partials_len(rows))?,
            marks: gpu.tensor("marks", &[capacity.div_ceil(config.sparse.settings.block_size)], Element::U32)?,
            selected: all_selected.parts(gpu, &list)?,
            all_selected,
        })
    }
}

/// Rows of logits that scoring computes at a time: enough to use a matmul, small enough for a large vocabulary.
pub(crate) const HEAD_ROWS: usize = 64;

impl Scratch {
    pub(crate) fn new(gpu: &Gpu, config: &ModelConfig, ops: &SparseOps, chunk: usize, capacity: usize) -> Result<Self> {
        let rows = Self::rows(chunk);
        let tensor = |label: &str, columns: usize, element| gpu.tensor(label, &[rows, columns], element);
        let (hidden, attention) = (config.hidden_size, config.attention_width());
        Ok(Self {
            ids: gpu.tensor("ids", &[chunk], Element::U32)?,
            turns: tensor("turns", config.heads.head_dim, Element::F32)?,
            stream: tensor("stream", hidden, Element::F32)?,
            normed: Activations::new(gpu, "normed", rows, hidden)?,
            qkv: tensor("qkv", config.qkv_width(), Element::F32)?,
            queries: tensor("queries", attention, Element::F16)?,
            attended: Activations::new(gpu, "attended", rows, attention)?,
            partial: gpu.tensor("partial", &AttendDense::partial_shape(config.heads), Element::F32)?,
            tiles: CacheTiles::new(gpu, config.heads, capacity)?,
            sparse: SparseScratch::new(gpu, config, ops, rows, capacity)?,
            delta: tensor("delta", hidden, Element::F32)?,
            gate_up: tensor("gate_up", 2 * config.intermediate_size, Element::F32)?,
            activated: Activations::new(gpu, "activated", rows, config.intermediate_size)?,
            rounded: if Matmul::rounds(gpu) {
                Some(RoundedRows::new(gpu, "rounded", rows, Self::widest_input(config))?)
            } else {
                None
            },
            logits: gpu.tensor("logits", &[head_rows(config), config.vocab_size], Element::F32)?,
            targets: tensor("targets", 1, Element::U32)?,
            log_probs: tensor("log_probs", 1, Element::F32)?,
            top: TopLogitsScratch::new(gpu, config.vocab_size)?,
            best: gpu.tensor("best", &[WORDS], Element::U32)?,
            chunk,
        })
    }

    /// Rows that tensors of a chunk have: whole tiles of the cooperative kernels, which do not check for the last token.
    fn rows(chunk: usize) -> usize {
        if chunk < 16 { chunk } else { chunk.next_multiple_of(128) }
    }

    /// Values of the widest input of a linear map.
    fn widest_input(config: &ModelConfig) -> usize {
        config.hidden_size.max(config.attention_width()).max(config.intermediate_size)
    }

    /// Bytes of the integers that prompts are multiplied as, on devices that do.
    pub(crate) fn rounded_bytes(config: &ModelConfig, chunk: usize) -> u64 {
        (Self::rows(chunk) * Self::widest_input(config) * RoundedRows::VALUE_BYTES) as u64
    }

    /// Bytes of a scratch for `chunk` tokens, to within the small tensors, without [`Scratch::rounded_bytes`].
    pub(crate) fn bytes(config: &ModelConfig, chunk: usize, context: usize) -> u64 {
        let settings = &config.sparse.settings;
        let blocks = KvCache::capacity_for(context) / settings.block_size;
        let per_token = config.hidden_size * (4 + 2 + 4)
            + config.qkv_width() * 4
            + config.attention_width() * 4
            + config.intermediate_size * (8 + 2)
            + config.heads.head_dim * 4
            + config.heads.heads * 4
            + config.heads.kv_heads * (blocks + settings.budget()) * 4
            + 12;
        let partial: usize = AttendDense::partial_shape(config.heads).iter().product();
        let partial = partial + AttendSparse::partials_of(config.heads, settings, Self::rows(chunk));
        ((Self::rows(chunk) * per_token) + partial * 4 + head_rows(config) * config.vocab_size * 4) as u64
    }

    /// Bytes of the largest single tensor.
    pub(crate) fn largest_tensor_bytes(config: &ModelConfig, chunk: usize, context: usize) -> u64 {
        let blocks = KvCache::capacity_for(context) / config.sparse.settings.block_size;
        let scores = config.heads.kv_heads * blocks;
        let widest = [2 * config.intermediate_size, config.qkv_width(), config.hidden_size, scores];
        widest.into_iter().max().unwrap_or(0) as u64 * 4 * Self::rows(chunk) as u64
    }
}

/// Rows of the logits tensor: as many as keep it small beside a large vocabulary.
pub(crate) fn head_rows(config: &ModelConfig) -> usize {
    ((32 << 20) / (config.vocab_size * 4)).clamp(1, HEAD_ROWS)
}
