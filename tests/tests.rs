//! The one integration crate: a single link for all tests. Each module says what it covers.

mod harness; // the device in each variant, random data, comparison

#[cfg(feature = "desktop")]
mod desktop; // the window through its accessible names, against a scripted engine
mod forward; // whole models against PyTorch, twins and themselves
mod ops; // every op against its CPU twin, in each variant
mod text; // tokenizer, chat template, sampler
mod weights; // every file format against its definition, damaged files
