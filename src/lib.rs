//! Runs MiniCPM-class language models with InfLLM-V2 dense-sparse attention on any GPU that wgpu can reach, and shows
//! what they read.
//!
//! # Bird's view
//!
//! ```text
//! file -> weights -> model -> session -> generate -> cli | desktop -> screen
//!                      |         |
//!                      |         +-- one conversation: the cache, and which tokens it holds
//!                      +-- one step: Recorder <- ops <- kernels <- shaders/
//! ```
//!
//! A checkpoint is opened by [`weights`], whatever its format, as named tensors in one packed layout. [`model`] reads its
//! configuration, plans the memory, uploads the weights and knows how [`ops`] follow each other in a layer. [`session`]
//! holds one conversation: given the tokens of a context it computes those that its cache does not have, a chunk at a
//! time. [`generate`] is the loop from candidates to tokens to text. [`cli`] and `desktop` only show and ask.
//!
//! # Code map, in reading order
//!
//! * [`error`]: the one error type. Each message names the thing, what was expected, what was found, what to do.
//! * [`gpu`]: the only module that names wgpu. Adapters, one device, tensors with shape and label, shader assembly from
//!   `shaders/` and its `pieces/`, kernels, the recorder that makes one compute pass per submit, read-back.
//! * [`sparse_settings`]: the numbers of block selection and everything derived from them.
//! * [`block_marks`]: blocks that the user pins or excludes.
//! * [`weights`]: safetensors, GPTQ, MLX and GGUF, all read as they are; the packed layout; quantising.
//! * [`tokenizer`], [`chat_template`], [`conversation`]: text to tokens that know where they come from.
//! * [`recall`]: documents with hidden facts, to measure whether a model finds them.
//! * [`ops`]: the host side of each kernel: check shapes, bind, append to the recorder.
//! * [`mod@reference`]: the CPU twin of each op, and a whole model made of them. Test oracle, selfcheck, and fall-back where no
//!   adapter is; never a speed path.
//! * [`kv_cache`], [`model`]: keys and values of all positions; configuration, rotation, layers, memory plan, and the one
//!   visible choice between dense and sparse.
//! * [`session`], [`sampler`], [`generate`], [`trace`]: one conversation, the choice of tokens, the loop, and what each step
//!   read.
//! * [`selfcheck`]: every op against its twin on random data, for the tests and for users.
//! * [`built_in`], [`open`]: the model inside the program; from a path to a session.
//! * [`cli`] and `desktop`: what people see.
//!
//! Files with the same name belong together: `shaders/matvec.wgsl` is the kernel, `ops::matvec` its host side,
//! `reference::matvec` its twin, `selfcheck::matvec` the comparison and `tests/ops/matvec.rs` the sizes to compare at.
//!
//! # Invariants
//!
//! * Imports go in the order above, downwards only (`tests/tidy.rs`).
//! * Every kernel has a twin, and runs against it in every variant of the device that the tests find.
//! * Every optional ability of an adapter (subgroups, f16, cooperative matrices, time stamps, pipeline cache) has a plain
//!   way beside it and can be switched off by name.
//! * Storage is f16 (weights and the cache of keys and values may be integers with scales), sums are f32; the residual
//!   stream, scores and softmax are f32.
//! * Nothing needs a binding larger than 128 MiB, though steps may be longer where the device offers more; no side of a dispatch larger than 65 535; no submit longer than its time budget.
//! * Nothing is uploaded before the memory plan fits.
//! * Nothing about a model is hard-coded: what config.json does not say has its family's published default.
//! * A lost device costs time, never text: what the cache held is computed again as it was, to the bit.
//! * Input never panics. What a file, a prompt or a driver does wrong comes back as an [`error::Error`].
//! * Text of users and documents can never open a turn: only the template may name special tokens.
//! * The order of a context never changes after the fact, so what is cached stays valid from turn to turn.
//! * What is shown as read is the very list that the attention kernel read.
//!
//! # Smallest use
//!
//! ```no_run
//! use foveal::error::Result;
//! use foveal::generate::{GenerateOptions, generate};
//! use foveal::model::LoadOptions;
//! use foveal::open::{Device, ModelFiles, open_session};
//!
//! fn main() -> Result<()> {
//!     let files = ModelFiles::open(None)?;
//!     let (device, without) = (Device::Best, Default::default());
//!     let options = LoadOptions::default();
//!     let mut opened = open_session(&files.checkpoint, &device, &without, &options, &mut |_, _, _| Ok(()))?;
//!     let prompt = files.tokenizer.encode("The harbour", true)?;
//!     let options = GenerateOptions { sampler: files.sampler, max_tokens: 20, stop: Vec::new() };
//!     let stop = false.into();
//!     let answer = generate(&mut opened.session, &files.tokenizer, &prompt, &options, &stop, &mut |_| Ok(()))?;
//!     println!("{}", answer.text);
//!     Ok(())
//! }
//! ```

pub mod block_marks;
pub mod built_in;
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
pub mod open;
pub mod ops;
pub mod recall;
pub mod reference;
pub mod sampler;
pub mod selfcheck;
pub mod session;
pub mod sparse_settings;
pub mod tokenizer;
pub mod trace;
pub mod weights;
