//! The forward pass. One step takes a run of tokens at the end of the cache to logits.
//!
//! ```text
//! h = embedding[token] * embedding_scale
//! for each layer:
//!     h += residual_scale * attention_out(attention(qkv(norm(h))))
//!     h += residual_scale * down(swiglu(gate_up(norm(h))))
//! logits = head(norm(h) * logit_scale)
//! ```
//!
//! Adding a block's output to the stream is done by the normalisation that follows it.

use std::sync::Arc;

use super::activations::Activations;
use super::attention_mode::Mode;
use super::config::ModelConfig;
use super::decode::FusedDecode;
use super::linear::Linear;
use super::numbers;
use super::plan::MemoryPlan;
use super::scratch::{Scratch, head_rows};
use super::sparse::SparseOps;
use crate::block_marks::BlockMarks;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor, compiled};
use crate::kv_cache::{KvCache, LayerCache};
use crate::ops::add_rms_norm::AddRmsNormArgs;
use crate::ops::attend_dense::AttendDenseArgs;
use crate::ops::rms_norm::RmsNormArgs;
use crate::ops::rope_and_store::RopeAndStoreArgs;
use crate::ops::{
    AddRmsNorm, AttendDense, CacheFormat, Embed, LogProbs, Matrix, RmsNorm, RopeAndStore, RowLayout, RowTarget, Swiglu,
    TopLogits, swiglu,
};
use crate::weights::Format;

/// The compiled ops that do not depend on a weight's format.
pub(super) struct Ops {
    embed: Embed,
    rms_norm: RmsNorm,
    add_rms_norm: AddRmsNorm,
    rope_and_store: RopeAndStore,
    attend_dense: AttendDense,
    swiglu: Swiglu,
    top_logits: TopLogits,
    log_probs: LogProbs,
    sparse: SparseOps,
}

impl Ops {
    pub(super) fn sparse(&self) -> &SparseOps {
        &self.sparse
    }

    /// Each op on a thread of its own: compilers take one kernel a thread.
    pub(super) fn compile(gpu: &Gpu, config: &ModelConfig, embedding: Format, kv: CacheFormat) -> Result<Self> {
        let (hidden, epsilon, layouts) = (config.hidden_size, config.epsilon, RowLayout::wanted(gpu));
        std::thread::scope(|scope| {
            let sparse = scope.spawn(|| SparseOps::compile(gpu, config, kv, layouts));
            let attend_dense = scope.spawn(|| AttendDense::new(gpu, config.heads, kv, layouts));
            let add_rms_norm = scope.spawn(|| AddRmsNorm::new(gpu, hidden, epsilon, layouts));
            let swiglu = scope.spawn(|| Swiglu::new(gpu, config.intermediate_size, layouts));
            let top_logits = scope.spawn(|| TopLogits::new(gpu));
            let embed = scope.spawn(|| Embed::new(gpu, hidden, embedding));
            let rms_norm = scope.spawn(|| RmsNorm::new(gpu, hidden, epsilon));
            let rope_and_store = scope.spawn(|| RopeAndStore::new(gpu, config.heads, kv));
            let log_probs = scope.spawn(|| LogProbs::new(gpu));
            Ok(Self {
                embed: compiled(embed)?,
                rms_norm: compiled(rms_norm)?,
                add_rms_norm: compiled(add_rms_norm)?,
                rope_and_store: compiled(rope_and_store)?,
                attend_dense: compiled(attend_dense)?,
                swiglu: compiled(swiglu)?,
                top_logits: compiled(top_logits)?,
                log_probs: compiled(log_probs)?,
                sparse: compiled(sparse)?,
            })
        })
    }
}

/// Weights of one layer.
pub(super) struct Layer {
    pub(super) attention_norm: Tensor,
    pub(super) qkv: Linear,
    pub(super) attention_out: Linear,
    pub(super) feed_forward_norm: Tensor,
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

/// A model on the device.
pub struct Model {
    pub(super) gpu: Arc<Gpu>,
    pub(super) ops: Ops,
    pub(super) embedding: Linear,
    pub(super) head: Option<Linear>,
    pub(super) layers: Vec<Layer>,
    /// How steps of one token are computed where the weights allow it.
    pub(super) fused: Option<FusedDecode>,
    pub(super) norm: Tensor,
    pub(super) scratch: Scratch,
    pub(super) marks_from: usize,
    /// What it takes.
    pub memory: MemoryPlan,
    /// What it is.
    pub config: ModelConfig,
}

/// What a normalisation adds to the stream before it.
#[derive(Clone, Copy)]
enum Block {
    Attention,
    /// Smaller than it should be by [`swiglu::SCALE`].
    FeedForward,
}

/// Which ops a step is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As few as its tokens and weights allow.
    Usual,
    /// One after the other, with a look at what each leaves behind, for numbers that are none.
    Checked,
}

