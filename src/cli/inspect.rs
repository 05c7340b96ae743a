//! `foveal inspect`: what a model is and what it takes, without loading it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::terminal::{Terminal, escape};
use crate::built_in;
use crate::chat_template::ChatTemplate;
use crate::error::Result;
use crate::model::{Family, MemoryPlan, ModelConfig, SourceList, SparseConfig, SparseOrigin};
use crate::open::open_tokenizer;
use crate::ops::CacheFormat;
use crate::weights::Checkpoint;

/// Contexts that the memory is shown for.
const CONTEXTS: [usize; 4] = [4 << 10, 8 << 10, 32 << 10, 128 << 10];
/// Tokens of a step that the memory is shown for: what a graphics card gets.
const CHUNK: usize = 2048;

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// Model folder or .gguf file; without it the built-in model
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Keys and values in the memory plan: 16-bit floats, or 8-bit integers with a scale per head and token
    #[arg(long, value_name = "f16|q8", default_value_t)]
    kv: CacheFormat,
}

pub(super) fn run(arguments: &InspectArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let path = match &arguments.path {
        Some(path) => path.clone(),
        None => built_in::model_folder()?,
    };
    for (name, value) in describe(&path, arguments.kv)? {
        terminal.line(&format!("{name:<16}{}", escape(&value)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(path: &Path, kv: CacheFormat) -> Result<Vec<(&'static str, String)>> {
    let checkpoint = Checkpoint::open(path)?;
    let config = ModelConfig::new(checkpoint.config())?;
    let sources = SourceList::find(&checkpoint, &config, None)?;
    let (parameters, bytes) = (checkpoint.parameters(), checkpoint.bytes());
    let bits = bytes as f64 * 8.0 / parameters.max(1) as f64;
    let family = match config.family {
        Family::MiniCpm => "minicpm",
        Family::Llama => "llama",
    };
    let head = if config.tied { "the embedding table" } else { "its own" };
    let shape = format!(
        "{family}: {} layers, hidden {}, feed-forward {}, vocabulary {}, head: {head}",
        config.layers, config.hidden_size, config.intermediate_size, config.vocab_size
    );
    let heads = config.heads;
    let mut lines = vec![
        ("files", format!("{}, {}", checkpoint.kind(), path.display())),
        ("architecture", shape),
        ("attention", format!("{} heads of {}, {} key and value heads", heads.heads, heads.head_dim, heads.kv_heads)),
        ("sparse", describe_sparse(&config)),
        ("positions", format!("{}, rotation: {}", config.max_positions, config.rope.kind)),
        ("parameters", format!("{:.1} million, {bits:.2} bits per weight", parameters as f64 / 1e6)),
        ("tokenizer", describe_tokenizer(&checkpoint, &config)),
    ];
    for context in CONTEXTS {
        let plan = MemoryPlan::new(&config, sources.bytes(), (kv, context), CHUNK);
        let beyond = if context > config.max_positions { " (beyond the model's positions)" } else { "" };
        lines.push(("memory", format!("{} MiB: {}{beyond}", plan.total().div_ceil(1 << 20), plan.describe())));
    }
    Ok(lines)
}

fn describe_sparse(config: &ModelConfig) -> String {
    let SparseConfig { settings, dense_len, origin } = config.sparse;
    let origin = match origin {
        SparseOrigin::Configured => "sparse_config of the model",
        SparseOrigin::Published => "no sparse_config, so the values published with MiniCPM4.1",
        SparseOrigin::Experimental => "no sparse_config; can be forced, experimental for this family",
    };
    format!(
        "{} blocks of {} tokens read from {} tokens on: {} first, {} local, {} by score ({origin})",
        settings.budget(),
        settings.block_size,
        dense_len,
        settings.init_blocks,
        settings.local_blocks(),
        settings.free_blocks(),
    )
}

/// What is wrong with the tokenizer is a fact to show here, not a reason to show nothing.
fn describe_tokenizer(checkpoint: &Checkpoint, config: &ModelConfig) -> String {
    let described = open_tokenizer(checkpoint).and_then(|tokenizer| {
        tokenizer.check_vocabulary(config.vocab_size)?;
        let template = ChatTemplate::for_tokenizer(&tokenizer)?;
        let own = if tokenizer.settings().chat_template.is_some() { "its own" } else { "none, so the usual one" };
        let thinking = if template.can_switch_thinking() { ", thinking can be switched" } else { "" };
        let size = tokenizer.vocab_size();
        Ok(format!("{size} tokens; chat template: {own} ({}{thinking})", template.kind_name()))
    });
    described.unwrap_or_else(|error| format!("unusable: {error}"))
}
