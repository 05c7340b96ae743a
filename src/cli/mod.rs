//! The commands.

pub mod bench;
mod bench_ops;
