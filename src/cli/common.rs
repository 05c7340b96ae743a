//! Flags that several commands share, and what they open.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use super::terminal::{Progress, remark};
use crate::built_in;
use crate::conversation::Document;
#[cfg(feature = "desktop")]
use crate::desktop::messages::{AttentionChoice, Sampling};
use crate::error::{Error, Result};
use crate::generate::{Answer, Event, FinishReason, GenerateOptions};
use crate::gpu::Feature;
use crate::model::{Attention, LoadOptions, SparseOrigin};
use crate::open::{Device, ModelFiles, OpenedSession, open_session};
use crate::ops::CacheFormat;
use crate::sampler::SamplerSettings;
use crate::session::Session;
use crate::weights::quantize::Recipe;

/// Longest answer where no other length is asked for.
const MAX_TOKENS: usize = 2048;

/// Which device computes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Device")]
pub(super) struct DeviceArguments {
    /// Part of an adapter's name, its number in `foveal devices`, or cpu
    #[arg(long, value_name = "NAME|INDEX|cpu")]
    device: Option<String>,
    #[arg(long, value_name = "LIST", value_delimiter = ',', help = without_help())]
    without: Vec<Feature>,
}

fn without_help() -> String {
    format!("Leave optional abilities of the adapter unused: {}", Feature::ALL.map(Feature::name).join(", "))
}

impl DeviceArguments {
    #[cfg(feature = "desktop")]
    pub(super) fn name(&self) -> Option<&str> {
        self.device.as_deref()
    }

    pub(super) fn device(&self) -> Device {
        match self.device.as_deref() {
            None => Device::Best,
            Some("cpu") => Device::Cpu,
            Some(name) => Device::Adapter(name.to_owned()),
        }
    }

    pub(super) fn without(&self) -> BTreeSet<Feature> {
        self.without.iter().copied().collect()
    }
}

/// What the weights become.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Quantize {
    /// 4-bit integers
    Q4,
    /// 8-bit integers
    Q8,
    /// 16-bit floats
    None,
}

impl Quantize {
    fn recipe(self) -> Option<Recipe> {
        let bits = match self {
            Self::Q4 => 4,
            Self::Q8 => 8,
            Self::None => return None,
        };
        Some(Recipe { bits, ..Recipe::default() })
    }
}

/// Which model, and how it is loaded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArguments {
    /// Model folder or .gguf file; without it the small built-in model
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Tokens that the context holds; without it the model's own number, at most 32768
    #[arg(long, value_name = "TOKENS", value_parser = positive)]
    context: Option<usize>,
    /// What weights of plain numbers become at load
    #[arg(long, value_name = "FORMAT", default_value = "none")]
    quantize: Quantize,
    /// How keys and values are kept: 16-bit floats, or 8-bit integers with a scale per head and token in half the memory
    #[arg(long, value_name = "f16|q8", default_value_t)]
    kv: CacheFormat,
    /// Tokens of the prompt that are computed at a time
    #[arg(long, value_name = "TOKENS", value_parser = positive)]
    chunk: Option<usize>,
    /// Look for infinities and what is no number in every layer, and name the first; slow
    #[arg(long)]
    check_numbers: bool,
    /// auto is sparse from the model's own length on (dense_len), dense reads every token, sparse always selects
    #[arg(long, value_name = "auto|dense|sparse", default_value = "auto")]
    attention: Attention,
    /// JSON that takes the place of config.json's sparse_config: {"topk": 64, "window_size": 2048, ...}
    #[arg(long, value_name = "JSON", value_parser = json)]
    sparse_config: Option<serde_json::Value>,
    #[command(flatten)]
    pub(super) device: DeviceArguments,
}

fn json(text: &str) -> std::result::Result<serde_json::Value, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.is_object() { Ok(value) } else { Err("expected a JSON object".into()) }
}

/// A number of tokens or questions.
pub(super) fn positive(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a whole number from 1 up".into())
}

