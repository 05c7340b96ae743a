//! Text in and out: the tokenizer on small vocabularies of each family, the chat template, the sampler.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod chat_template;
mod damaged_tokenizers;
mod sampler;
mod tokenizer;

use std::path::PathBuf;

/// A file or folder of tests/data.
fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}
