//! Attention over every key at or before the query. Shaders: `shaders/attend_dense.wgsl`, `attend_merge.wgsl` after it for one
//! token, and for chunks `coop/attend_dense.wgsl` where the adapter has cooperative matrices and `processor/attend_dense.wgsl` where
//! the driver runs shaders on the processor.

use super::attend_coop::{AttendCoop, Chunk};
use super::attend_merge::AttendMerge;
use super::tile_cache::MOST_KEYS;
use super::{CacheFormat, CacheTiles, CachedTokens, HeadShape, RowLayout, RowTarget, TileCache};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Query rows of a prefill tile.
const PREFILL_ROWS: usize = 32;
/// Values of query rows that a lane of a processor has: more would be faster, and take the driver long to compile.
const PROCESSOR_VALUES: usize = 128;
/// Query rows of a decode tile: the heads of one group.
const DECODE_ROWS: usize = 16;
/// Workgroups that a decode step is split into at the most, per KV head: enough to fill a large device.
const MOST_SPLITS: usize = 128;
/// Keys below which a split does not pay for its merge.
const LEAST_KEYS: usize = 64;

/// Dense attention for one shape of heads.
pub struct AttendDense {
    prefill: Kernel,
    coop: Option<(TileCache, AttendCoop)>,
    /// With the query rows of a workgroup.
    processor: Option<(Kernel, usize)>,
    split: Kernel,
    merge: AttendMerge,
    heads: HeadShape,
    cache: CacheFormat,
}

/// What one step reads and writes.
pub struct AttendDenseArgs<'a> {
    /// (tokens, heads * head_dim) f16, rotated
    pub queries: &'a Tensor,
    /// Filled up to `start + tokens`.
    pub cache: &'a CachedTokens,
    /// Scratch for a chunk, on devices that have cooperative matrices; without it they are not used.
    pub tiles: Option<&'a CacheTiles>,
    /// See [`AttendDense::partial_shape`].
    pub partial: &'a Tensor,
    /// (tokens, heads * head_dim); the integers are for a decode step
    pub out: RowTarget<'a>,
    /// Position of the first token.
    pub start: usize,
    /// How many; 1 for a decode step.
    pub tokens: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    start: u32,
    capacity: u32,
    keys_per_split: u32,
    splits: u32,
}

impl AttendDense {
    /// Compiles for one shape of heads and one format of the cache. A decode step may leave integers in `layouts`.
    pub fn new(gpu: &Gpu, heads: HeadShape, cache: CacheFormat, layouts: &[RowLayout]) -> Result<Self> {
        // Sixteen keys keep a tile within the 16 KiB that every device has; 32 halve the barriers where there is room.
        let tile_keys = if gpu.max_workgroup_bytes() >= 24 << 10 { 32 } else { 16 };
        let build = |entry, rows: usize, tile_keys: u32| {
            let mut constants = heads.constants();
            constants.extend([("ROWS", U32(rows as u32)), ("TILE_KEYS", U32(tile_keys))]);
            let pieces = [("cache", cache.piece())];
            Kernel::new(gpu, &KernelSpec { name: "attend_dense", entry, constants: &constants, pieces: &pieces })
        };
        Ok(Self {
            prefill: build("prefill", PREFILL_ROWS, tile_keys)?,
            coop: Self::coop(gpu, heads, cache)?,
            processor: Self::processor(gpu, heads, cache),
            split: build("split", DECODE_ROWS, 32)?,
            merge: AttendMerge::new(gpu, heads, layouts)?,
            heads,
            cache,
        })
    }

    /// The cooperative form, where the adapter and the sizes allow it.
    fn coop(gpu: &Gpu, heads: HeadShape, cache: CacheFormat) -> Result<Option<(TileCache, AttendCoop)>> {
        let attend = AttendCoop::new(gpu, "coop/attend_dense", heads, MOST_KEYS as u32, &[]);
        Ok(TileCache::for_device(gpu, heads, cache)?.zip(attend))
    }

