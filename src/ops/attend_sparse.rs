//! Attention over the selected blocks. Shaders: `shaders/attend_sparse.wgsl`, `attend_merge.wgsl` after it for one token, and for
//! chunks `coop/attend_sparse.wgsl` and `coop/attend_chosen.wgsl` where the adapter has cooperative matrices, and
//! `processor/attend_sparse.wgsl` where the driver runs shaders on the processor.

use super::attend_chosen::AttendChosen;
use super::attend_coop::{AttendCoop, Chunk};
use super::attend_merge::AttendMerge;
use super::{CacheFormat, CacheTiles, CachedTokens, RowLayout, RowTarget, TileCache, quads};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{F32, U32};
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::sparse_settings::{HeadShape, SparseSettings};

/// Keys of a tile.
const TILE: usize = 64;

/// Attends over selected blocks for one model.
pub struct AttendSparse {
    prefill: Kernel,
    decode: Kernel,
    merge: AttendMerge,
    coop: Option<Coop>,
    processor: Option<Kernel>,
    shape: HeadShape,
    settings: SparseSettings,
    cache: CacheFormat,
}

/// The passes of a chunk with cooperative matrices.
struct Coop {
    tile_cache: TileCache,
    forced: AttendCoop,
    chosen: AttendChosen,
}

/// What one step reads and writes.
pub struct AttendSparseArgs<'a> {
    /// (tokens, heads, head_dim) f16, rotated; also as (tokens, heads * head_dim)
    pub q: &'a Tensor,
    /// Filled up to `start + tokens`.
    pub cache: &'a CachedTokens,
    /// Scratch for a chunk, on devices that have cooperative matrices; without it they are not used.
    pub tiles: Option<&'a CacheTiles>,
    /// (at least tokens, kv_heads, budget) u32, from select_blocks
    pub ids: &'a Tensor,
    /// Scratch, f32: at least [`AttendSparse::partials_len`] values for this step
    pub partials: &'a Tensor,
    /// (tokens, heads * head_dim); the integers are for a decode step
    pub out: RowTarget<'a>,
    /// Position of the first token.
    pub start: usize,
    /// How many tokens.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    start: u32,
    capacity: u32,
    tiles: u32,
}

impl AttendSparse {
    /// Compiles for one model and one format of the cache. A decode step may leave integers in `layouts`.
    pub fn new(
        gpu: &Gpu,
        shape: HeadShape,
        settings: SparseSettings,
        cache: CacheFormat,
        layouts: &[RowLayout],
    ) -> Result<Self> {
        let quads = quads(&shape);
        let constants = [
            ("GROUP_SIZE", U32(64 * quads)),
            ("QUADS", U32(quads)),
            ("HEADS", U32(shape.heads as u32)),
            ("GROUP", U32(shape.group() as u32)),
            ("HEAD_DIM", U32(shape.head_dim as u32)),
            ("SCALE", F32(shape.scale())),
            ("BLOCK", U32(settings.block_size as u32)),
            ("BUDGET", U32(settings.budget() as u32)),
        ];
        let pieces = [("cache", cache.piece())];
        let plain = |entry| KernelSpec { name: "attend_sparse", entry, constants: &constants, pieces: &pieces };
        Ok(Self {
            prefill: Kernel::new(gpu, &plain("prefill"))?,
            decode: Kernel::new(gpu, &plain("decode"))?,
            merge: AttendMerge::new(gpu, shape, layouts)?,
            coop: Self::coop(gpu, shape, settings, cache)?,
            processor: Self::processor(gpu, shape, settings, cache),
            shape,
            settings,
            cache,
        })
    }

    /// The cooperative form, where the adapter and the sizes allow it.
    fn coop(gpu: &Gpu, shape: HeadShape, settings: SparseSettings, cache: CacheFormat) -> Result<Option<Coop>> {
        let block = settings.block_size as u32;
        let constants = [
            ("BLOCK", U32(block)),
            ("INIT_BLOCKS", U32(settings.init_blocks as u32)),
            ("LOCAL_BLOCKS", U32(settings.local_blocks() as u32)),
        ];
        let forced = AttendCoop::new(gpu, "coop/attend_sparse", shape, block, &constants);
        let chosen = AttendChosen::new(gpu, shape, settings);
        let tile_cache = TileCache::for_device(gpu, shape, cache)?;
        let (Some(tile_cache), Some(forced), Some(chosen)) = (tile_cache, forced, chosen) else { return Ok(None) };
        Ok(Some(Coop { tile_cache, forced, chosen }))
    }

    /// The form for drivers that run shaders on the processor.
    fn processor(gpu: &Gpu, shape: HeadShape, settings: SparseSettings, cache: CacheFormat) -> Option<Kernel> {
        let lanes = gpu.features.processor?;
        let group = shape.group() as u32;
        let constants = [
            ("HEADS", U32(shape.heads as u32)),
            ("GROUP", U32(group)),
            ("HEAD_DIM", U32(shape.head_dim as u32)),
            ("ROWS", U32(group.div_ceil(lanes))),
            ("LANES", U32(lanes)),
            ("BLOCK", U32(settings.block_size as u32)),
            ("BUDGET", U32(settings.budget() as u32)),
        ];
        let pieces = [("cache", cache.piece())];
        let spec =
            KernelSpec { name: "processor/attend_sparse", entry: "prefill", constants: &constants, pieces: &pieces };
        Kernel::optional(gpu, &spec)
    }

