//! The host side of each kernel: check the shapes, bind, append one or more dispatches. Same names as shaders/.
//!
//! Ops own their compiled kernels and nothing else. They do not allocate, submit or read back.

pub mod add_rms_norm;
pub mod argmax;
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
pub use top_logits::TopLogits;

use sparse_shapes::{expect_heads, expect_rows_of, quads, score_strides};

use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, F32, U32};
use crate::gpu::{Element, Gpu, Tensor};

/// Lanes of a workgroup for ops that walk a row together.
pub(crate) const ROW_GROUP: u32 = 256;

/// What the `attend_coop` piece is compiled with for workgroups of `tokens` tokens that stage a `parts`th of a tile at a
/// time, where the adapter, the shape and the cache allow it: matrices are loaded from the cache as they lie there, so it
/// must have 16-bit floats.
fn attend_coop_constants(
    gpu: &Gpu,
    shape: HeadShape,
    cache: CacheFormat,
    (tokens, parts): (u32, u32),
) -> Option<Vec<(&'static str, Constant)>> {
    /// Heads of a group that fit in its tile.
    const MOST_HEADS: usize = 16;
    let (side, subgroup) = (gpu.features.coop?.side(), gpu.features.subgroup_size?);
    let (heads, group, head_dim) = (shape.heads as u32, shape.group() as u32, shape.head_dim as u32);
    if shape.group() > MOST_HEADS || subgroup > 64 || cache != CacheFormat::F16 {
        return None;
    }
    let row_tiles = group.div_ceil(side);
    // Bytes of what is staged with its padding, and of scores, weights, sums and factors of all rows.
    let bytes = |keys: u32| keys / parts * (head_dim + 8) * 2 + tokens * row_tiles * side * ((keys + 8) * 6 + 8) + 4;
    let fits = |keys: &u32| keys / parts >= side && bytes(*keys) <= gpu.max_workgroup_bytes();
    let keys = [64, 32].into_iter().find(fits)?;
    let part = if head_dim.is_multiple_of(64) { keys } else { 32 };
    Some(vec![
        ("TOKENS", U32(tokens)),
        ("STAGED", U32(keys / parts)),
        ("M", U32(side)),
        ("SUBGROUP", U32(subgroup)),
        ("HEADS", U32(heads)),
        ("GROUP", U32(group)),
        ("HEAD_DIM", U32(head_dim)),
        ("SCALE", F32(shape.scale())),
        ("ROW_TILES", U32(row_tiles)),
        ("PARTS", U32(head_dim / part)),
        ("PER_PART", U32(part / side)),
        ("KEYS", U32(keys)),
        ("STAGED_TILES", U32(keys / parts / side)),
        ("VECTORS", U32(keys / 8)),
        ("LOADS", U32((keys / parts * head_dim / 4).div_ceil(tokens * subgroup))),
        ("TURNS", U32((2 * row_tiles * side).div_ceil(subgroup))),
    ])
}

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
