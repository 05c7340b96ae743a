//! Block scores from compressed keys. Shaders: `shaders/score_blocks.wgsl` for chunks, `score_blocks_decode.wgsl` for one
//! token, and for chunks where the adapter has cooperative matrices `coop/score_blocks.wgsl`.
//!
//! The scores of a chunk take kv_heads * tokens * blocks * 4 bytes: 33 MB for 2048 tokens and 2 KV heads at 128K.

use super::quads;
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, F32, U32};
use crate::gpu::{Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::reference::MOST_EXPONENT;
use crate::sparse_settings::{HeadShape, Lse, SparseSettings};

/// Rows and keys of a chunk's tile, keys of one token's tile.
const TILE: usize = 64;
/// Blocks of a tile: with the key before the first they need 61 of the 64 fine keys.
const TILE_BLOCKS: usize = 15;

/// Blocks of a workgroup of the cooperative form: with the key before the first they need 509 of 512 fine keys.
const COOP_SPAN_BLOCKS: usize = 127;

/// Scores blocks for one model.
pub struct ScoreBlocks {
    lse: Kernel,
    scores: Kernel,
    lse_parts: Kernel,
    decode_scores: Kernel,
    coop: Option<Coop>,
    shape: HeadShape,
    settings: SparseSettings,
}

/// The cooperative forms of `lse` and `scores`, and how many rows (heads of tokens) their workgroups own.
struct Coop {
    lse: Kernel,
    scores: Kernel,
    rows: usize,
}

/// What one step reads and writes.
pub struct ScoreBlocksArgs<'a> {
    /// (tokens, heads, head_dim) f16, rotated; also as (tokens, heads * head_dim)
    pub q: &'a Tensor,
    /// (kv_heads, capacity / kernel_stride, head_dim) f16
    pub fine: &'a Tensor,
    /// (kv_heads, capacity / block_size, head_dim) f16
    pub coarse: &'a Tensor,
    /// Scratch, f32: at least [`ScoreBlocks::lse_len`] values
    pub lse: &'a Tensor,
    /// (kv_heads, at least tokens, blocks) f32; only blocks that a query may choose are written
    pub scores: &'a Tensor,
    /// Position of the first token.
    pub start: usize,
    /// How many tokens.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    start: u32,
    tokens: u32,
    first_token: u32,
    key_slots: u32,
    row_stride: u32,
    head_stride: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct DecodeParams {
    position: u32,
    key_slots: u32,
    parts: u32,
    head_stride: u32,
}

/// Shapes of a step once they are checked.
struct Step {
    fine_slots: usize,
    lse_slots: usize,
    row_stride: u32,
    head_stride: u32,
}

impl ScoreBlocks {
    /// Compiles for one model.
    pub fn new(gpu: &Gpu, shape: HeadShape, settings: SparseSettings) -> Result<Self> {
        let lse_stride = match settings.lse {
            Lse::Coarse => settings.block_size,
            Lse::Exact => settings.kernel_stride,
        };
        let common = [
            ("HEADS", U32(shape.heads as u32)),
            ("GROUP", U32(shape.group() as u32)),
            ("HEAD_DIM", U32(shape.head_dim as u32)),
            ("SCALE", F32(shape.scale())),
            ("MOST_EXPONENT", F32(MOST_EXPONENT)),
            ("BLOCK", U32(settings.block_size as u32)),
            ("LSE_STRIDE", U32(lse_stride as u32)),
            ("INIT_BLOCKS", U32(settings.init_blocks as u32)),
            ("LOCAL_BLOCKS", U32(settings.local_blocks() as u32)),
        ];
        let quads = quads(&shape);
        let more =
            [("GROUP_SIZE", U32(64 * quads)), ("QUADS", U32(quads)), ("STRIDE", U32(settings.kernel_stride as u32))];
        let for_decode = [common.as_slice(), more.as_slice()].concat();
        let kernel = |name, entry, constants: &[(&str, Constant)]| {
            Kernel::new(gpu, &KernelSpec { name, entry, constants, pieces: &[] })
        };
        // Values between two rows of a tile: one more than there are, where the device has the memory for it.
        let roomy = gpu.max_workgroup_bytes() as usize >= TILE * (TILE + 1) * 4;
        let for_chunks = [common.as_slice(), &[("PITCH", U32((TILE + usize::from(roomy)) as u32))]].concat();
        Ok(Self {
            coop: Self::coop(gpu, &shape, &common),
            lse: kernel("score_blocks", "lse", &for_chunks)?,
            scores: kernel("score_blocks", "scores", &for_chunks)?,
            lse_parts: kernel("score_blocks_decode", "lse_parts", &for_decode)?,
            decode_scores: kernel("score_blocks_decode", "scores", &for_decode)?,
            shape,
            settings,
        })
    }

    /// The cooperative forms, where the adapter and the sizes allow them.
    fn coop(gpu: &Gpu, shape: &HeadShape, common: &[(&'static str, Constant)]) -> Option<Coop> {
        let (side, subgroup) = (gpu.features.coop?.side(), gpu.features.subgroup_size?);
        let (group, head_dim) = (shape.group() as u32, shape.head_dim as u32);
        // Bytes of staged keys, scores and norms of the rows, and sums of their tokens.
        let bytes = |rows: u32| 32 * (head_dim + 8) * 2 + rows * (24 + 1) * 4 + rows / group * 2 * 33 * 4;
        let fits = |own_tiles: &u32| {
            let rows = 4 * own_tiles * side;
            rows >= group && bytes(rows) <= gpu.max_workgroup_bytes()
        };
        if !group.is_multiple_of(side) || subgroup > 64 {
            return None;
        }
        let own_tiles = [2, 1].into_iter().find(fits)?;
        let constants = [
            common,
            [
                ("M", U32(side)),
                ("SUBGROUP", U32(subgroup)),
                ("OWN_TILES", U32(own_tiles)),
                ("DEPTHS", U32(head_dim / side)),
                ("SCORE_LOADS", U32(2 * head_dim / subgroup)),
                ("COLUMN_TILES", U32(16 / side)),
            ]
            .as_slice(),
        ]
        .concat();
        let kernel = |entry| {
            let spec = KernelSpec { name: "coop/score_blocks", entry, constants: &constants, pieces: &[] };
            Kernel::optional(gpu, &spec)
        };
        Some(Coop { lse: kernel("lse")?, scores: kernel("scores")?, rows: (4 * own_tiles * side) as usize })
    }

    /// Values of scratch that steps of up to `tokens` tokens in a cache of `capacity` need.
    pub fn lse_len(&self, tokens: usize, capacity: usize) -> usize {
        let parts = self.lse_keys(capacity).div_ceil(TILE);
        (tokens * self.shape.heads).max(self.shape.heads * parts * 2)
    }

    /// Shape of the scores of `tokens` tokens in a cache of `capacity`.
    pub fn scores_shape(&self, tokens: usize, capacity: usize) -> [usize; 3] {
        [self.shape.kv_heads, tokens, capacity / self.settings.block_size]
    }

    /// Appends two dispatches, or none when every query of the chunk reads all blocks.
    pub fn record_prefill(&self, gpu: &Gpu, recorder: &mut Recorder, args: &ScoreBlocksArgs<'_>) -> Result<()> {
        let step = self.check(args)?;
        let first_token = self.settings.first_choice().saturating_sub(args.start);
        if first_token >= args.tokens {
            return Ok(());
        }
        let end = args.start + args.tokens;
        let mut params = Params {
            start: args.start as u32,
            tokens: args.tokens as u32,
            first_token: first_token as u32,
            key_slots: step.lse_slots as u32,
            row_stride: step.row_stride,
            head_stride: step.head_stride,
        };
        let (lse, scores, rows, span) = match &self.coop {
            Some(coop) => (&coop.lse, &coop.scores, coop.rows, COOP_SPAN_BLOCKS),
            None => (&self.lse, &self.scores, TILE, TILE_BLOCKS),
        };
        let tiles = (args.tokens - first_token).div_ceil(rows / self.shape.group());
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let rows_work = ((args.tokens - first_token) * heads * head_dim) as u64;
        let lse_keys = self.lse_tensor(args);
        let tensors = [args.q.into(), lse_keys.into(), args.lse.into(), args.scores.into()];
        let work = rows_work * self.lse_keys(end) as u64;
        recorder.dispatch(gpu, lse, &tensors, &params, [tiles as u32, kv_heads as u32, 1], work)?;

        params.key_slots = step.fine_slots as u32;
        let tensors = [args.q.into(), args.fine.into(), args.lse.into(), args.scores.into()];
        let block_tiles = self.settings.free_end(end - 1).div_ceil(span);
        let work = rows_work * self.settings.fine_keys(end) as u64;
        let size = [block_tiles as u32, tiles as u32, kv_heads as u32];
        recorder.dispatch(gpu, scores, &tensors, &params, size, work)
    }

    /// Appends two dispatches for one token, or none when it reads all blocks.
    pub fn record_decode(&self, gpu: &Gpu, recorder: &mut Recorder, args: &ScoreBlocksArgs<'_>) -> Result<()> {
        if args.tokens != 1 {
            return Err(Error::shape("score_blocks decode", "one token", args.tokens));
        }
        let step = self.check(args)?;
        let position = args.start;
        if position < self.settings.first_choice() {
            return Ok(());
        }
        let parts = self.lse_keys(position + 1).div_ceil(TILE);
        let mut params = DecodeParams {
            position: position as u32,
            key_slots: step.lse_slots as u32,
            parts: parts as u32,
            head_stride: step.head_stride,
        };
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let tensors = [args.q.into(), self.lse_tensor(args).into(), args.lse.into(), args.scores.into()];
        let work = (heads * head_dim * self.lse_keys(position + 1)) as u64;
        recorder.dispatch(gpu, &self.lse_parts, &tensors, &params, [parts as u32, kv_heads as u32, 1], work)?;

        params.key_slots = step.fine_slots as u32;
        let tensors = [args.q.into(), args.fine.into(), args.lse.into(), args.scores.into()];
        let tiles = self.settings.free_end(position).div_ceil(TILE_BLOCKS);
        let work = (heads * head_dim * self.settings.fine_keys(position + 1)) as u64;
        recorder.dispatch(gpu, &self.decode_scores, &tensors, &params, [tiles as u32, kv_heads as u32, 1], work)
    }

    /// Keys of the denominators within the first `tokens`.
    fn lse_keys(&self, tokens: usize) -> usize {
        match self.settings.lse {
            Lse::Coarse => self.settings.coarse_keys(tokens),
            Lse::Exact => self.settings.fine_keys(tokens),
        }
    }

    fn lse_tensor<'a>(&self, args: &ScoreBlocksArgs<'a>) -> &'a Tensor {
        match self.settings.lse {
            Lse::Coarse => args.coarse,
            Lse::Exact => args.fine,
        }
    }

    fn check(&self, args: &ScoreBlocksArgs<'_>) -> Result<Step> {
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let end = args.start + args.tokens;
        let block = self.settings.block_size;
        super::expect_heads("score_blocks q", args.q, args.tokens, heads * head_dim)?;
        // The coarse keys say how many tokens the cache holds.
        let coarse_slots = args.coarse.shape.get(1).copied().unwrap_or(0);
        if coarse_slots * block < end {
            let expected = format!("keys for {end} tokens");
            return Err(Error::shape("score_blocks coarse", expected, format!("{coarse_slots} blocks")));
        }
        args.coarse.expect("score_blocks coarse", &[kv_heads, coarse_slots, head_dim], Element::F16)?;
        let fine_slots = coarse_slots * SparseSettings::FINE_PER_BLOCK;
        args.fine.expect("score_blocks fine", &[kv_heads, fine_slots, head_dim], Element::F16)?;
        let needed = self.lse_len(args.tokens, end);
        if args.lse.element != Element::F32 || args.lse.len() < needed {
            return Err(Error::shape("score_blocks lse", format!("{needed} of F32"), format!("{:?}", args.lse.shape)));
        }
        let (row_stride, head_stride) = super::score_strides(args.scores, kv_heads, args.tokens, end.div_ceil(block))?;
        let lse_slots = match self.settings.lse {
            Lse::Coarse => coarse_slots,
            Lse::Exact => fine_slots,
        };
        Ok(Step { fine_slots, lse_slots, row_stride, head_stride })
    }
}
