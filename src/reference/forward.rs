//! A whole model in plain loops: CPU twin of `model::forward`, and what runs small models where no adapter is.
//!
//! Everything is f32. Weights stay in the packed form that the device would have, so that both compute with the same
//! numbers.

use super::{
    AttendDenseShape, Rotated, add_rms_norm, attend_dense, attend_sparse, compress_keys, embed, log_probs, matmul,
    read_back, rms_norm, rope_and_store, score_blocks, select_blocks, swiglu,
};
use crate::block_marks::BlockMarks;
use crate::error::{Error, Result};
use crate::model::{LoadOptions, Mode, ModelConfig, Progress, Stage, names, plan};
use crate::ops::CacheFormat;
use crate::weights::{Checkpoint, PackedMatrix};

struct Layer {
    attention_norm: Vec<f32>,
    qkv: [PackedMatrix; 3],
    attention_out: PackedMatrix,
    feed_forward_norm: Vec<f32>,
    gate_up: [PackedMatrix; 2],
    down: PackedMatrix,
}

/// A model in main memory.
pub struct CpuModel {
    /// What it is.
    pub config: ModelConfig,
    /// Blocks that sparse steps select before, or after, all others.
    pub marks: BlockMarks,
    kv: CacheFormat,
    embedding: PackedMatrix,
    head: Option<PackedMatrix>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
}

/// Keys and values of every layer: (kv_heads, capacity, head_dim) each.
pub struct CpuCache {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    /// Positions it has room for.
    pub capacity: usize,
}

/// Tokens of a step where the options do not say.
const CHUNK: usize = 256;

/// Rows of logits that scoring computes at a time.
const HEAD_ROWS: usize = 64;

/// Bytes that a step takes beside weights and cache, about: what a layer holds at a time for each token, and logits.
fn step_bytes(config: &ModelConfig, tokens: usize, context: usize) -> u64 {
    let scores = config.heads.kv_heads * context.div_ceil(config.sparse.settings.block_size);
    let layer =
        3 * config.hidden_size + 3 * config.qkv_width() + config.attention_width() + 5 * config.intermediate_size;
    let rows = HEAD_ROWS.min(tokens) * config.vocab_size;
    (tokens as u64).saturating_mul((layer + scores) as u64).saturating_add(rows as u64).saturating_mul(4)
}

/// What a step gives.
pub struct CpuStep {
    /// The normalised last state of each token, (tokens, hidden).
    pub states: Vec<f32>,
    /// The blocks that the last token read in each layer, (kv_heads, budget); empty for a dense step.
    pub selected: Vec<Vec<u32>>,
}

impl CpuModel {
    /// Reads all weights.
    pub fn load(checkpoint: &Checkpoint, options: &LoadOptions, progress: &mut Progress<'_>) -> Result<Self> {
        let config = options.config(checkpoint)?;
        let sources = crate::model::SourceList::find(checkpoint, &config, options.quantize.as_ref())?;
        let (total, mut done) = (sources.bytes(), 0);
        let heads = config.heads;
        let position_bytes = (2 * size_of::<f32>() * heads.kv_heads * heads.head_dim) as u64 * config.layers as u64;
        let context = options.context_for(&config);
        let scratch = |context| step_bytes(&config, Self::chunk(options), context);
        plan::check_main_memory(total, context, position_bytes, scratch)?;
        let mut read = |source: &crate::model::Source| -> Result<PackedMatrix> {
            let matrix = checkpoint.rows(&source.name, 0..source.rows, Some(source.format))?;
            checkpoint.release();
            done += matrix.bytes();
            progress(Stage::Uploading, done, total)?;
            Ok(matrix)
        };
        let vector = |name: &str| checkpoint.vector(name, config.hidden_size);
        let mut layers = Vec::with_capacity(config.layers);
        for (index, layer) in sources.layers.iter().enumerate() {
            layers.push(Layer {
                attention_norm: vector(&names::layer(index, "input_layernorm"))?,
                qkv: [read(&layer.qkv[0])?, read(&layer.qkv[1])?, read(&layer.qkv[2])?],
                attention_out: read(&layer.attention_out[0])?,
                feed_forward_norm: vector(&names::layer(index, "post_attention_layernorm"))?,
                gate_up: [read(&layer.gate_up[0])?, read(&layer.gate_up[1])?],
                down: read(&layer.down[0])?,
            });
        }
        Ok(Self {
            embedding: read(&sources.embedding)?,
            head: sources.head.as_ref().map(&mut read).transpose()?,
            norm: vector(names::NORM)?,
            layers,
            marks: BlockMarks::default(),
            config,
            kv: options.kv,
        })
    }

    /// Tokens of a step.
    pub fn chunk(options: &LoadOptions) -> usize {
        options.chunk.unwrap_or(CHUNK).max(1)
    }

    /// An empty cache for `positions`.
    pub fn new_cache(&self, positions: usize) -> Result<CpuCache> {
        let size = self.config.heads.kv_heads * positions * self.config.heads.head_dim;
        let all = size.saturating_mul(2 * self.config.layers);
        // Asked for in one piece and given back at once: what follows cannot refuse, and takes pages only where it is written.
        if Vec::<f32>::new().try_reserve_exact(all).is_err() {
            return Err(Error::Memory {
                what: format!("the cache of {positions} tokens"),
                needed_mib: (all as u64).saturating_mul(4).div_ceil(1 << 20),
                adapter: "the processor".into(),
                allowed_mib: plan::available_memory(None).unwrap_or(0) >> 20,
                advice: "Use a smaller --context".into(),
            });
        }
        let layer = || (vec![0.0; size], vec![0.0; size]);
        Ok(CpuCache { layers: (0..self.config.layers).map(|_| layer()).collect(), capacity: positions })
    }

