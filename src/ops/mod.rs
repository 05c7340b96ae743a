//! The host side of each kernel: check the shapes, bind, append one or more dispatches. Same names as shaders/.
//!
//! Ops own their compiled kernels and nothing else. They do not allocate, submit or read back.

pub mod add_rms_norm;
pub mod argmax;
mod attend_chosen;
mod attend_coop;
pub mod attend_dense;
mod attend_merge;
pub mod attend_sparse;
mod cached;
pub mod compress_keys;
pub mod copy;
pub mod embed;
mod head_shape;
pub mod log_probs;
pub mod matmul;
mod matrix;
pub mod matvec;
pub mod matvec_add;
pub mod matvec_normed;
pub mod matvec_rope_and_store;
pub mod matvec_swiglu;
pub mod quantize_row;
pub mod rms_norm;
pub mod rope_and_store;
mod row_out;
mod row_products;
pub mod score_blocks;
pub mod select_blocks;
mod sparse_shapes;
pub mod swiglu;
pub mod tile_cache;
pub mod top_logits;

pub use crate::sparse_settings::HeadShape;
pub use add_rms_norm::AddRmsNorm;
pub use argmax::Argmax;
pub use attend_dense::AttendDense;
pub use attend_sparse::AttendSparse;
pub use cached::{CacheFormat, CachedTokens};
pub use compress_keys::CompressKeys;
pub use copy::Copy;
pub use embed::Embed;
pub use log_probs::LogProbs;
pub use matmul::Matmul;
pub use matrix::{Matrix, Shard};
pub use matvec::{Matvec, MatvecForm};
pub use matvec_add::MatvecAdd;
pub use matvec_normed::MatvecNormed;
pub use matvec_rope_and_store::MatvecRopeAndStore;
pub use matvec_swiglu::MatvecSwiglu;
pub use quantize_row::{QuantizeRow, RoundedRow, RoundedRows, RowLayout};
pub use rms_norm::RmsNorm;
pub use rope_and_store::RopeAndStore;
pub use row_out::RowTarget;
pub(crate) use row_products::OUTPUTS;
pub use score_blocks::ScoreBlocks;
pub use select_blocks::SelectBlocks;
pub use swiglu::Swiglu;
pub use tile_cache::{CacheTiles, TileCache};
pub use top_logits::TopLogits;

use sparse_shapes::{expect_heads, expect_rows_of, quads, score_strides};

use crate::error::{Error, Result};
use crate::gpu::{Element, Tensor};

/// Lanes of a workgroup for ops that walk a row together.
pub(crate) const ROW_GROUP: u32 = 256;

/// The row length of a (rows, columns) tensor.
fn columns(what: &str, tensor: &Tensor, element: Element) -> Result<usize> {
    match tensor.shape[..] {
        [_, columns] if tensor.element == element => Ok(columns),
        _ => Err(Error::shape(what, format!("(rows, columns) of {element:?}"), format!("{:?}", tensor.shape))),
    }
}

/// An f32 tensor with at least `rows` rows of at least `cols` columns.
fn expect_columns(what: &str, tensor: &Tensor, rows: usize, cols: usize) -> Result<()> {
    let fits = tensor.shape.len() == 2 && tensor.shape[0] >= rows && tensor.shape[1] >= cols;
    if fits && tensor.element == Element::F32 {
        return Ok(());
    }
    Err(Error::shape(what, format!("at least [{rows}, {cols}] of F32"), format!("{:?}", tensor.shape)))
}
