//! Kernels that leave rows for a linear map to read: as floats, or one row as integers too. Shaders:
//! `shaders/pieces/row_out.*.wgsl`.

use super::quantize_row::{RoundedRow, RowLayout};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, Bool, U32};
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Tensor};

/// One kernel with each of the places that its rows may go to.
pub(super) struct RowOut {
    name: &'static str,
    floats: Kernel,
    rounded: Vec<(RowLayout, Kernel)>,
    width: usize,
}

/// Where rows go.
#[derive(Clone, Copy)]
pub struct RowTarget<'a> {
    /// (tokens, width) f16
    pub floats: &'a Tensor,
    /// The same as integers, of a single row.
    pub rounded: Option<&'a RoundedRow>,
}

impl<'a> From<&'a Tensor> for RowTarget<'a> {
    fn from(floats: &'a Tensor) -> Self {
        Self { floats, rounded: None }
    }
}

impl RowOut {
    /// Compiles `name` for rows of `width`, a multiple of 8, and for those of `layouts` that fit.
    pub(super) fn new(
        gpu: &Gpu,
        name: &'static str,
        width: usize,
        constants: &[(&str, Constant)],
        layouts: &[RowLayout],
    ) -> Result<Self> {
        if !width.is_multiple_of(8) {
            return Err(Error::shape(name, "rows of a multiple of 8 values", width));
        }
        let build = |constants: &[(&str, Constant)], piece| {
            Kernel::new(gpu, &KernelSpec { name, entry: "main", constants, pieces: &[("row_out", piece)] })
        };
        let rounded = layouts.iter().filter(|layout| width.is_multiple_of(layout.chunk)).map(|layout| {
            let chunks = (width / layout.chunk) as u32;
            let more = [("CHUNK", U32(layout.chunk as u32)), ("CHUNKS", U32(chunks)), ("SPLIT", Bool(layout.split))];
            Ok((*layout, build(&[constants, &more].concat(), "rounded")?))
        });
        Ok(Self { name, floats: build(constants, "floats")?, rounded: rounded.collect::<Result<_>>()?, width })
    }

    /// The kernel for `target`, and the bindings that follow the op's own.
    pub(super) fn kernel<'a>(
        &self,
        target: RowTarget<'a>,
        tokens: usize,
    ) -> Result<(&Kernel, impl Iterator<Item = Binding<'a>> + use<'a>)> {
        target.floats.expect_rows(self.name, tokens, self.width, Element::F16)?;
        let kernel = match target.rounded {
            None => &self.floats,
            Some(row) => {
                row.expect(self.name, row.layout, self.width)?;
                let known = self.rounded.iter().find(|(layout, _)| *layout == row.layout && tokens == 1);
                let found = || format!("{tokens} as {:?}", row.layout);
                &known.ok_or_else(|| Error::shape(self.name, "one row in a layout compiled for", found()))?.1
            }
        };
        let more = target.rounded.into_iter().flat_map(|row| [&row.integers, &row.steps]);
        Ok((kernel, std::iter::once(target.floats).chain(more).map(Binding::from)))
    }
}