impl ModelArguments {
    /// The model's path, where one is given.
    #[cfg(feature = "desktop")]
    pub(super) fn path(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    /// What the window calls the attention that is asked for; nothing where it is the model's own.
    #[cfg(feature = "desktop")]
    pub(super) fn attention(&self) -> Option<AttentionChoice> {
        match self.attention {
            Attention::Auto => None,
            Attention::Dense => Some(AttentionChoice::Dense),
            Attention::Sparse => Some(AttentionChoice::Sparse),
        }
    }

    /// Opens and checks all files of the model.
    pub(super) fn open_files(&self) -> Result<ModelFiles> {
        ModelFiles::open(self.model.as_deref())
    }

    /// An error where --attention is given to a command that chooses itself.
    pub(super) fn without_attention(&self, reason: &str) -> Result<()> {
        if self.attention == Attention::Auto {
            return Ok(());
        }
        let found = self.attention.to_string();
        Err(Error::Usage { what: "--attention".into(), expected: format!("auto: {reason}"), found })
    }

    /// How to load.
    pub(super) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            context: self.context,
            quantize: self.quantize.recipe(),
            kv: self.kv,
            chunk: self.chunk,
            sparse_config: self.sparse_config.clone(),
        }
    }

    /// Loads, with a bar, and says what there is to know of the device.
    pub(super) fn open_session(&self, files: &ModelFiles, options: &LoadOptions) -> Result<OpenedSession> {
        let device = &self.device;
        let bar = Progress::new("loading");
        let mut opened = open_session(
            &files.checkpoint,
            &device.device(),
            &device.without(),
            options,
            &mut |stage, done, total| {
                bar.stage(stage, done, total);
                Ok(())
            },
        )?;
        drop(bar);
        if let Some(notice) = &opened.notice {
            remark(notice);
        }
        opened.session.set_attention(self.attention);
        opened.session.set_check_numbers(self.check_numbers);
        if self.attention == Attention::Sparse && opened.session.config().sparse.origin == SparseOrigin::Experimental {
            remark("this model was not trained for sparse attention: answers may suffer (experimental)");
        }
        Ok(opened)
    }
}

/// How tokens are chosen. What is not given is as the model's authors publish it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(super) struct SamplingArguments {
    /// 0 always takes the likeliest token
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f32>,
    /// Keep the likeliest tokens up to this sum of probability; 1 keeps all
    #[arg(long, value_name = "SHARE")]
    top_p: Option<f32>,
    /// Keep this many of the likeliest tokens; 0 keeps all
    #[arg(long, value_name = "COUNT")]
    top_k: Option<usize>,
    /// Drop tokens less likely than this share of the likeliest
    #[arg(long, value_name = "SHARE")]
    min_p: Option<f32>,
    /// Above 1: tokens that were just used become less likely
    #[arg(long, value_name = "FACTOR")]
    repeat_penalty: Option<f32>,
    /// Start of the random sequence; without it a new one each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    #[arg(long, value_name = "TOKENS", value_parser = positive, help = format!("Longest answer [default: {MAX_TOKENS}]"))]
    max_tokens: Option<usize>,
    /// End the answer where this text appears, and leave the text out; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    /// For models that can think first; without it as their template says
    #[arg(long, value_name = "on|off")]
    thinking: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl SamplingArguments {
    /// The flags over what the model's files say.
    pub(super) fn options(&self, published: SamplerSettings) -> GenerateOptions {
        let sampler = SamplerSettings {
            temperature: self.temperature.unwrap_or(published.temperature),
            top_p: self.top_p.unwrap_or(published.top_p),
            top_k: self.top_k.unwrap_or(published.top_k),
            min_p: self.min_p.unwrap_or(published.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(published.repeat_penalty),
            // Each RandomState starts from other keys.
            seed: self.seed.unwrap_or_else(|| RandomState::new().hash_one(0u8)),
            ..published
        };
        GenerateOptions { sampler, max_tokens: self.max_tokens.unwrap_or(MAX_TOKENS), stop: self.stop.clone() }
    }

    #[cfg(feature = "desktop")]
    pub(super) fn stop_texts(&self) -> Vec<String> {
        self.stop.clone()
    }

    /// What the flags make of the window's own settings.
    #[cfg(feature = "desktop")]
    pub(super) fn change(&self) -> impl Fn(&mut Sampling) + Send + Sync + 'static {
        let (temperature, top_p, min_p, repeat_penalty) =
            (self.temperature, self.top_p, self.min_p, self.repeat_penalty);
        let (top_k, seed, max_tokens) = (self.top_k, self.seed, self.max_tokens);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        move |sampling| {
            sampling.temperature = temperature.unwrap_or(sampling.temperature);
            sampling.top_p = top_p.unwrap_or(sampling.top_p);
            sampling.min_p = min_p.unwrap_or(sampling.min_p);
            sampling.repeat_penalty = repeat_penalty.unwrap_or(sampling.repeat_penalty);
            sampling.top_k = top_k.map_or(sampling.top_k, small);
            sampling.seed = seed.or(sampling.seed);
            sampling.max_tokens = max_tokens.map_or(sampling.max_tokens, small);
        }
    }

    /// What the template is told.
    pub(super) fn thinking(&self) -> Option<bool> {
        self.thinking.map(|switch| switch == Switch::On)
    }
}

