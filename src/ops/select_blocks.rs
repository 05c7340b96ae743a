//! The blocks that each query reads, from their scores. Shader: `shaders/select_blocks.wgsl`.

use super::ROW_GROUP;
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{Bool, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::sparse_settings::{HeadShape, ScoreType, SparseSettings};

/// Most blocks of a text: two counts of them share a word in the kernel.
const MOST_BLOCKS: usize = 32_768;

/// Ranks blocks for one model.
pub struct SelectBlocks {
    kernel: Kernel,
    shape: HeadShape,
    settings: SparseSettings,
}

/// What one selection reads and writes.
pub struct SelectBlocksArgs<'a> {
    /// (kv_heads, at least tokens, blocks) f32
    pub scores: &'a Tensor,
    /// (at least tokens, kv_heads, budget) u32: ascending, then `reference::NO_BLOCK`
    pub ids: &'a Tensor,
    /// (at least blocks) u32: see `BlockMarks::flags`
    pub marks: &'a Tensor,
    /// First position that obeys the marks.
    pub marks_from: usize,
    /// Position of the first token.
    pub start: usize,
    /// How many tokens.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    start: u32,
    row_stride: u32,
    head_stride: u32,
    marks_from: u32,
}

impl SelectBlocks {
    /// Compiles for one model.
    pub fn new(gpu: &Gpu, shape: HeadShape, settings: SparseSettings) -> Result<Self> {
        let constants = [
            ("GROUP_SIZE", U32(ROW_GROUP)),
            ("KV_HEADS", U32(shape.kv_heads as u32)),
            ("BLOCK", U32(settings.block_size as u32)),
            ("BUDGET", U32(settings.budget() as u32)),
            ("INIT_BLOCKS", U32(settings.init_blocks as u32)),
            ("LOCAL_BLOCKS", U32(settings.local_blocks() as u32)),
            ("FREE_BLOCKS", U32(settings.free_blocks() as u32)),
            ("BF16", Bool(settings.score_type == ScoreType::Bf16)),
        ];
        let scan = if gpu.features.subgroup { "subgroup" } else { "barrier" };
        let spec =
            KernelSpec { name: "select_blocks", entry: "main", constants: &constants, pieces: &[("scan", scan)] };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, shape, settings })
    }

    /// Shape of the list for `tokens` queries.
    pub fn ids_shape(&self, tokens: usize) -> [usize; 3] {
        [tokens, self.shape.kv_heads, self.settings.budget()]
    }

    /// Appends one dispatch, for a chunk or for one token: a workgroup per token and KV head.
    pub fn record(&self, gpu: &Gpu, recorder: &mut Recorder, args: &SelectBlocksArgs<'_>) -> Result<()> {
        let kv_heads = self.shape.kv_heads;
        let blocks = (args.start + args.tokens).div_ceil(self.settings.block_size);
        if blocks > MOST_BLOCKS {
            return Err(Error::shape("select_blocks blocks", format!("at most {MOST_BLOCKS}"), blocks));
        }
        let (row_stride, head_stride) = super::score_strides(args.scores, kv_heads, args.tokens, blocks)?;
        super::expect_rows_of("select_blocks ids", args.ids, &self.ids_shape(args.tokens), Element::U32)?;
        if args.marks.element != Element::U32 || args.marks.len() < blocks {
            let found = format!("{:?} of {:?}", args.marks.shape, args.marks.element);
            return Err(Error::shape("block marks", format!("at least [{blocks}] of U32"), found));
        }
        let marks_from = u32::try_from(args.marks_from).unwrap_or(u32::MAX);
        let params = Params { start: args.start as u32, row_stride, head_stride, marks_from };
        let tensors = [args.scores.into(), args.ids.into(), args.marks.into()];
        let work = (args.tokens * kv_heads * blocks * 5) as u64;
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, [args.tokens as u32, kv_heads as u32, 1], work)
    }
}
