//! What a linear map reads: rows of floats, and one token's row as integers where decoding multiplies these.

use super::linear::Linear;
use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu, Tensor};
use crate::ops::{RoundedRow, RowLayout, RowTarget};

/// Inputs of a linear map.
pub(crate) struct Activations {
    /// (tokens, cols) f16
    pub(crate) floats: Tensor,
    rounded: Vec<RoundedRow>,
}

impl Activations {
    /// For rows of `cols`.
    pub(crate) fn new(gpu: &Gpu, label: &str, rows: usize, cols: usize) -> Result<Self> {
        let possible = RowLayout::wanted(gpu).iter().filter(|layout| cols.is_multiple_of(layout.chunk));
        Ok(Self {
            floats: gpu.tensor(label, &[rows, cols], Element::F16)?,
            rounded: possible.map(|layout| RoundedRow::new(gpu, label, cols, *layout)).collect::<Result<_>>()?,
        })
    }

    /// Where a step of `tokens` leaves its rows for `reader`: with the integers that a single row is to be multiplied as.
    pub(crate) fn target(&self, reader: &Linear, tokens: usize) -> Result<RowTarget<'_>> {
        let layout = reader.layout().filter(|_| tokens == 1);
        Ok(RowTarget { floats: &self.floats, rounded: layout.map(|layout| self.rounded(layout)).transpose()? })
    }

    /// The row of integers that `reader` multiplies.
    pub(crate) fn rounded_for(&self, reader: &Linear) -> Result<&RoundedRow> {
        let layout = reader.layout();
        self.rounded(layout.ok_or_else(|| Error::shape(&self.floats.label, "a reader of integers", "one of floats"))?)
    }

    /// The row of integers in `layout`.
    pub(crate) fn rounded(&self, layout: RowLayout) -> Result<&RoundedRow> {
        let found = self.rounded.iter().find(|row| row.layout == layout);
        found.ok_or_else(|| Error::shape(&self.floats.label, format!("integers as {layout:?}"), "none"))
    }
}