/// What the model reads before the question.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub(super) struct TextArguments {
    /// Text file that the model reads before the first question; may be given several times
    #[arg(long = "document", value_name = "FILE")]
    documents: Vec<PathBuf>,
    /// Instructions for the whole conversation
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
}

impl TextArguments {
    #[cfg(feature = "desktop")]
    pub(super) fn document_paths(&self) -> &[PathBuf] {
        &self.documents
    }

    pub(super) fn documents(&self) -> Result<Vec<Document>> {
        self.documents.iter().map(|path| read_document(path)).collect()
    }
}

/// A text file as a document.
pub(super) fn read_document(path: &Path) -> Result<Document> {
    let text = read_text(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Document { name, text })
}

/// The content of a text file without a byte order mark, which must not be empty.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::IsADirectory => "Give a text file, not a folder",
            _ => "Give the path of a text file",
        };
        Error::io(path, &error, advice)
    })?;
    let wrong = |problem: String, advice: &str| Error::File { path: path.into(), problem, advice: advice.into() };
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        wrong(format!("it is not UTF-8 text (byte {place})"), "Save it as plain text in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.trim().is_empty() {
        return Err(wrong("it is empty".into(), "Give a file with some text"));
    }
    Ok(text)
}

/// A document that comes with the program.
pub(super) fn sample_document(name: &str) -> Result<(Document, Vec<String>)> {
    let sample = built_in::sample(name)?;
    let questions = sample.questions.into_iter().map(|question| question.question).collect();
    Ok((Document { name: sample.name.into(), text: sample.text.into() }, questions))
}

/// Says that the device was lost and came back.
pub(super) fn report_recovery(event: &Event) {
    match event {
        Event::DeviceLost { detail } => {
            remark(&format!("the graphics device was lost ({detail}): opening it again, the answer will go on"));
        }
        Event::DeviceRestored => remark("the device is back, nothing was lost"),
        Event::Prefill { .. } | Event::Recomputing { .. } | Event::Token { .. } | Event::Rest { .. } => {}
    }
}

/// One line about an answer.
pub(super) fn figures(answer: &Answer, session: &Session) -> String {
    let ended = match answer.reason {
        FinishReason::EndOfAnswer | FinishReason::StopText => "",
        FinishReason::MaxTokens => ", cut at --max-tokens",
        FinishReason::ContextFull => ", cut because the context is full",
        FinishReason::Stopped => ", stopped",
    };
    let (read, length) = (grouped(answer.tokens_read), grouped(session.tokens().len()));
    format!(
        "[{}: reads {read} of {length} tokens; {} tokens at {:.1}/s, first after {:.2} s: {} of {} prompt tokens read at \
         {}/s; context of {}{ended}]",
        answer.mode,
        grouped(answer.tokens.len()),
        answer.decode_speed(),
        answer.first_token_seconds,
        grouped(answer.computed_tokens),
        grouped(answer.prompt_tokens),
        grouped(answer.prompt_speed().round() as usize),
        grouped(session.capacity()),
    )
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 7, 999, 1000, 61_320, 100_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "61,320", "100,000", "1,234,567"]);
    }
}
