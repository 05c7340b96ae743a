//! `foveal generate`: one prompt in, one answer out; with `--json` one event a line and a summary at the end.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::common::{ModelArguments, SamplingArguments, TextArguments, figures, report_recovery};
use super::terminal::{Progress, Terminal, escape, remark};
use crate::chat_template::{Message, Role};
use crate::conversation::Conversation;
use crate::error::{Error, Result};
use crate::generate::{Answer, Event, FinishReason, generate};
use crate::open::ModelFiles;

#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    /// The question; without it standard input
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Continue the text as it stands, without the model's chat template
    #[arg(long, conflicts_with_all = ["system", "thinking"])]
    raw: bool,
    /// One JSON event a line: prefill, token, summary
    #[arg(long)]
    json: bool,
    /// With --json: the blocks that every layer and KV head selected for each token
    #[arg(long, requires = "json")]
    trace: bool,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    sampling: SamplingArguments,
}

/// The last line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename = "summary")]
struct Summary<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    prompt_tokens_per_second: f64,
    tokens_per_second: f64,
    device: &'a str,
    seed: u64,
}

pub(super) fn run(arguments: &GenerateArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let prompt = prompt_text(arguments)?;
    let files = arguments.model.open_files()?;
    let tokens = prompt_tokens(arguments, &files, prompt)?;
    let options = arguments.sampling.options(files.sampler);
    let mut opened = arguments.model.open_session(&files, &arguments.model.load_options())?;
    let session = &mut opened.session;
    session.set_trace(arguments.trace);
    let bar = Progress::new("reading");
    let answer = terminal.stoppable(|terminal, stop| {
        generate(session, &files.tokenizer, &tokens, &options, stop, &mut |event| {
            if let Event::Prefill { done, total } = &event {
                bar.set(*done as u64, *total as u64);
            }
            match &event {
                _ if arguments.json => terminal.json(&event),
                Event::Token { text, .. } | Event::Rest { text } => terminal.write(&escape(text)),
                other => {
                    report_recovery(other);
                    Ok(())
                }
            }
        })
    })?;
    drop(bar);
    if arguments.json {
        terminal.json(&Summary {
            answer: &answer,
            prompt_tokens_per_second: answer.prompt_speed(),
            tokens_per_second: answer.decode_speed(),
            device: &opened.device,
            seed: options.sampler.seed,
        })?;
    } else {
        terminal.line("")?;
        if std::io::stderr().is_terminal() {
            remark(&figures(&answer, &opened.session));
        }
    }
    if answer.reason == FinishReason::Stopped { Err(Error::Stopped) } else { Ok(ExitCode::SUCCESS) }
}

fn prompt_text(arguments: &GenerateArguments) -> Result<String> {
    let prompt = match &arguments.prompt {
        Some(prompt) => prompt.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| {
                Error::io("standard input", &error, "Give the question with --prompt, or pipe UTF-8 text in")
            })?;
            text.trim_end_matches(['\n', '\r']).to_owned()
        }
    };
    if prompt.trim().is_empty() {
        return Err(Error::Usage { what: "prompt".into(), expected: "some text".into(), found: "nothing".into() });
    }
    Ok(prompt)
}

fn prompt_tokens(arguments: &GenerateArguments, files: &ModelFiles, prompt: String) -> Result<Vec<u32>> {
    let documents = arguments.text.documents()?;
    if arguments.raw {
        let texts = documents.into_iter().map(|document| document.text).chain([prompt]);
        return files.tokenizer.encode(&texts.collect::<Vec<_>>().join("\n\n"), true);
    }
    let conversation = Conversation {
        system: arguments.text.system.clone(),
        documents,
        turns: vec![Message { role: Role::User, content: prompt }],
    };
    let context = conversation.tokens(&files.tokenizer, &files.template, arguments.sampling.thinking())?;
    Ok(context.into_iter().map(|token| token.id).collect())
}
