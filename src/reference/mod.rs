//! CPU twin of each op, with the op's name: the plainest loop that is obviously right, rayon over rows, f32.
//!
//! Used by the tests, by `foveal selfcheck`, and to run small models where no adapter is. What takes time there, products of
//! matrices, inner products and weighted sums, is left to libraries for vector instructions; nothing else is done for speed.

mod add_rms_norm;
mod argmax;
mod attend_dense;
mod attend_sparse;
mod compress_keys;
mod copy;
mod dot;
mod embed;
mod forward;
mod log_probs;
mod matmul;
mod matvec;
mod matvec_add;
mod matvec_normed;
mod matvec_rope_and_store;
mod matvec_swiglu;
mod quantize_row;
mod rms_norm;
mod rope_and_store;
mod score_blocks;
mod select_blocks;
mod swiglu;
mod tile_cache;
mod top_logits;

pub use add_rms_norm::add_rms_norm;
pub use argmax::argmax;
pub use attend_dense::{AttendDenseShape, attend_dense};
pub use attend_sparse::attend_sparse;
pub use compress_keys::compress_keys;
pub use copy::copy;
pub use dot::dot;
pub use embed::embed;
pub use forward::{CpuCache, CpuModel, CpuStep};
pub use log_probs::log_probs;
pub use matmul::matmul;
pub use matvec::matvec;
pub use matvec_add::matvec_add;
pub use matvec_normed::{matvec_normed, norm_factor};
pub use matvec_rope_and_store::matvec_rope_and_store;
pub use matvec_swiglu::matvec_swiglu;
pub use quantize_row::{QuantizedRow, quantize_row};
pub use rms_norm::rms_norm;
pub use rope_and_store::{Rotated, quantise, read_back, rope_and_store};
pub use score_blocks::{MOST_EXPONENT, score_blocks};
pub use select_blocks::{NO_BLOCK, select_blocks};
pub use swiglu::swiglu;
pub use tile_cache::tile_cache;
pub use top_logits::top_logits;
