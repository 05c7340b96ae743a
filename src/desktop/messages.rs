//! What the window and the engine thread say to each other.
//!
//! Every message is plain data and can be written as JSON, so that the engine may one day live in another process.
//! Work carries a number (a generation or a load); the window drops what comes from work that it no longer wants.
//! Selected blocks travel as [`StepTrace`], sources of tokens as
//! [`ContextMap`].

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::opening::{CacheForm, LoadOptions, MemoryPlan, ModelChoice, WeightForm};
pub use super::trace_data::{ContextMap, Mode, Segment, Source, StepTrace};
use crate::error::Error;

/// Number of one piece of engine work: an answer or a load. Later work has a higher number.
pub type WorkId = u64;
/// Number of a message inside its chat.
pub type MessageId = u32;
/// Number of a document: a digest of its text, so that the same text is kept once.
pub type DocumentId = u64;

/// Which attention the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttentionChoice {
    /// Dense up to the model's threshold, sparse beyond.
    #[default]
    Auto,
    /// Read everything, always.
    Dense,
    /// Read selected blocks, always.
    Sparse,
}

/// How the next token is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the likeliest tokens up to this sum of probability.
    pub top_p: f32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: u32,
    /// Drop tokens less likely than this share of the likeliest.
    pub min_p: f32,
    /// Above 1 makes repeated tokens less likely.
    pub repeat_penalty: f32,
    /// Longest answer in tokens.
    pub max_tokens: u32,
    /// Fixed seed; none draws a new one for each answer.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 0.95, top_k: 0, min_p: 0.0, repeat_penalty: 1.0, max_tokens: 2048, seed: None }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A document in the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentText {
    /// Its number, returned in [`Source::Document`].
    pub id: DocumentId,
    /// File name, for messages about it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// One message of the prompt. Its documents stand before its text, each followed by a blank line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number, returned in [`Source::Turn`].
    pub message: MessageId,
    /// Who says it.
    pub role: Role,
    /// Documents attached to it.
    pub documents: Vec<DocumentText>,
    /// What it says.
    pub text: String,
}

/// What to do with the blocks that hold a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PinRule {
    /// Never select them.
    Exclude,
    /// Always select them.
    Require,
}

/// A passage that the user holds in or keeps out of the selection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pin {
    /// The document that holds it.
    pub document: DocumentId,
    /// Where it stands there.
    pub bytes: Range<u32>,
    /// In or out.
    pub rule: PinRule,
}

/// One answer to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// Number that all its events carry.
    pub generation: WorkId,
    /// The message that the answer fills, for [`Source::Answer`] and [`Source::Thinking`].
    pub answer: MessageId,
    /// System prompt; empty leaves it out.
    pub system: String,
    /// The conversation, oldest first, ending with the user.
    pub turns: Vec<Turn>,
    /// How to draw tokens.
    pub sampling: Sampling,
    /// Which attention to use.
    pub attention: AttentionChoice,
    /// Let the model think before it answers, if it can.
    pub thinking: bool,
    /// Send a [`StepTrace`] with every token.
    pub trace: bool,
    /// Passages held in or kept out.
    pub pins: Vec<Pin>,
}

/// What the window asks of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Answer with [`Event::Devices`].
    ListDevices,
    /// Read a model's header and answer with [`Event::Planned`] or [`Event::Failed`].
    Plan(ModelChoice, LoadOptions),
    /// Open a model, closing the one before.
    Load(WorkId, ModelChoice, LoadOptions),
    /// Count the tokens of a draft; answer with [`Event::Counted`].
    Count(WorkId, String),
    /// Write an answer.
    Generate(Box<GenerateRequest>),
    /// Change the length of submits while running.
    Responsive(bool),
    /// End the thread.
    Shutdown,
}

/// A graphics device, or the processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Name to show and to pass in [`LoadOptions`].
    pub name: String,
    /// "Vulkan, integrated", "Metal", "CPU, slow".
    pub kind: String,
    /// Why it cannot be used, if it cannot.
    pub refused: Option<String>,
}

/// The model that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name to show.
    pub name: String,
    /// "4-bit, 8.2 B parameters".
    pub detail: String,
    /// Why it runs where it runs, where that is not as it should be.
    #[serde(default)]
    pub notice: Option<String>,
    /// The device that runs it.
    pub device: String,
    /// Tokens of context.
    pub context: u32,
    /// Layers of the model.
    pub layers: u32,
    /// KV heads in each layer.
    pub kv_heads: u32,
    /// Tokens in a block.
    pub block_size: u32,
    /// Cache length from which `Auto` is sparse; none means that the model has no sparse mode.
    pub sparse_from: Option<u32>,
    /// The sparse mode was not trained into this model.
    pub sparse_experimental: bool,
    /// The chat template can open a thinking section.
    pub can_think: bool,
    /// The engine obeys [`Pin`]s; without it they are not offered.
    pub can_pin: bool,
}

