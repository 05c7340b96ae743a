//! Every file format against its definition, the packed layout, and damaged files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod build;
mod gguf;
mod gptq;
mod mlx;
pub(crate) mod mutate;
mod packed;
mod quantize;
mod safetensors;
