//! What a linear map reads: rows of floats, and one token's row as integers where decoding multiplies these.

use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu, Tensor};
use crate::ops::{RoundedRow, RowLayout};

/// Inputs of a linear map.
pub(crate) struct Activations {
    /// (tokens, cols) f16
    pub(crate) floats: Tensor,
    rounded: Vec<RoundedRow>,
}

impl Activations {
    /// For rows of `cols`.
    pub(crate) fn new(gpu: &Gpu, label: &str, rows: usize, cols: usize) -> Result<Self> {
        let possible = RowLayout::ALL.into_iter().filter(|layout| gpu.features.int8 && cols.is_multiple_of(layout.chunk));
        Ok(Self {
            floats: gpu.tensor(label, &[rows, cols], Element::F16)?,
            rounded: possible.map(|layout| RoundedRow::new(gpu, label, cols, layout)).collect::<Result<_>>()?,
        })
    }

    /// The row of integers in `layout`.
    pub(crate) fn rounded(&self, layout: RowLayout) -> Result<&RoundedRow> {
        let found = self.rounded.iter().find(|row| row.layout == layout);
        found.ok_or_else(|| Error::shape(&self.floats.label, format!("integers as {layout:?}"), "none"))
    }
}