/// Steps of opening a model, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadStage {
    /// Reading headers and the tokenizer.
    Reading,
    /// Moving weights to the device.
    Weights,
    /// Building pipelines.
    Pipelines,
    /// First run, which makes drivers finish their work.
    WarmUp,
}

/// Which part of the answer a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Between the thinking marks.
    Thinking,
    /// The answer itself.
    Answer,
}

/// One token, as it was drawn. Every token that enters the cache is told, also one without text (a mark that ends the
/// thinking): the window counts positions by these events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The answer it belongs to.
    pub generation: WorkId,
    /// Number in the vocabulary.
    pub id: u32,
    /// Text that became complete with it: empty while a character is cut in two.
    pub text: String,
    /// Thinking or answer.
    pub part: Part,
    /// Seconds since the generation started.
    pub seconds: f32,
    /// What was read to draw it.
    pub step: Option<Arc<StepTrace>>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// The model ended it.
    EndOfText,
    /// `max_tokens` was reached.
    MaxTokens,
    /// The user stopped it.
    Stopped,
    /// The context is full.
    ContextFull,
}

/// Numbers of a finished answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Of these, tokens that were still in the cache.
    pub reused_tokens: u32,
    /// Tokens written.
    pub generated_tokens: u32,
    /// Seconds until the first token.
    pub first_token_seconds: f32,
    /// Seconds of writing after it.
    pub decode_seconds: f32,
}

/// What kind of failure it is, with the numbers that its card shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A memory plan that does not fit.
    Memory {
        /// MiB that are needed.
        needed_mib: u64,
        /// MiB that the device allows.
        allowed_mib: u64,
    },
    /// The prompt is longer than the context.
    ContextFull {
        /// Tokens of the prompt.
        needed: u32,
        /// Tokens of the context.
        capacity: u32,
    },
    /// The device is gone.
    DeviceLost,
    /// No device can be used.
    NoDevice,
    /// A file is missing, damaged or of an unknown kind.
    File,
    /// The engine thread ended by a mistake in the program.
    Crashed,
    /// Anything else.
    Other,
}

/// A failure in words for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineError {
    /// What kind it is.
    pub kind: FailureKind,
    /// The whole message: the thing, expected, found, advice.
    pub message: String,
}

impl From<&Error> for EngineError {
    fn from(error: &Error) -> Self {
        let kind = match error {
            Error::Memory { needed_mib, allowed_mib, .. } => {
                FailureKind::Memory { needed_mib: *needed_mib, allowed_mib: *allowed_mib }
            }
            Error::ContextFull { needed, capacity, .. } => FailureKind::ContextFull {
                needed: u32::try_from(*needed).unwrap_or(u32::MAX),
                capacity: u32::try_from(*capacity).unwrap_or(u32::MAX),
            },
            Error::DeviceLost { .. } => FailureKind::DeviceLost,
            Error::NoAdapter { .. } => FailureKind::NoDevice,
            Error::File { .. } | Error::Format { .. } | Error::Config { .. } | Error::Tensor { .. } => {
                FailureKind::File
            }
            _ => FailureKind::Other,
        };
        Self { kind, message: error.to_string() }
    }
}

/// What the engine reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Devices of this machine.
    Devices(Vec<DeviceInfo>),
    /// What a model would need.
    Planned(MemoryPlan),
    /// A load goes on: `done` of `total` in this stage.
    LoadProgress(WorkId, LoadStage, u64, u64),
    /// A load ended well.
    Loaded(WorkId, ModelInfo),
    /// Tokens of a draft.
    Counted(WorkId, u32),
    /// Where every token of the prompt comes from. Comes before the first progress.
    Context(WorkId, Arc<ContextMap>),
    /// The prompt is being read: tokens done, tokens in all, seconds so far.
    PrefillProgress(WorkId, u32, u32, f32),
    /// From this cache length on the model reads in another way.
    ModeChanged(WorkId, Mode, u32),
    /// A token was written.
    Token(Token),
    /// Text that was held back and belongs to the last token, when nothing follows it.
    Rest(WorkId, String),
    /// The device was lost, and the answer goes on once it is back: the driver's words.
    DeviceLost(WorkId, String),
    /// The device is back, and nothing was lost.
    DeviceRestored(WorkId),
    /// The answer ended.
    Finished(WorkId, FinishReason, Stats),
    /// Work failed; the number is that of the load or generation, if there is one.
    Failed(Option<WorkId>, EngineError),
}