/// Where a step stands: `tokens` new positions from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Position of the first new token, which is the cache's length before.
    pub start: usize,
    /// How many, at most the chunk size.
    pub tokens: usize,
    /// Whether attention reads everything.
    pub mode: Mode,
    /// First position that obeys the marks of the user.
    pub marks_from: usize,
}

impl Model {
    /// The device it lives on.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Bytes of weights that a step of one token reads: all but the table of which it takes a row.
    pub fn bytes_per_token(&self) -> u64 {
        let table = if self.head.is_some() { self.embedding.matrices().map(Matrix::bytes).sum() } else { 0 };
        self.memory.weights.saturating_sub(table)
    }

    /// Tokens that one prefill step may take.
    pub fn chunk(&self) -> usize {
        self.scratch.chunk
    }

    /// A cache of the planned size.
    pub fn new_cache(&self) -> Result<KvCache> {
        let config = &self.config;
        let positions = (self.memory.kv, self.memory.context);
        KvCache::new(&self.gpu, config.layers, config.heads, &config.sparse.settings, positions)
    }

    /// The tensor that [`Model::record_logits`] leaves the row of logits in: (rows, vocabulary) f32.
    pub fn logits(&self) -> &Tensor {
        &self.scratch.logits
    }

    /// The tensor that [`Model::record_top`] leaves its candidates in.
    pub fn best(&self) -> &Tensor {
        &self.scratch.best
    }

    /// The lists of blocks that the last sparse step of one token read, one layer behind the other: (layers, stride) u32, of
    /// each row the first [`Model::list_len`].
    pub fn selected(&self) -> &Tensor {
        &self.scratch.sparse.all_selected
    }

    /// Block ids of one layer's list: those of all KV heads.
    pub fn list_len(&self) -> usize {
        self.scratch.sparse.selected.first().map_or(0, Tensor::len)
    }

    /// From the next step on these blocks are pinned and excluded.
    pub fn set_marks(&mut self, marks: &BlockMarks) -> Result<()> {
        let tensor = &self.scratch.sparse.marks;
        self.gpu.write(tensor, 0, &marks.flags(tensor.len()))?;
        self.marks_from = marks.from();
        Ok(())
    }

    /// Runs `ids` through all layers, checking the numbers of each where that is asked for, and filling the cache. The
    /// last block's output is still to be added: that is up to
    /// [`Model::record_logits`] or [`Model::score`].
    pub fn record_layers(
        &self,
        recorder: &mut Recorder,
        cache: &KvCache,
        ids: &[u32],
        start: usize,
        mode: Mode,
        form: Form,
    ) -> Result<()> {
        let step = self.step(start, ids.len(), mode);
        // What an earlier step recorded must be with the driver before its inputs are written over.
        recorder.submit(&self.gpu)?;
        self.write_inputs(cache, ids, step)?;
        self.record_step(recorder, cache, step, form)
    }

    /// A step under the marks that are in force now.
    pub fn step(&self, start: usize, tokens: usize, mode: Mode) -> Step {
        Step { start, tokens, mode, marks_from: self.marks_from }
    }

    /// Tells the device which tokens `step` is about. Steps that are recorded may still wait for this.
    pub fn write_inputs(&self, cache: &KvCache, ids: &[u32], step: Step) -> Result<()> {
        self.check(step, cache, ids)?;
        self.gpu.write(&self.scratch.ids, 0, ids)?;
        self.gpu.write(&self.scratch.turns, 0, &self.config.rope.turns(step.start, step.tokens))
    }

    /// [`Model::record_layers`] for tokens that [`Model::write_inputs`] names before they are submitted.
    pub fn record_step(&self, recorder: &mut Recorder, cache: &KvCache, step: Step, form: Form) -> Result<()> {
        let s = &self.scratch;
        let tables = (&s.ids, self.embedding.matrix()?, &s.stream);
        self.ops.embed.record(&self.gpu, recorder, tables, step.tokens, self.config.embedding_scale)?;
        if let Some(fused) = self.fused(step.tokens, form) {
            return self.record_fused(recorder, fused, cache, step);
        }
        for (index, (layer, cache)) in self.layers.iter().zip(&cache.layers).enumerate() {
            if index == 0 {
                self.norm_first_rows(recorder, layer, step.tokens)?;
            } else {
                let norm = (&layer.attention_norm, &layer.qkv, Block::FeedForward);
                self.add_and_norm(recorder, norm, 0, step.tokens, 1.0)?;
            }
            self.attention(recorder, (index, layer), cache, step)?;
            let norm = (&layer.feed_forward_norm, &layer.gate_up, Block::Attention);
            self.add_and_norm(recorder, norm, 0, step.tokens, 1.0)?;
            self.feed_forward(recorder, layer, step)?;
            if form == Form::Checked {
                numbers::look(self, recorder, index, step)?;
            }
        }
        Ok(())
    }

