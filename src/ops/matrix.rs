//! A packed weight matrix on the device, in shards of rows small enough to bind, and which `weights` piece reads it.

use crate::error::Result;
use crate::gpu::shader::Constant::{self, U32};
use crate::gpu::{Binding, Element, Gpu, Tensor};
use crate::weights::{Format, PackedMatrix};

/// Rows of a matrix that lie in one pair of buffers.
pub struct Shard {
    /// Its first row in the whole matrix.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    quants: Tensor,
    scales: Option<Tensor>,
}

impl Shard {
    /// The tensors of the `weights` piece, in binding order.
    pub(super) fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        [Some(&self.quants), self.scales.as_ref()].into_iter().flatten().map(Binding::from)
    }
}

/// A whole matrix (rows outputs, cols inputs).
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// How the weights are stored.
    pub format: Format,
    /// In order of their rows.
    pub shards: Vec<Shard>,
}

impl Matrix {
    /// An empty matrix to which rows are appended as they come from the file.
    pub fn new(rows: usize, cols: usize, format: Format) -> Self {
        Self { rows, cols, format, shards: Vec::new() }
    }

    /// Rows that one shard may hold on `gpu`: bindings stay within 128 MiB everywhere, so that a model that loads on
    /// one adapter loads on all.
    pub fn shard_rows(cols: usize, format: Format) -> usize {
        const MOST_BYTES: usize = 128 << 20;
        MOST_BYTES / (format.words_per_row(cols) * 4).max(1)
    }

    /// Uploads `packed` as the next rows.
    pub fn append(&mut self, gpu: &Gpu, label: &str, packed: &PackedMatrix) -> Result<()> {
        let first_row = self.shards.last().map_or(0, |shard| shard.first_row + shard.rows);
        let words = self.format.words_per_row(self.cols);
        let quants =
            gpu.upload(format!("{label}.quants"), &[packed.rows, words], Element::U32, &packed.quants)?;
        let scales = match self.format {
            Format::F16 => None,
            Format::Affine { .. } => {
                let groups = self.format.groups_per_row(self.cols);
                Some(gpu.upload(format!("{label}.scales"), &[packed.rows, groups], Element::U32, &packed.scales)?)
            }
        };
        self.shards.push(Shard { first_row, rows: packed.rows, quants, scales });
        Ok(())
    }

    /// A matrix from one packed block, cut into shards. For tests and small models.
    pub fn upload(gpu: &Gpu, label: &str, packed: &PackedMatrix, shard_rows: usize) -> Result<Self> {
        let mut matrix = Self::new(packed.rows, packed.cols, packed.format);
        let (words, groups) =
            (packed.format.words_per_row(packed.cols), packed.format.groups_per_row(packed.cols));
        for first in (0..packed.rows).step_by(shard_rows.max(1)) {
            let rows = shard_rows.min(packed.rows - first);
            let part = PackedMatrix {
                rows,
                cols: packed.cols,
                format: packed.format,
                quants: packed.quants[first * words..(first + rows) * words].to_vec(),
                scales: packed.scales[first * groups..(first + rows) * groups].to_vec(),
            };
            matrix.append(gpu, label, &part)?;
        }
        Ok(matrix)
    }
}

/// The variant of the `weights` slot that reads `format`, and the constants it needs.
pub(super) fn piece(format: Format, cols: usize) -> (&'static str, Vec<(&'static str, Constant)>) {
    let cols = ("COLS", U32(cols as u32));
    match format {
        Format::F16 => ("f16", vec![cols]),
        Format::Affine { bits, group } => {
            (if bits == 4 { "q4" } else { "q8" }, vec![cols, ("GROUP", U32(group as u32))])
        }
    }
}
