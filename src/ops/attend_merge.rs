//! The last stage of attention for one token: joins the parts of each head. Shader: `shaders/attend_merge.wgsl`.

use super::row_out::{RowOut, RowTarget};
use super::{HeadShape, ROW_GROUP, RowLayout};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Recorder, Tensor};

/// Merges for one shape of heads.
pub(super) struct AttendMerge {
    kernels: RowOut,
    heads: HeadShape,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    parts: u32,
}

impl AttendMerge {
    /// Compiles for one shape of heads, whose results may be wanted as integers in `layouts`.
    pub(super) fn new(gpu: &Gpu, heads: HeadShape, layouts: &[RowLayout]) -> Result<Self> {
        let constants = [
            ("GROUP_SIZE", U32(ROW_GROUP)),
            ("HEAD_DIM", U32(heads.head_dim as u32)),
            ("SLICES", U32(ROW_GROUP / (heads.head_dim as u32 / 4))),
        ];
        // Chunks must not reach into the next head, which is another workgroup's.
        let fitting: Vec<RowLayout> =
            layouts.iter().copied().filter(|layout| heads.head_dim.is_multiple_of(layout.chunk)).collect();
        let width = heads.heads * heads.head_dim;
        Ok(Self { kernels: RowOut::new(gpu, "attend_merge", width, &constants, &fitting)?, heads })
    }

    /// f32 values that one head's part takes: its values, the maximum, the sum, and room to keep vectors whole.
    pub(super) fn partial(head_dim: usize) -> usize {
        head_dim + 4
    }

    /// Appends one dispatch: `partials` (heads, parts, see [`AttendMerge::partial`]) f32 to one row.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (partials, parts): (&Tensor, usize),
        out: RowTarget<'_>,
    ) -> Result<()> {
        let HeadShape { heads, head_dim, .. } = self.heads;
        let needed = heads * parts * Self::partial(head_dim);
        if partials.element != Element::F32 || partials.len() < needed {
            let found = format!("{:?}", partials.shape);
            return Err(Error::shape("attend_merge partials", format!("{needed} of F32"), found));
        }
        let (kernel, out) = self.kernels.kernel(out, 1)?;
        let tensors: Vec<Binding<'_>> = std::iter::once(partials.into()).chain(out).collect();
        let work = (parts * heads * head_dim) as u64;
        let params = Params { parts: parts as u32 };
        recorder.dispatch(gpu, kernel, &tensors, &params, [heads as u32, 1, 1], work)
    }
}