    /// Compressed keys of the first `tokens` positions, from whatever the cache holds.
    pub fn recompress(&self, recorder: &mut Recorder, cache: &KvCache, tokens: usize) -> Result<()> {
        const AT_ONCE: usize = 65_536;
        for layer in &cache.layers {
            for start in (0..tokens).step_by(AT_ONCE) {
                let (tokens, marks_from) = (AT_ONCE.min(tokens - start), usize::MAX);
                let step = Step { start, tokens, mode: Mode::Dense, marks_from };
                self.ops.sparse.record_compress(&self.gpu, recorder, layer, step)?;
            }
        }
        recorder.finish(&self.gpu)
    }

    /// The kernels for a step of so many tokens in that form, where it is fused.
    fn fused(&self, tokens: usize, form: Form) -> Option<&FusedDecode> {
        self.fused.as_ref().filter(|_| tokens == 1 && form == Form::Usual)
    }

    /// The normalised input of the first layer, before which there is nothing to add.
    pub(super) fn norm_first_rows(&self, recorder: &mut Recorder, first: &Layer, tokens: usize) -> Result<()> {
        let args = RmsNormArgs {
            x: &self.scratch.stream,
            weight: &first.attention_norm,
            out: &self.scratch.normed.floats,
            first_row: 0,
            tokens,
            scale: 1.0,
        };
        self.ops.rms_norm.record(&self.gpu, recorder, &args)
    }

    /// After [`Model::record_layers`] of `tokens` in that form: the logits of the last one.
    pub fn record_logits(&self, recorder: &mut Recorder, tokens: usize, form: Form) -> Result<()> {
        if let Some(fused) = self.fused(tokens, form) {
            return self.record_fused_logits(recorder, fused);
        }
        let (head, row) = (self.head(), tokens - 1);
        self.add_and_norm(recorder, (&self.norm, head, Block::FeedForward), row, 1, self.config.logit_scale)?;
        head.record_decode(&self.gpu, recorder, (&self.scratch.normed, head.layout()), &self.scratch.logits)
    }

    /// After [`Model::record_logits`]: the best candidates, for the sampler.
    pub fn record_top(&self, recorder: &mut Recorder) -> Result<()> {
        let s = &self.scratch;
        self.ops.top_logits.record(&self.gpu, recorder, &s.logits, &s.top, &s.best)
    }

    /// After [`Model::record_layers`]: ln of the probability of each of `targets`, the tokens that follow those of the
    /// step. Waits for the device.
    pub fn score(&self, recorder: &mut Recorder, targets: &[u32], form: Form) -> Result<Vec<f32>> {
        let s = &self.scratch;
        recorder.submit(&self.gpu)?;
        self.gpu.write(&s.targets, 0, targets)?;
        let rows = head_rows(&self.config);
        for first in (0..targets.len()).step_by(rows) {
            let count = rows.min(targets.len() - first);
            if let Some(fused) = self.fused(targets.len(), form) {
                self.record_fused_logits(recorder, fused)?;
            } else {
                let norm = (&self.norm, self.head(), Block::FeedForward);
                self.add_and_norm(recorder, norm, first, count, self.config.logit_scale)?;
                let rows = (&s.normed.floats, s.rounded.as_ref());
                self.head().record_prefill(&self.gpu, recorder, rows, &s.logits, count)?;
            }
            let tensors = (&s.logits, &s.targets, &s.log_probs);
            self.ops.log_probs.record(&self.gpu, recorder, tensors, first, count)?;
        }
        let mut scores: Vec<f32> = recorder.read(&self.gpu, &s.log_probs)?;
        scores.truncate(targets.len());
        Ok(scores)
    }

