//! Shape checks that the ops of block-sparse attention share.

use crate::error::{Error, Result};
use crate::gpu::{Element, Tensor};
use crate::sparse_settings::HeadShape;

/// Quads of heads that one workgroup takes: all of a group up to 16 heads.
pub(super) fn quads(shape: &HeadShape) -> u32 {
    (shape.group().div_ceil(4) as u32).min(4)
}

/// An error unless `tensor` has at least `tokens` rows of `columns` f16 values, in however many dimensions.
pub(super) fn expect_heads(what: &str, tensor: &Tensor, tokens: usize, columns: usize) -> Result<()> {
    let rows = tensor.shape.first().copied().unwrap_or(0);
    let found: usize = tensor.shape.iter().skip(1).product();
    if rows >= tokens && found == columns && tensor.shape.len() > 1 && tensor.element == Element::F16 {
        return Ok(());
    }
    let expected = format!("at least [{tokens}, {columns}] of F16");
    Err(Error::shape(what, expected, format!("{:?} of {:?}", tensor.shape, tensor.element)))
}

/// As [`Tensor::expect`], but the first dimension may be larger.
pub(super) fn expect_rows_of(what: &str, tensor: &Tensor, shape: &[usize; 3], element: Element) -> Result<()> {
    let fits = tensor.shape.len() == 3 && tensor.shape[0] >= shape[0] && tensor.shape[1..] == shape[1..];
    if fits && tensor.element == element {
        return Ok(());
    }
    let found = format!("{:?} of {:?}", tensor.shape, tensor.element);
    Err(Error::shape(what, format!("at least {shape:?} of {element:?}"), found))
}

/// Strides of block scores (kv_heads, rows, blocks) between tokens and between KV heads.
pub(super) fn score_strides(scores: &Tensor, kv_heads: usize, tokens: usize, blocks: usize) -> Result<(u32, u32)> {
    match scores.shape[..] {
        [heads, rows, row]
            if heads == kv_heads && rows >= tokens && row >= blocks && scores.element == Element::F32 =>
        {
            Ok((row as u32, (rows * row) as u32))
        }
        _ => {
            let expected = format!("at least [{kv_heads}, {tokens}, {blocks}] of F32");
            Err(Error::shape("block scores", expected, format!("{:?} of {:?}", scores.shape, scores.element)))
        }
    }
}
