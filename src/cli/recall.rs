//! `foveal recall`: hides facts in documents, asks for them, dense and sparse, and counts right answers.
//!
//! A document is asked about several times, each time in a conversation of its own; what the cache holds of the document is
//! kept. In sparse mode it also counts how often a block of the fact's sentence was chosen by score: by some layer and KV
//! head, at some token of the answer. Blocks that are read anyway (beginning, window, all while all fit) do not count.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::common::{ModelArguments, positive, read_text};
use super::terminal::{Progress, Terminal};
use crate::chat_template::{Message, Role};
use crate::conversation::{ContextToken, Conversation, Document, Source};
use crate::error::{Error, Result};
use crate::generate::{Event, FinishReason, GenerateOptions, generate};
use crate::model::Attention;
use crate::open::ModelFiles;
use crate::recall::{Fact, Probe, Task, generated, hidden_in, is_right};
use crate::sampler::SamplerSettings;
use crate::session::Session;
use crate::sparse_settings::SparseSettings;

/// Longest answer.
const ANSWER: usize = 48;
/// Tokens that the question and the template may take beside the document and the answer.
const QUESTION: usize = 80;
/// Questions about one document.
const SHARED: usize = 10;

#[derive(Debug, Args)]
pub(super) struct RecallArguments {
    /// Lengths of document, question and answer together
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1024,4096,16384", value_parser = positive)]
    tokens: Vec<usize>,
    /// Questions for each length
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = positive)]
    questions: usize,
    /// Chooses the documents
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Hide the fact in this text instead of a written one, each time at another depth
    #[arg(long, value_name = "FILE", requires_all = ["fact", "question", "answer"])]
    document: Option<PathBuf>,
    /// The sentence to hide
    #[arg(long, value_name = "TEXT", requires = "document")]
    fact: Option<String>,
    /// What to ask about it
    #[arg(long, value_name = "TEXT", requires = "document")]
    question: Option<String>,
    /// What a right answer contains
    #[arg(long, value_name = "TEXT", requires = "document")]
    answer: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArguments,
}

/// All lengths.
#[derive(Serialize)]
struct Results {
    results: Vec<Row>,
}

/// One length.
#[derive(Serialize)]
struct Row {
    tokens: usize,
    dense: Dense,
    sparse: Sparse,
}

#[derive(Serialize)]
struct Dense {
    correct: usize,
    asked: usize,
}

#[derive(Serialize)]
struct Sparse {
    correct: usize,
    asked: usize,
    fact_block_selected: usize,
}

/// What was counted at one length in one mode.
#[derive(Default)]
struct Counts {
    correct: usize,
    asked: usize,
    /// Facts outside the blocks that are read anyway.
    outside: usize,
    selected: usize,
    prompt: Speed,
    answers: Speed,
}

#[derive(Default)]
struct Speed {
    tokens: usize,
    seconds: f64,
}

