//! The one integration crate: a single link for all tests. Each module says what it covers.

#[cfg(feature = "desktop")]
mod desktop;
mod ops; // every op against its CPU twin, in each variant
mod text; // tokenizer, chat template, sampler
mod weights; // every file format against its definition, damaged files // the window through its accessible names, against a scripted engine
