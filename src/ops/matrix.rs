//! A packed weight matrix on the device, in shards of rows small enough to bind, and which `weights` piece reads it.

use crate::error::{Error, Result};
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
    /// Room for a matrix. Bindings stay within 128 MiB even where the adapter offers more, so that a model that loads
    /// on one adapter loads on all.
    pub fn allocate(gpu: &Gpu, label: &str, rows: usize, cols: usize, format: Format) -> Result<Self> {
        const MOST_BYTES: usize = 128 << 20;
        let shard_rows = MOST_BYTES / (format.words_per_row(cols) * 4).max(1);
        Self::allocate_sharded(gpu, label, rows, cols, format, shard_rows)
    }

    fn allocate_sharded(
        gpu: &Gpu,
        label: &str,
        rows: usize,
        cols: usize,
        format: Format,
        shard_rows: usize,
    ) -> Result<Self> {
        let (words, groups) = (format.words_per_row(cols), format.groups_per_row(cols));
        let mut shards = Vec::new();
        for first_row in (0..rows).step_by(shard_rows.max(1)) {
            let rows = shard_rows.min(rows - first_row);
            let quants = gpu.tensor(format!("{label}.quants"), &[rows, words], Element::U32)?;
            let scales = match format {
                Format::F16 => None,
                Format::Affine { .. } => Some(gpu.tensor(format!("{label}.scales"), &[rows, groups], Element::U32)?),
            };
            shards.push(Shard { first_row, rows, quants, scales });
        }
        Ok(Self { rows, cols, format, shards })
    }

    /// Writes rows as they come from the file, from row `first` on.
    pub fn write_rows(&self, gpu: &Gpu, first: usize, packed: &PackedMatrix) -> Result<()> {
        if packed.cols != self.cols || packed.format != self.format || first + packed.rows > self.rows {
            let expected = format!("rows of {} inputs in {}, at most {}", self.cols, self.format, self.rows);
            let found = format!("{} rows of {} in {} at {first}", packed.rows, packed.cols, packed.format);
            return Err(Error::shape("rows of a matrix", expected, found));
        }
        let (words, groups) = (self.format.words_per_row(self.cols), self.format.groups_per_row(self.cols));
        for shard in &self.shards {
            let start = first.max(shard.first_row);
            let end = (first + packed.rows).min(shard.first_row + shard.rows);
            if start >= end {
                continue;
            }
            let (source, target) = (start - first, start - shard.first_row);
            let count = end - start;
            gpu.write(&shard.quants, target * words, &packed.quants[source * words..(source + count) * words])?;
            if let Some(scales) = &shard.scales {
                gpu.write(scales, target * groups, &packed.scales[source * groups..(source + count) * groups])?;
            }
        }
        Ok(())
    }

    /// A matrix from one packed block, cut into shards of `shard_rows`. For tests.
    pub fn upload(gpu: &Gpu, label: &str, packed: &PackedMatrix, shard_rows: usize) -> Result<Self> {
        let matrix = Self::allocate_sharded(gpu, label, packed.rows, packed.cols, packed.format, shard_rows)?;
        matrix.write_rows(gpu, 0, packed)?;
        Ok(matrix)
    }

    /// Bytes that a matrix of this shape takes.
    pub fn bytes(&self) -> u64 {
        let words = self.format.words_per_row(self.cols) + self.format.groups_per_row(self.cols);
        (self.rows * words * 4) as u64
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
