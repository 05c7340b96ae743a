//! The one error type. Every message names the thing, what was expected, what was found, and what to do about it.

use std::path::PathBuf;

/// Result with the crate's own [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, told so that the reader can act on it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be found, opened, read or written.
    #[error("{path}: {problem}. {advice}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system or we found wrong with it.
        problem: String,
        /// What the user can do.
        advice: String,
    },

    /// A file was read but its content breaks its format.
    #[error("{path}: {what}: expected {expected}, found {found}. {advice}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The field, tensor or section that is wrong.
        what: String,
        /// What the format wants there.
        expected: String,
        /// What stands there.
        found: String,
        /// What the user can do.
        advice: String,
    },

    /// The model's configuration asks for something impossible or not supported.
    #[error("model configuration: {field}: expected {expected}, found {found}. {advice}")]
    Config {
        /// The field of config.json.
        field: String,
        /// What is accepted.
        expected: String,
        /// What the file says.
        found: String,
        /// What the user can do.
        advice: String,
    },

    /// A weight is missing or has the wrong shape or type.
    #[error("tensor \"{name}\": expected {expected}, found {found}. {advice}")]
    Tensor {
        /// Name in the checkpoint.
        name: String,
        /// Shape or type that the configuration implies.
        expected: String,
        /// Shape or type in the file, or "nothing".
        found: String,
        /// What the user can do.
        advice: String,
    },

    /// The tokenizer or the chat template cannot be used.
    #[error("{what}: {problem}. {advice}")]
    Text {
        /// "tokenizer", "chat template", or the file's name.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        advice: String,
    },

    /// The prompt does not fit in the context.
    #[error(
        "the prompt has {needed} tokens, {over} more than the context of {capacity}. \
         Shorten the text, or raise --context if the model and the memory allow it"
    )]
    ContextFull {
        /// Tokens the step needs in the cache.
        needed: usize,
        /// Tokens the cache holds.
        capacity: usize,
        /// The difference.
        over: usize,
    },

    /// The memory plan does not fit the adapter.
    #[error("{what} needs {needed_mib} MiB, {adapter} allows {allowed_mib} MiB. {advice}")]
    Memory {
        /// What is being allocated, with its parts.
        what: String,
        /// MiB asked for.
        needed_mib: u64,
        /// The adapter's name.
        adapter: String,
        /// MiB that the adapter allows.
        allowed_mib: u64,
        /// What would fit.
        advice: String,
    },

    /// No graphics adapter can be used.
    #[error("no usable graphics adapter: {found}. {advice}")]
    NoAdapter {
        /// What the search met.
        found: String,
        /// What to install or choose.
        advice: String,
    },

    /// The driver refused or failed a piece of work.
    #[error("graphics driver, {what}: {detail}. {advice}")]
    Gpu {
        /// The buffer, pipeline or step concerned.
        what: String,
        /// The driver's words.
        detail: String,
        /// What the user can do.
        advice: String,
    },

    /// The device is gone: reset, removed, or its driver restarted.
    #[error("the graphics device was lost: {detail}. Load the model again; nothing of the conversation is lost")]
    DeviceLost {
        /// The driver's words.
        detail: String,
    },

    /// An argument or setting makes no sense.
    #[error("{what}: expected {expected}, found {found}")]
    Usage {
        /// The option or argument.
        what: String,
        /// What is accepted.
        expected: String,
        /// What was given.
        found: String,
    },

    /// Two sides disagree about a shape: a mistake in the program, reported instead of a crash.
    #[error("{what}: expected {expected}, found {found}. This is a mistake in foveal, please report it")]
    Shape {
        /// The op and its operand.
        what: String,
        /// What the op needs.
        expected: String,
        /// What it was given.
        found: String,
    },

    /// A computation left the range of its numbers.
    #[error("the model's numbers make no sense at token {position}: {place} holds {found}. {advice}")]
    Numbers {
        /// Position of the token in the context.
        position: usize,
        /// Layer and part, or the logits.
        place: String,
        /// The number.
        found: String,
        /// What the user can do.
        advice: String,
    },

    /// The user stopped the work.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// A file or folder that could not be read.
    pub fn io(path: impl Into<PathBuf>, error: &std::io::Error, advice: &str) -> Self {
        Self::File { path: path.into(), problem: format!("it cannot be read: {error}"), advice: advice.into() }
    }

    /// A file or folder that could not be written.
    pub fn not_written(path: impl Into<PathBuf>, error: &std::io::Error, advice: &str) -> Self {
        Self::File { path: path.into(), problem: format!("it cannot be written: {error}"), advice: advice.into() }
    }

    /// A driver problem.
    pub fn gpu(what: impl Into<String>, detail: impl ToString) -> Self {
        Self::Gpu {
            what: what.into(),
            detail: detail.to_string(),
            advice: "Update the graphics driver, or try another device (`foveal devices`)".into(),
        }
    }

    /// A shape that an op cannot work with.
    pub fn shape(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Self::Shape { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }
}
