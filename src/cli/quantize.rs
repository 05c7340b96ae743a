//! `foveal quantize`: a smaller copy of a model, as a folder that MLX reads too.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::terminal::{Progress, Terminal, escape};
use crate::error::Result;
use crate::weights::Checkpoint;
use crate::weights::quantize::{Recipe, quantize_folder};

#[derive(Debug, Args)]
pub(super) struct QuantizeArguments {
    /// Model folder or .gguf file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Folder to make
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Bits of the layers' weights: 4 or 8
    #[arg(long, default_value_t = Recipe::default().bits)]
    bits: u32,
    /// Weights that share a scale: 32, 64 or 128
    #[arg(long, default_value_t = Recipe::default().group)]
    group: usize,
    /// Bits of embedding and head: 4 or 8
    #[arg(long, default_value_t = Recipe::default().head_bits)]
    head_bits: u32,
}

pub(super) fn run(arguments: &QuantizeArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let QuantizeArguments { input, output, bits, group, head_bits } = arguments;
    let recipe = Recipe { bits: *bits, group: *group, head_bits: *head_bits };
    let bar = Progress::new("quantising");
    quantize_folder(input, output, &recipe, |progress| {
        bar.set(progress.done, progress.total);
        Ok(())
    })?;
    drop(bar);
    let (before, after) = (Checkpoint::open(input)?, Checkpoint::open(output)?);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let text = format!("{}: {} MiB, was {} MiB", output.display(), mib(after.bytes()), mib(before.bytes()));
    terminal.line(&escape(&text))?;
    Ok(ExitCode::SUCCESS)
}
