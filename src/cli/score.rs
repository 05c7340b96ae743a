//! `foveal score`: how likely the model finds a text, token by token.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::common::{ModelArguments, read_text};
use super::terminal::{Progress, Terminal, escape};
use crate::error::{Error, Result};
use crate::model::{LoadOptions, ModelConfig};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["text", "token_ids"]))]
pub(super) struct ScoreArguments {
    /// Text file to score, with the model's begin-of-text token in front if its tokenizer adds one
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// JSON file with a list of token ids to score as they are, to compare with other programs
    #[arg(long, value_name = "FILE")]
    token_ids: Option<PathBuf>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArguments,
}

#[derive(Serialize)]
struct Scores {
    token_ids: Vec<u32>,
    /// ln of each token's probability after those before it; nothing for the first.
    logprobs: Vec<Option<f32>>,
    perplexity: f64,
}

pub(super) fn run(arguments: &ScoreArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let files = arguments.model.open_files()?;
    let tokens = match (&arguments.text, &arguments.token_ids) {
        (Some(path), _) => files.tokenizer.encode(&read_text(path)?, true)?,
        (None, Some(path)) => read_ids(path, &files.config)?,
        (None, None) => Vec::new(),
    };
    if tokens.len() < 2 {
        let found = format!("{} tokens", tokens.len());
        return Err(Error::Usage { what: "text to score".into(), expected: "at least 2 tokens".into(), found });
    }
    // Room for the text is enough: nothing is generated.
    let mut options = arguments.model.load_options();
    let most = LoadOptions::context_for(&options, &files.config).max(files.config.max_positions);
    options.context = Some(options.context.unwrap_or(tokens.len().min(most)));
    let mut opened = arguments.model.open_session(&files, &options)?;
    let bar = Progress::new("scoring");
    let scored = opened.session.surviving(&mut |_| Ok(()), &mut |session| {
        session.score(&tokens, &mut |done, total| {
            bar.set(done as u64, total as u64);
            Ok(())
        })
    })?;
    drop(bar);
    let mean = scored.iter().map(|value| f64::from(*value)).sum::<f64>() / scored.len().max(1) as f64;
    let logprobs = [None].into_iter().chain(scored.into_iter().map(Some)).collect();
    let scores = Scores { token_ids: tokens, logprobs, perplexity: (-mean).exp() };
    if arguments.json {
        terminal.json(&scores)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (id, value) in scores.token_ids.iter().zip(&scores.logprobs) {
        let value = value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let text = files.tokenizer.token_text(*id).replace(['\n', '\t'], " ");
        terminal.line(&format!("{id:>7} {value:>10}  {}", escape(&text)))?;
    }
    terminal.line(&format!("{} tokens, perplexity {:.4}", scores.token_ids.len(), scores.perplexity))?;
    Ok(ExitCode::SUCCESS)
}

fn read_ids(path: &Path, config: &ModelConfig) -> Result<Vec<u32>> {
    let wrong = |expected: String, found: String| Error::Format {
        path: path.into(),
        what: "token ids".into(),
        expected,
        found,
        advice: "Give ids of this model's tokenizer, as in [1, 52, 17]".into(),
    };
    let ids: Vec<u32> = serde_json::from_str(&read_text(path)?)
        .map_err(|error| wrong("a JSON list of whole numbers".into(), error.to_string()))?;
    match ids.iter().find(|id| **id as usize >= config.vocab_size) {
        Some(id) => Err(wrong(format!("ids below {}", config.vocab_size), id.to_string())),
        None => Ok(ids),
    }
}
