//! Runs MiniCPM-class language models with InfLLM-V2 dense-sparse attention on any GPU that wgpu can reach.
//!
//! Read in this order: [`gpu`] (the machine), [`ops`] (what it can compute), [`model`] (how ops make a model),
//! [`session`] (one conversation), [`generate`] (the loop). Each module imports only from those before it.

pub mod chat_template;
pub mod cli;
pub mod conversation;
#[cfg(feature = "desktop")]
pub mod desktop;
pub mod error;
pub mod generate;
pub mod gpu;
pub mod kv_cache;
pub mod model;
pub mod ops;
pub mod reference;
pub mod sampler;
pub mod session;
pub mod sparse_settings;
pub mod tokenizer;
pub mod trace;
pub mod weights;
