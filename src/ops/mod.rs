//! The host side of each kernel: check the shapes, bind, append one or more dispatches. Same names as shaders/.
//!
//! Ops own their compiled kernels and nothing else. They do not allocate, submit or read back.

pub mod add_rms_norm;
pub mod attend_sparse;
pub mod compress_keys;
pub mod rms_norm;
pub mod score_blocks;
pub mod select_blocks;
mod sparse_shapes;

pub use add_rms_norm::AddRmsNorm;
pub use attend_sparse::AttendSparse;
pub use compress_keys::CompressKeys;
pub use rms_norm::RmsNorm;
pub use score_blocks::ScoreBlocks;
pub use select_blocks::SelectBlocks;

use sparse_shapes::{cache_capacity, expect_heads, expect_rows_of, quads, score_strides};

/// Lanes of a workgroup for ops that walk a row together.
pub(crate) const ROW_GROUP: u32 = 256;
