//! What the kernels for one token have in common that multiply a rounded row and go on with the results. Pieces:
//! `shaders/pieces/row_products.wgsl`, `norm_factor.wgsl`, `round_out.wgsl`.

use super::matrix::{self, Matrix, Shard};
use super::quantize_row::{RoundedRow, RowLayout};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, Bool, U32};
use crate::gpu::{Binding, Gpu, Kernel, KernelSpec};
use crate::weights::Format;

/// Results of a workgroup: what the kernels leave comes in multiples of this.
pub(crate) const OUTPUTS: usize = 32;
/// Lanes of a workgroup where the adapter has so many: sixteen teams take two rows each, all at once.
const GROUP_SIZE: u32 = 512;

/// A kernel for matrices of one width and format, and the layout in which it reads its row.
pub(super) struct RowProducts {
    pub(super) kernel: Kernel,
    name: &'static str,
    layout: RowLayout,
    cols: usize,
}

impl RowProducts {
    /// Compiles `name` with the constants that it has beside those of the pieces.
    pub(super) fn new(
        gpu: &Gpu,
        name: &'static str,
        (cols, format): (usize, Format),
        own: &[(&'static str, Constant)],
    ) -> Result<Self> {
        let layout = RowLayout::of(format);
        let layout = layout.ok_or_else(|| Error::shape(name, "weights with an integer form", format))?;
        let (piece, mut constants) = matrix::piece(format, cols);
        let products = if piece == "q8" { "q8_int8" } else { "q4_int8" };
        // Teams are whole subgroups, where these have one known size.
        let known = gpu.features.subgroup_size.filter(|size| gpu.features.subgroup && (32..=64).contains(size));
        let lanes = known.unwrap_or(32);
        let chunks = (cols / layout.chunk) as u32;
        constants.extend([
            ("GROUP_SIZE", U32(GROUP_SIZE.min(gpu.max_workgroup_lanes()))),
            ("LANES", U32(lanes)),
            ("UNROLL", U32(chunks.div_ceil(lanes).min(4))),
        ]);
        constants.extend(known.map(|size| ("SUBGROUP", U32(size))));
        constants.extend(own);
        let team = if known.is_some() { "subgroup" } else { "barrier" };
        let pieces = [("products", products), ("team", team)];
        let kernel = Kernel::new(gpu, &KernelSpec { name, entry: "main", constants: &constants, pieces: &pieces })?;
        Ok(Self { kernel, name, layout, cols })
    }

    /// The only shard of `matrix`, once it and `row` are known to fit.
    pub(super) fn single<'a>(&self, row: &RoundedRow, matrix: &'a Matrix, rows: usize) -> Result<&'a Shard> {
        self.expect(row, matrix)?;
        match &matrix.shards[..] {
            [shard] if matrix.rows == rows => Ok(shard),
            shards => {
                let found = format!("{} in {} shards", matrix.rows, shards.len());
                Err(Error::shape(self.name, format!("a matrix of {rows} rows in one shard"), found))
            }
        }
    }

    /// Checks that `matrix` and `row` are what this was compiled for.
    pub(super) fn expect(&self, row: &RoundedRow, matrix: &Matrix) -> Result<()> {
        row.expect(self.name, self.layout, self.cols)?;
        if matrix.cols != self.cols || RowLayout::of(matrix.format) != Some(self.layout) {
            let expected = format!("rows of {} read as {:?}", self.cols, self.layout);
            return Err(Error::shape(self.name, expected, format!("{} in {}", matrix.cols, matrix.format)));
        }
        Ok(())
    }

    /// The first bindings: the row, the matrix, the steps of the row.
    pub(super) fn bindings<'a>(row: &'a RoundedRow, shard: &'a Shard) -> Vec<Binding<'a>> {
        let mut tensors: Vec<Binding<'_>> = vec![(&row.integers).into()];
        tensors.extend(shard.bindings());
        tensors.push((&row.steps).into());
        tensors
    }
}

/// The constants of the `round_out` piece for rows that are left in `layout`.
pub(super) fn round_out(layout: RowLayout) -> [(&'static str, Constant); 2] {
    [("OUT_CHUNK", U32(layout.chunk as u32)), ("SPLIT", Bool(layout.split))]
}
