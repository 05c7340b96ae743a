//! The one integration crate: a single link for all tests. Each module says what it covers.

mod weights; // every file format against its definition, damaged files
mod text; // tokenizer, chat template, sampler
mod ops; // every op against its CPU twin, in each variant
#[cfg(feature = "desktop")]
mod desktop; // the window through its accessible names, against a scripted engine
