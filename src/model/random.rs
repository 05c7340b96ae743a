//! A model of a given shape with random 4-bit weights, made in seconds without a file: for `foveal bench`.

use std::sync::Arc;

use serde_json::json;

use super::config::ModelConfig;
use super::decode::FusedDecode;
use super::forward::{Layer, Model, Ops};
use super::linear::{self, LayerSources, Linear, Source, SourceList};
use super::plan::MemoryPlan;
use super::scratch::Scratch;
use super::{LoadOptions, names};
use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu, Tensor};
use crate::weights::{Format, PackedMatrix};

/// Shapes that `foveal bench --shape` knows.
pub const SHAPES: [&str; 3] = ["minicpm4.1-8b", "minicpm4-0.5b", "tiny"];

/// The configuration of a shape by name, as its config.json would have it. Contexts beyond the published number only
/// change how many positions a bench may use.
pub fn shape(name: &str) -> Result<ModelConfig> {
    let (hidden, layers, heads, kv_heads, intermediate, vocab, tied) = match name {
        "minicpm4.1-8b" => (4096, 32, 32, 2, 16_384, 73_448, false),
        "minicpm4-0.5b" => (1024, 24, 16, 2, 4096, 73_448, true),
        "tiny" => (256, 4, 8, 2, 512, 3072, true),
        _ => {
            let expected = SHAPES.join(", ");
            return Err(Error::Usage { what: "--shape".into(), expected, found: format!("\"{name}\"") });
        }
    };
    ModelConfig::new(&json!({
        "model_type": "minicpm", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": intermediate, "vocab_size": vocab,
        "tie_word_embeddings": tied, "max_position_embeddings": 65_536, "rms_norm_eps": 1e-6, "scale_emb": 12,
        "scale_depth": 1.4, "dim_model_base": 256,
    }))
}

/// Words that all random matrices are cut from.
const POOL_WORDS: usize = 4 << 20;

impl Model {
    /// Random weights in `format` for `config`.
    pub fn random(gpu: &Arc<Gpu>, config: ModelConfig, format: Format, options: &LoadOptions) -> Result<Self> {
        let context = options.context_for(&config);
        let sources = random_sources(&config, format);
        let memory = MemoryPlan::for_device(gpu, &config, sources.bytes(), (options.kv, context), options.chunk)?;
        let table = linear::compile_multipliers(gpu, sources.all())?;
        let ops = Ops::compile(gpu, &config, format, options.kv)?;
        let mut words = random_words(POOL_WORDS);
        let mut linear = |sources: &[Source]| {
            words.rotate_left(977);
            Linear::fill(gpu, &table, sources, &mut |rows, cols| random_rows(&words, rows, cols, format))
        };
        let ones = || gpu.upload("norm", &[config.hidden_size], Element::F32, &vec![1.0f32; config.hidden_size]);
        let embedding = linear(std::slice::from_ref(&sources.embedding))?;
        let head = sources.head.as_ref().map(|head| linear(std::slice::from_ref(head))).transpose()?;
        let mut layers = Vec::with_capacity(config.layers);
        for layer in &sources.layers {
            layers.push(Layer {
                attention_norm: ones()?,
                qkv: linear(&layer.qkv)?,
                attention_out: linear(&layer.attention_out)?,
                feed_forward_norm: ones()?,
                gate_up: linear(&layer.gate_up)?,
                down: linear(&layer.down)?,
            });
        }
        let norm: Tensor = ones()?;
        let scratch = Scratch::new(gpu, &config, ops.sparse(), memory.chunk, memory.capacity())?;
        let fused = FusedDecode::compile(gpu, &config, options.kv, &layers, head.as_ref().unwrap_or(&embedding))?;
        gpu.save_pipelines();
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

fn random_sources(config: &ModelConfig, format: Format) -> SourceList {
    let hidden = config.hidden_size;
    let source = |name: String, rows: usize, cols: usize| Source { name, rows, cols, format };
    let layer = |index: usize| LayerSources {
        qkv: vec![source(names::layer(index, "qkv"), config.qkv_width(), hidden)],
        attention_out: vec![source(names::layer(index, "attention_out"), hidden, config.attention_width())],
        gate_up: vec![source(names::layer(index, "gate_up"), 2 * config.intermediate_size, hidden)],
        down: vec![source(names::layer(index, "down"), hidden, config.intermediate_size)],
    };
    SourceList {
        embedding: source(names::EMBEDDING.into(), config.vocab_size, hidden),
        head: (!config.tied).then(|| source(names::HEAD.into(), config.vocab_size, hidden)),
        layers: (0..config.layers).map(layer).collect(),
    }
}

fn random_words(count: usize) -> Vec<u32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Uniform quants around zero with a deviation of about 1 / sqrt(cols), so that activations keep their size.
fn random_rows(words: &[u32], rows: usize, cols: usize, format: Format) -> PackedMatrix {
    let quants = words.iter().copied().cycle().take(rows * format.words_per_row(cols)).collect();
    let levels = f64::from(1u32 << format.bits().min(8));
    let scale = (12.0 / cols as f64).sqrt() / levels;
    let pair = u32::from(half::f16::from_f64(scale).to_bits())
        | u32::from(half::f16::from_f64(-scale * (levels - 1.0) / 2.0).to_bits()) << 16;
    PackedMatrix { rows, cols, format, quants, scales: vec![pair; rows * format.groups_per_row(cols)] }
}