    /// The form for drivers that run shaders on the processor.
    fn processor(gpu: &Gpu, heads: HeadShape, cache: CacheFormat) -> Option<(Kernel, usize)> {
        let lanes = gpu.features.processor?;
        let rows = (PROCESSOR_VALUES / heads.head_dim).max(1);
        let mut constants = heads.constants();
        constants.extend([("ROWS", U32(rows as u32)), ("LANES", U32(lanes))]);
        let pieces = [("cache", cache.piece())];
        let spec =
            KernelSpec { name: "processor/attend_dense", entry: "prefill", constants: &constants, pieces: &pieces };
        Some((Kernel::optional(gpu, &spec)?, rows * lanes as usize))
    }

    /// Shape of the f32 scratch that decode steps need, whatever the cache's length.
    pub fn partial_shape(heads: HeadShape) -> [usize; 2] {
        [heads.heads * MOST_SPLITS, AttendMerge::partial(heads.head_dim)]
    }

    /// Appends one dispatch for many tokens, or two with cooperative matrices.
    pub fn record_prefill(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AttendDenseArgs<'_>) -> Result<()> {
        let params = self.check(args, 0, 0)?;
        let rows = args.tokens * self.heads.group();
        let size = |rows_of_group| [rows.div_ceil(rows_of_group) as u32, self.heads.kv_heads as u32, 1];
        let pairs = args.tokens * (args.start + args.tokens.div_ceil(2));
        let work = (pairs * self.heads.heads * self.heads.head_dim * 2) as u64;
        if let (Some((tile_cache, coop)), Some(tiles)) = (&self.coop, args.tiles) {
            tile_cache.record(gpu, recorder, (args.cache, args.start + args.tokens), tiles)?;
            let chunk = Chunk { start: args.start, tokens: args.tokens, work };
            return coop.record(gpu, recorder, (args.queries, tiles), &[args.out.floats], &chunk);
        }
        if let Some((kernel, rows_of_group)) = &self.processor {
            let tensors: Vec<_> = inputs(args).chain([args.out.floats.into()]).collect();
            return recorder.dispatch(gpu, kernel, &tensors, &params, size(*rows_of_group), work);
        }
        recorder.dispatch(gpu, &self.prefill, &tensors(args), &params, size(PREFILL_ROWS), work)
    }

    /// Appends two dispatches for one token: splits, and their merge.
    pub fn record_decode(&self, gpu: &Gpu, recorder: &mut Recorder, args: &AttendDenseArgs<'_>) -> Result<()> {
        let keys = args.start + 1;
        let keys_per_split = keys.div_ceil(MOST_SPLITS).next_multiple_of(LEAST_KEYS);
        let splits = keys.div_ceil(keys_per_split);
        let params = self.check(args, keys_per_split, splits)?;
        args.partial.expect("attend_dense partial", &Self::partial_shape(self.heads), Element::F32)?;
        let work = (keys * self.heads.heads * self.heads.head_dim * 2) as u64;
        let parts = self.heads.group().div_ceil(DECODE_ROWS);
        let size = [splits as u32, self.heads.kv_heads as u32, parts as u32];
        recorder.dispatch(gpu, &self.split, &tensors(args), &params, size, work)?;
        self.merge.record(gpu, recorder, (args.partial, splits), args.out)
    }

    fn check(&self, args: &AttendDenseArgs<'_>, keys_per_split: usize, splits: usize) -> Result<Params> {
        let width = self.heads.heads * self.heads.head_dim;
        args.queries.expect_rows("attend_dense queries", args.tokens, width, Element::F16)?;
        args.out.floats.expect_rows("attend_dense out", args.tokens, width, Element::F16)?;
        args.cache.expect("attend_dense", self.heads, self.cache, (args.start + args.tokens, 1))?;
        Ok(Params {
            tokens: args.tokens as u32,
            start: args.start as u32,
            capacity: args.cache.capacity as u32,
            keys_per_split: keys_per_split as u32,
            splits: splits as u32,
        })
    }
}

fn inputs<'a>(args: &AttendDenseArgs<'a>) -> impl Iterator<Item = Binding<'a>> {
    std::iter::once(args.queries.into()).chain(args.cache.bindings())
}

fn tensors<'a>(args: &AttendDenseArgs<'a>) -> Vec<Binding<'a>> {
    inputs(args).chain([args.partial.into(), args.out.floats.into()]).collect()
}
