//! The one integration crate: a single link for all tests. Each module says what it covers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets an error has failed; clippy excuses only the tests themselves"
)]

mod allocations; // how much memory a piece of work takes
mod harness; // the device in each variant, random data, comparison

mod cache_format; // the 8-bit cache in whole models
mod cli; // the program itself: every command, every kind of bad input
#[cfg(feature = "desktop")]
mod desktop; // the window through its accessible names, against a scripted engine
mod faults; // lost devices, no memory, overflow, long use
mod forward; // whole models, one way of computing against another
mod fused_decode; // one token in few dispatches against the separate ops
mod marks; // pinned and excluded blocks in a conversation
mod ops; // every op against its CPU twin, in each variant
mod published; // folders as MiniCPM4 and 4.1 are published
mod pytorch; // whole models against PyTorch
mod shaders; // every kernel in every variant, as WGSL, SPIR-V, MSL and HLSL
mod text; // tokenizer, chat template, sampler
mod tidy; // the rules of the house
mod weights; // every file format against its definition, damaged files
