//! The host side of each kernel: check the shapes, bind, append one or more dispatches. Same names as shaders/.
//!
//! Ops own their compiled kernels and nothing else. They do not allocate, submit or read back.

pub mod add_rms_norm;
pub mod rms_norm;

pub use add_rms_norm::AddRmsNorm;
pub use rms_norm::RmsNorm;

/// Lanes of a workgroup for ops that walk a row together.
pub(crate) const ROW_GROUP: u32 = 256;
