//! CPU twin of each op, with the op's name: the plainest loop that is obviously right, rayon over rows, f32.
//!
//! Used by the tests, by `foveal selfcheck`, and to run small models where no adapter is. Never a speed path.

mod add_rms_norm;
mod attend_sparse;
mod compress_keys;
mod rms_norm;
mod score_blocks;
mod select_blocks;
pub mod sparse_settings;

pub use add_rms_norm::add_rms_norm;
pub use attend_sparse::attend_sparse;
pub use compress_keys::compress_keys;
pub use rms_norm::rms_norm;
pub use score_blocks::{MOST_EXPONENT, score_blocks};
pub use select_blocks::{NO_BLOCK, select_blocks};
pub use sparse_settings::{HeadShape, Lse, SparseSettings, Variant};