pub(super) fn run(arguments: &RecallArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    arguments.model.without_attention("recall measures dense and sparse")?;
    let files = arguments.model.open_files()?;
    let text = arguments.document.as_deref().map(read_text).transpose()?;
    let mut options = arguments.model.load_options();
    options.context.get_or_insert(arguments.tokens.iter().copied().max().unwrap_or(0));
    let mut session = arguments.model.open_session(&files, &options)?.session;
    if !arguments.json {
        terminal.line("  tokens            dense           sparse  fact's block chosen  prompt, dense/sparse  answer, dense/sparse")?;
    }
    let mut results = Vec::new();
    for tokens in &arguments.tokens {
        let tasks = tasks(arguments, &files, text.as_deref(), *tokens)?;
        let dense = ask(&mut session, &files, &tasks, Attention::Dense, *tokens, terminal)?;
        let sparse = ask(&mut session, &files, &tasks, Attention::Sparse, *tokens, terminal)?;
        if !arguments.json {
            terminal.line(&line(*tokens, &dense, &sparse))?;
        }
        results.push(Row {
            tokens: *tokens,
            dense: Dense { correct: dense.correct, asked: dense.asked },
            sparse: Sparse { correct: sparse.correct, asked: sparse.asked, fact_block_selected: sparse.selected },
        });
    }
    if arguments.json {
        terminal.json(&Results { results })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tasks(arguments: &RecallArguments, files: &ModelFiles, text: Option<&str>, tokens: usize) -> Result<Vec<Task>> {
    let room = tokens.saturating_sub(ANSWER + QUESTION);
    let fact = (&arguments.fact, &arguments.question, &arguments.answer);
    if let (Some(text), (Some(sentence), Some(question), Some(answer))) = (text, fact) {
        let fact = Fact { sentence: sentence.clone(), question: question.clone(), answer: answer.clone() };
        let depth = |index: usize| (index as f64 + 0.5) / arguments.questions as f64;
        let task = |index| hidden_in(&files.tokenizer, text, room, &fact, depth(index));
        return (0..arguments.questions).map(task).collect();
    }
    let documents = arguments.questions.div_ceil(SHARED);
    let task = |index: usize| {
        let count = SHARED.min(arguments.questions - index * SHARED);
        // Lengths and documents have seeds of their own, far apart.
        let seed = arguments.seed.wrapping_mul(1 << 40).wrapping_add((tokens as u64) << 16).wrapping_add(index as u64);
        generated(&files.tokenizer, room, count, seed)
    };
    (0..documents).map(task).collect()
}

fn ask(
    session: &mut Session,
    files: &ModelFiles,
    tasks: &[Task],
    attention: Attention,
    tokens: usize,
    terminal: &mut Terminal,
) -> Result<Counts> {
    session.set_attention(attention);
    session.set_trace(attention == Attention::Sparse);
    let bar = Progress::new(format!("{tokens} tokens, {attention}"));
    let total: usize = tasks.iter().map(|task| task.probes.len()).sum();
    let mut counts = Counts::default();
    for task in tasks {
        for probe in &task.probes {
            one(session, files, task, probe, terminal, &mut counts)?;
            bar.set(counts.asked as u64, total as u64);
        }
    }
    Ok(counts)
}

fn one(
    session: &mut Session,
    files: &ModelFiles,
    task: &Task,
    probe: &Probe,
    terminal: &mut Terminal,
    counts: &mut Counts,
) -> Result<()> {
    let conversation = Conversation {
        system: None,
        documents: vec![Document { name: "document".into(), text: task.document.clone() }],
        turns: vec![Message { role: Role::User, content: probe.question.clone() }],
    };
    let context = conversation.tokens(&files.tokenizer, &files.template, Some(false))?;
    let prompt: Vec<u32> = context.iter().map(|token| token.id).collect();
    let settings = session.config().sparse.settings;
    let blocks = blocks_of(&context, &probe.fact, settings.block_size);
    let options = GenerateOptions { sampler: SamplerSettings::greedy(), max_tokens: ANSWER, stop: Vec::new() };
    let mut chosen = HashSet::new();
    let answer = terminal.stoppable(|_, stop| {
        generate(session, &files.tokenizer, &prompt, &options, stop, &mut |event| {
            if let Event::Token { trace: Some(trace), .. } = event {
                chosen
                    .extend((0..trace.readers.len()).flat_map(|reader| trace.free_blocks(reader).collect::<Vec<_>>()));
            }
            Ok(())
        })
    })?;
    if answer.reason == FinishReason::Stopped {
        return Err(Error::Stopped);
    }
    counts.asked += 1;
    let right = is_right(&answer.text, &probe.answer);
    counts.correct += usize::from(right);
    if !right {
        tracing::info!("{} -> {:?}, not {:?}", probe.question, answer.text, probe.answer);
    }
    let outside = is_outside(&blocks, &settings, prompt.len() - 1);
    counts.outside += usize::from(outside);
    counts.selected += usize::from(outside && blocks.clone().any(|block| chosen.contains(&block)));
    counts.prompt.add(answer.computed_tokens, answer.first_token_seconds);
    counts.answers.add(answer.tokens.len().saturating_sub(1), answer.decode_seconds);
    Ok(())
}

/// Blocks that hold tokens of these bytes of the document.
fn blocks_of(context: &[ContextToken], fact: &Range<usize>, block_size: usize) -> Range<u32> {
    let within = |token: &ContextToken| {
        token.source == Source::Document(0) && token.bytes.start < fact.end && fact.start < token.bytes.end
    };
    let first = context.iter().position(within).unwrap_or(0);
    let last = context.iter().rposition(within).unwrap_or(first);
    (first / block_size) as u32..(last / block_size + 1) as u32
}

/// Whether one of the blocks is read from `position` only if it is chosen.
fn is_outside(blocks: &Range<u32>, settings: &SparseSettings, position: usize) -> bool {
    let free = settings.init_blocks..settings.free_end(position);
    position >= settings.first_choice() && blocks.clone().any(|block| free.contains(&(block as usize)))
}

impl Speed {
    fn add(&mut self, tokens: usize, seconds: f64) {
        self.tokens += tokens;
        self.seconds += seconds;
    }

    fn per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }
}

fn line(tokens: usize, dense: &Counts, sparse: &Counts) -> String {
    let right = |counts: &Counts| {
        let share = 100.0 * counts.correct as f64 / counts.asked.max(1) as f64;
        format!("{}/{} {share:5.1} %", counts.correct, counts.asked)
    };
    // Where all blocks fit nothing is chosen.
    let chosen = if sparse.outside == 0 { "-".into() } else { format!("{}/{}", sparse.selected, sparse.outside) };
    let speeds =
        |of: fn(&Counts) -> &Speed| format!("{:.0} / {:.0} tok/s", of(dense).per_second(), of(sparse).per_second());
    let (prompt, answers) = (speeds(|counts| &counts.prompt), speeds(|counts| &counts.answers));
    format!("{tokens:>8}  {:>15}  {:>15}  {chosen:>19}  {prompt:>20}  {answers:>20}", right(dense), right(sparse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forced_blocks_are_not_outside() {
        // Blocks of 64, 1 initial, 33 local, budget 96: blocks 1 to 66 of 100 are free at position 6399.
        let settings = SparseSettings::MINICPM4_1;
        let outside = |blocks: Range<u32>| is_outside(&blocks, &settings, 6399);
        assert!(outside(1..2) && outside(66..67) && outside(0..2));
        assert!(!outside(0..1) && !outside(67..68) && !outside(99..100));
        assert!(!is_outside(&(1..2), &settings, 6143), "all 96 blocks fit");
    }
}