    /// Values of scratch that steps of up to `tokens` tokens need, at any depth.
    pub fn partials_len(&self, tokens: usize) -> usize {
        Self::partials_of(self.shape, &self.settings, tokens)
    }

    /// The same before anything is compiled.
    pub fn partials_of(shape: HeadShape, settings: &SparseSettings, tokens: usize) -> usize {
        let decode = shape.heads * settings.first_choice().div_ceil(TILE) * AttendMerge::partial(shape.head_dim);
        decode.max(tokens * shape.heads * 2)
    }

    /// Appends one dispatch for a chunk, or three with cooperative matrices.
    pub fn record_prefill(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AttendSparseArgs<'_>) -> Result<()> {
        let capacity = self.check(args)?;
        let slots: usize = (args.start..args.start + args.tokens).map(|position| self.slots(position)).sum();
        if let (Some(coop), Some(tiles)) = (&self.coop, args.tiles) {
            coop.tile_cache.record(gpu, recorder, (args.cache, args.start + args.tokens), tiles)?;
            let (softmax, out) = (args.partials, args.out.floats);
            let chunk = Chunk { start: args.start, tokens: args.tokens, work: self.work(slots) };
            coop.forced.record(gpu, recorder, (args.q, tiles), &[softmax, out], &chunk)?;
            return coop.chosen.record(gpu, recorder, (args.q, tiles), [args.ids, softmax, out], &chunk);
        }
        let params = Params { start: args.start as u32, capacity: capacity as u32, tiles: 0 };
        if let Some(kernel) = &self.processor {
            let tensors: Vec<_> = Self::inputs(args).chain([args.out.floats.into()]).collect();
            let size = [args.tokens as u32, self.shape.kv_heads as u32, 1];
            return recorder.dispatch(gpu, kernel, &tensors, &params, size, self.work(slots));
        }
        let size = [args.tokens as u32, self.head_tiles() as u32, 1];
        recorder.dispatch(gpu, &self.prefill, &self.tensors(args), &params, size, self.work(slots))
    }

    /// Appends two dispatches for one token.
    pub fn record_decode(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AttendSparseArgs<'_>) -> Result<()> {
        if args.tokens != 1 {
            return Err(Error::shape("attend_sparse decode", "one token", args.tokens));
        }
        let capacity = self.check(args)?;
        let slots = self.slots(args.start);
        let tiles = slots.div_ceil(TILE) as u32;
        let params = Params { start: args.start as u32, capacity: capacity as u32, tiles };
        let size = [tiles, self.head_tiles() as u32, 1];
        recorder.dispatch(gpu, &self.decode, &self.tensors(args), &params, size, self.work(slots))?;
        self.merge.record(gpu, recorder, (args.partials, tiles as usize), args.out)
    }

    /// Tokens that the query at `position` reads.
    fn slots(&self, position: usize) -> usize {
        self.settings.tokens_read(position)
    }

    /// Multiply-adds of keys and values for `slots` tokens read.
    fn work(&self, slots: usize) -> u64 {
        (slots * self.shape.heads * self.shape.head_dim * 2) as u64
    }

    /// Workgroups for the heads of a token: up to 16 heads of one KV head each.
    fn head_tiles(&self) -> usize {
        self.shape.kv_heads * self.shape.group().div_ceil(4 * quads(&self.shape) as usize)
    }

    fn inputs<'a>(args: &AttendSparseArgs<'a>) -> impl Iterator<Item = Binding<'a>> {
        std::iter::once(args.q.into()).chain(args.cache.bindings()).chain([args.ids.into()])
    }

    fn tensors<'a>(&self, args: &AttendSparseArgs<'a>) -> Vec<Binding<'a>> {
        Self::inputs(args).chain([args.out.floats.into(), args.partials.into()]).collect()
    }

    fn check(&self, args: &AttendSparseArgs<'_>) -> Result<usize> {
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let end = args.start + args.tokens;
        args.cache.expect("attend_sparse", self.shape, self.cache, (end, self.settings.block_size))?;
        super::expect_heads("attend_sparse q", args.q, args.tokens, heads * head_dim)?;
        super::expect_heads("attend_sparse out", args.out.floats, args.tokens, heads * head_dim)?;
        let ids = [args.tokens, kv_heads, self.settings.budget()];
        super::expect_rows_of("attend_sparse ids", args.ids, &ids, Element::U32)?;
        let needed = self.partials_len(args.tokens);
        if args.partials.element != Element::F32 || args.partials.len() < needed {
            let found = format!("{:?}", args.partials.shape);
            return Err(Error::shape("attend_sparse partials", format!("{needed} of F32"), found));
        }
        Ok(args.cache.capacity)
    }
}
