//! From a checkpoint to a model on the device: plan, compile, upload.

use std::sync::Arc;
use std::time::Instant;

use super::attention_mode::SparseConfig;
use super::config::ModelConfig;
use super::decode::FusedDecode;
use super::forward::{Layer, Model, Ops};
use super::linear::{self, Linear, SourceList};
use super::names;
use super::plan::MemoryPlan;
use super::scratch::Scratch;
use crate::error::Result;
use crate::gpu::{Element, Gpu, Tensor, compiled};
use crate::ops::CacheFormat;
use crate::weights::Checkpoint;
use crate::weights::quantize::Recipe;

/// How to load.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Positions of the cache; `None` for the model's own number, at most 32 768.
    pub context: Option<usize>,
    /// What plain numbers become; `None` keeps them as f16.
    pub quantize: Option<Recipe>,
    /// How keys and values are stored.
    pub kv: CacheFormat,
    /// Tokens of a prefill step; `None` chooses.
    pub chunk: Option<usize>,
    /// Takes the place of config.json's `sparse_config`.
    pub sparse_config: Option<serde_json::Value>,
}

impl LoadOptions {
    /// What the checkpoint's config.json says, with what these options change.
    pub fn config(&self, checkpoint: &Checkpoint) -> Result<ModelConfig> {
        let mut config = ModelConfig::new(checkpoint.config())?;
        if let Some(sparse) = &self.sparse_config {
            config.sparse = SparseConfig::new(Some(sparse), config.family, config.sparse.settings.score_type)?;
        }
        Ok(config)
    }

    /// The context for `config`.
    pub fn context_for(&self, config: &ModelConfig) -> usize {
        // No memory holds more, and sizes computed from it stay far from overflowing.
        const MOST: usize = 1 << 32;
        self.context.unwrap_or_else(|| config.max_positions.min(32_768)).min(MOST)
    }
}

/// What loading is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Kernels for this adapter.
    Compiling,
    /// Weights to the device.
    Uploading,
}

/// Hears of progress (stage, done, of how many); an error stops the loading.
pub type Progress<'a> = dyn FnMut(Stage, u64, u64) -> Result<()> + 'a;

impl Model {
    /// Loads `checkpoint` onto `gpu`.
    pub fn load(
        gpu: &Arc<Gpu>,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let config = options.config(checkpoint)?;
        let sources = SourceList::find(checkpoint, &config, options.quantize.as_ref())?;
        let context = options.context_for(&config);
        let memory = MemoryPlan::for_device(gpu, &config, sources.bytes(), (options.kv, context), options.chunk)?;
        progress(Stage::Compiling, 0, 1)?;
        let started = Instant::now();
        let since = |what: &str| tracing::info!("{what} after {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
        let embedding_format = sources.embedding.format;
        let (table, ops) = std::thread::scope(|scope| {
            let ops = scope.spawn(|| Ops::compile(gpu, &config, embedding_format, options.kv));
            let table = linear::compile_multipliers(gpu, sources.all());
            (table, compiled(ops))
        });
        let (table, ops) = (table?, ops?);
        progress(Stage::Compiling, 1, 1)?;
        since("kernels compiled");
        let total = sources.bytes();
        let mut done = 0;
        let mut loaded = |bytes: u64| {
            done += bytes;
            progress(Stage::Uploading, done, total)
        };
        let mut linear = |sources: &[linear::Source]| Linear::load(gpu, checkpoint, &table, sources, &mut loaded);
        let vector = |name: &str, count: usize| upload_vector(gpu, checkpoint, name, count);
        let embedding = linear(std::slice::from_ref(&sources.embedding))?;
        let head = sources.head.as_ref().map(|head| linear(std::slice::from_ref(head))).transpose()?;
        let mut layers = Vec::with_capacity(config.layers);
        for (index, layer) in sources.layers.iter().enumerate() {
            layers.push(Layer {
                attention_norm: vector(&names::layer(index, "input_layernorm"), config.hidden_size)?,
                qkv: linear(&layer.qkv)?,
                attention_out: linear(&layer.attention_out)?,
                feed_forward_norm: vector(&names::layer(index, "post_attention_layernorm"), config.hidden_size)?,
                gate_up: linear(&layer.gate_up)?,
                down: linear(&layer.down)?,
            });
        }
        let norm = vector(names::NORM, config.hidden_size)?;
        since("weights uploaded");
        let scratch = Scratch::new(gpu, &config, ops.sparse(), memory.chunk, memory.capacity())?;
        let fused = FusedDecode::compile(gpu, &config, options.kv, &layers, head.as_ref().unwrap_or(&embedding))?;
        gpu.save_pipelines();
        since("model ready");
        Ok(Self {
            gpu: Arc::clone(gpu),
            ops,
            embedding,
            head,
            layers,
            norm,
            scratch,
            fused,
            marks_from: usize::MAX,
            memory,
            config,
        })
    }
}

fn upload_vector(gpu: &Gpu, checkpoint: &Checkpoint, name: &str, count: usize) -> Result<Tensor> {
    gpu.upload(name, &[count], Element::F32, &checkpoint.vector(name, count)?)
}
