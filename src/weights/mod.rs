//! Checkpoints in the formats that people have, as named tensors in one packed layout.

mod affine;
mod floats;
pub mod packed;

pub use packed::{Format, PackedMatrix};