    /// Runs `ids` at positions `start ..` through all layers.
    pub fn layers(&self, cache: &mut CpuCache, ids: &[u32], start: usize, mode: Mode) -> Result<CpuStep> {
        let needed = start + ids.len();
        if needed > cache.capacity {
            return Err(Error::ContextFull { needed, capacity: cache.capacity, over: needed - cache.capacity });
        }
        let config = &self.config;
        let (epsilon, residual) = (config.epsilon, config.residual_scale);
        let turns = config.rope.turns(start, ids.len());
        let mut stream = embed(&self.embedding, ids, config.embedding_scale);
        let mut delta = vec![0.0; stream.len()];
        let mut selected = Vec::new();
        for (layer, cache_layer) in self.layers.iter().zip(&mut cache.layers) {
            let normed = add_rms_norm(&mut stream, &delta, &layer.attention_norm, epsilon, residual, 1.0);
            let qkv = stack(&normed, &layer.qkv);
            let rotated = rope_and_store(&qkv, &turns, config.heads);
            store(cache_layer, cache.capacity, start, &rotated, (config, self.kv));
            let attended = match mode {
                Mode::Dense => {
                    let shape = AttendDenseShape { heads: config.heads, capacity: cache.capacity, start };
                    attend_dense(&rotated.queries, &cache_layer.0, &cache_layer.1, shape)
                }
                Mode::Sparse => {
                    let (attended, ids) = sparse(&rotated, cache_layer, cache.capacity, start, (config, &self.marks));
                    selected.push(ids);
                    attended
                }
            };
            delta = matmul(&attended, &layer.attention_out);
            let normed = add_rms_norm(&mut stream, &delta, &layer.feed_forward_norm, epsilon, residual, 1.0);
            let activated = swiglu(&stack(&normed, &layer.gate_up), config.intermediate_size);
            delta = matmul(&activated, &layer.down);
        }
        for (value, change) in stream.iter_mut().zip(&delta) {
            *value += residual * change;
        }
        Ok(CpuStep { states: rms_norm(&stream, &self.norm, epsilon, config.logit_scale), selected })
    }

    /// Logits of rows of normalised states.
    pub fn logits(&self, states: &[f32]) -> Vec<f32> {
        matmul(states, self.head.as_ref().unwrap_or(&self.embedding))
    }

    /// ln of the probability of each target after each state.
    pub fn score(&self, states: &[f32], targets: &[u32]) -> Vec<f32> {
        let rows = HEAD_ROWS * self.config.hidden_size;
        let chunk =
            |(states, targets): (&[f32], &[u32])| log_probs(&self.logits(states), self.config.vocab_size, targets);
        states.chunks(rows).zip(targets.chunks(HEAD_ROWS)).flat_map(chunk).collect()
    }
}

/// Block-sparse attention of one layer, and what the last token selected.
fn sparse(
    rotated: &Rotated,
    (keys, values): &(Vec<f32>, Vec<f32>),
    capacity: usize,
    start: usize,
    (config, marks): (&ModelConfig, &BlockMarks),
) -> (Vec<f32>, Vec<u32>) {
    let (heads, settings) = (config.heads, config.sparse.settings);
    let queries = &rotated.queries;
    let tokens = queries.len() / (heads.heads * heads.head_dim);
    let compress = |stride: usize| {
        let means = compress_keys(keys, heads.kv_heads, capacity, heads.head_dim, start + tokens, stride);
        means.into_iter().map(|mean| settings.score_type.round(mean)).collect::<Vec<_>>()
    };
    let (fine, coarse) = (compress(settings.kernel_stride), compress(settings.block_size));
    let scores = score_blocks(queries, &fine, &coarse, &heads, &settings, capacity, start);
    let ids = select_blocks(&scores, heads.kv_heads, tokens, &settings, start, marks);
    let attended = attend_sparse(queries, keys, values, &ids, &heads, settings.block_size, capacity, start);
    let last = ids.len() - heads.kv_heads * settings.budget();
    (attended, ids[last..].to_vec())
}

/// The outputs of several matrices on the same input, side by side for each token.
fn stack(x: &[f32], matrices: &[PackedMatrix]) -> Vec<f32> {
    let parts: Vec<(Vec<f32>, usize)> = matrices.iter().map(|matrix| (matmul(x, matrix), matrix.rows)).collect();
    let tokens = x.len() / matrices.first().map_or(1, |matrix| matrix.cols);
    let row = |token: usize| parts.iter().flat_map(move |(part, rows)| &part[token * rows..(token + 1) * rows]);
    (0..tokens).flat_map(row).copied().collect()
}

fn store(
    (keys, values): &mut (Vec<f32>, Vec<f32>),
    capacity: usize,
    start: usize,
    rotated: &Rotated,
    (config, kv): (&ModelConfig, CacheFormat),
) {
    let (kv_heads, head_dim) = (config.heads.kv_heads, config.heads.head_dim);
    for (index, (key, value)) in
        rotated.keys.chunks_exact(head_dim).zip(rotated.values.chunks_exact(head_dim)).enumerate()
    {
        let (token, head) = (index / kv_heads, index % kv_heads);
        let place = (head * capacity + start + token) * head_dim;
        keys[place..place + head_dim].copy_from_slice(&read_back(key, kv));
        values[place..place + head_dim].copy_from_slice(&read_back(value, kv));
    }
}