    pub(super) fn head(&self) -> &Linear {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    fn add_and_norm(
        &self,
        recorder: &mut Recorder,
        (weight, reader, added): (&Tensor, &Linear, Block),
        first_row: usize,
        tokens: usize,
        scale: f32,
    ) -> Result<()> {
        let residual_scale = match added {
            Block::Attention => self.config.residual_scale,
            Block::FeedForward => self.config.residual_scale / swiglu::SCALE,
        };
        let s = &self.scratch;
        let args = AddRmsNormArgs {
            stream: &s.stream,
            delta: &s.delta,
            weight,
            out: s.normed.target(reader, tokens)?,
            first_row,
            tokens,
            residual_scale,
            scale,
        };
        self.ops.add_rms_norm.record(&self.gpu, recorder, &args)
    }

    fn attention(
        &self,
        recorder: &mut Recorder,
        (index, layer): (usize, &Layer),
        cache: &LayerCache,
        step: Step,
    ) -> Result<()> {
        let s = &self.scratch;
        // The norm of the first layer has no rounded form.
        let ready = layer.qkv.layout().filter(|_| index > 0);
        self.multiply(recorder, &layer.qkv, (&s.normed, ready), &s.qkv, step)?;
        self.rope_and_store(recorder, cache, step)?;
        let target = s.attended.target(&layer.attention_out, step.tokens)?;
        self.attend(recorder, cache, (index, step), target)?;
        self.multiply(recorder, &layer.attention_out, (&s.attended, layer.attention_out.layout()), &s.delta, step)
    }

    pub(super) fn rope_and_store(&self, recorder: &mut Recorder, cache: &LayerCache, step: Step) -> Result<()> {
        let s = &self.scratch;
        let rope = RopeAndStoreArgs {
            qkv: &s.qkv,
            turns: &s.turns,
            queries: &s.queries,
            cache: &cache.tokens,
            start: step.start,
            tokens: step.tokens,
        };
        self.ops.rope_and_store.record(&self.gpu, recorder, &rope)
    }

    /// From queries and cache to what the heads gather: the one choice between dense and sparse.
    pub(super) fn attend(
        &self,
        recorder: &mut Recorder,
        cache: &LayerCache,
        (index, step): (usize, Step),
        out: RowTarget<'_>,
    ) -> Result<()> {
        let (gpu, ops, s) = (&self.gpu, &self.ops, &self.scratch);
        ops.sparse.record_compress(gpu, recorder, cache, step)?;
        let dense = AttendDenseArgs {
            queries: &s.queries,
            cache: &cache.tokens,
            tiles: s.tiles.as_ref(),
            partial: &s.partial,
            out,
            start: step.start,
            tokens: step.tokens,
        };
        match (step.mode, step.tokens) {
            (Mode::Dense, 1) => ops.attend_dense.record_decode(gpu, recorder, &dense),
            (Mode::Dense, _) => ops.attend_dense.record_prefill(gpu, recorder, &dense),
            (Mode::Sparse, 1) => ops.sparse.record_decode(gpu, recorder, s, cache, (index, step), out),
            (Mode::Sparse, _) => ops.sparse.record_prefill(gpu, recorder, s, cache, step),
        }
    }

    fn feed_forward(&self, recorder: &mut Recorder, layer: &Layer, step: Step) -> Result<()> {
        let s = &self.scratch;
        self.multiply(recorder, &layer.gate_up, (&s.normed, layer.gate_up.layout()), &s.gate_up, step)?;
        let target = s.activated.target(&layer.down, step.tokens)?;
        self.ops.swiglu.record(&self.gpu, recorder, &s.gate_up, target, step.tokens)?;
        self.multiply(recorder, &layer.down, (&s.activated, layer.down.layout()), &s.delta, step)
    }

    fn multiply(
        &self,
        recorder: &mut Recorder,
        linear: &Linear,
        (x, ready): (&Activations, Option<RowLayout>),
        out: &Tensor,
        step: Step,
    ) -> Result<()> {
        if step.tokens == 1 {
            linear.record_decode(&self.gpu, recorder, (x, ready), out)
        } else {
            linear.record_prefill(&self.gpu, recorder, (&x.floats, self.scratch.rounded.as_ref()), out, step.tokens)
        }
    }

    fn check(&self, step: Step, cache: &KvCache, ids: &[u32]) -> Result<()> {
        let needed = step.start + step.tokens;
        if needed > cache.capacity {
            return Err(Error::ContextFull { needed, capacity: cache.capacity, over: needed - cache.capacity });
        }
        if step.tokens == 0 || step.tokens > self.scratch.chunk {
            return Err(Error::shape("tokens of a step", format!("1 to {}", self.scratch.chunk), step.tokens));
        }
        match ids.iter().find(|id| **id as usize >= self.config.vocab_size) {
            None => Ok(()),
            Some(id) => Err(Error::Text {
                what: "tokenizer".into(),
                problem: format!("token {id} is beyond the model's vocabulary of {}", self.config.vocab_size),
                advice: "The tokenizer and the weights belong to different models".into(),
            }),
        }
    }
}
