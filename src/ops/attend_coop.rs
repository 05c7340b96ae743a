//! What the cooperative forms of attention over slots that neighbouring tokens share have in common: dense attention, and the
//! forced blocks of sparse. Shader: `shaders/pieces/attend_coop.wgsl`.

use super::HeadShape;
use super::tile_cache::{CacheTiles, MOST_KEYS};
use crate::error::Result;
use crate::gpu::shader::Constant::{self, F32, U32};
use crate::gpu::{Binding, Features, Gpu, Kernel, KernelSpec, Recorder, Tensor};

/// Attention of a chunk over a cache in tiles.
pub(super) struct AttendCoop {
    kernel: Kernel,
    /// Of a workgroup.
    tokens: usize,
    kv_heads: usize,
}

/// The tokens of a step, and multiply-adds for them.
pub(super) struct Chunk {
    pub(super) start: usize,
    pub(super) tokens: usize,
    pub(super) work: u64,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Params {
    start: u32,
    capacity: u32,
    tokens: u32,
    lead: u32,
}

impl Params {
    /// For workgroups of which the first begins `lead` tokens before the chunk.
    pub(super) fn new(chunk: &Chunk, tiles: &CacheTiles, lead: usize) -> Self {
        let [start, capacity, tokens, lead] =
            [chunk.start, tiles.capacity, chunk.tokens, lead].map(|number| number as u32);
        Self { start, capacity, tokens, lead }
    }
}

/// Whether a device with these features attends over chunks with cooperative matrices, for heads of this shape.
pub(super) fn attends_by_matrices(features: &Features, heads: HeadShape) -> bool {
    /// Heads of a group that fit in its tile.
    const MOST_HEADS: usize = 16;
    let (Some(coop), Some(subgroup)) = (features.coop, features.subgroup_size) else { return false };
    heads.group() <= MOST_HEADS && subgroup <= 64 && (heads.head_dim as u32).is_multiple_of(coop.side())
}

/// Constants that all cooperative attention has, for tiles of `keys` slots; a head passes through memory that is no wider, in
/// parts.
pub(super) fn common(gpu: &Gpu, heads: HeadShape, keys: u32) -> Option<Vec<(&'static str, Constant)>> {
    let (side, subgroup) = (gpu.features.coop?.side(), gpu.features.subgroup_size?);
    let (head_dim, group) = (heads.head_dim as u32, heads.group() as u32);
    let part = [keys, 32, 16].into_iter().find(|part| *part <= keys && head_dim.is_multiple_of(*part))?;
    let numbers = [
        ("M", side),
        ("SUBGROUP", subgroup),
        ("HEADS", heads.heads as u32),
        ("GROUP", group),
        ("HEAD_DIM", head_dim),
        ("ROW_TILES", group.div_ceil(side)),
        ("DEPTHS", head_dim / side),
        ("PARTS", head_dim / part),
        ("PER_PART", part / side),
        ("KEYS", keys),
        ("SLOT_TILES", keys / side),
    ];
    let numbers = numbers.map(|(name, number)| (name, U32(number)));
    Some(numbers.into_iter().chain([("SCALE", F32(heads.scale()))]).collect())
}

impl AttendCoop {
    /// Compiles the kernel `name`, where the adapter, the shape of heads and the blocks allow it.
    pub(super) fn new(
        gpu: &Gpu,
        name: &'static str,
        heads: HeadShape,
        block: u32,
        more: &[(&'static str, Constant)],
    ) -> Option<Self> {
        let (side, subgroup) = (gpu.features.coop?.side(), gpu.features.subgroup_size?);
        if !attends_by_matrices(&gpu.features, heads) {
            return None;
        }
        let (head_dim, row_tiles) = (heads.head_dim as u32, (heads.group() as u32).div_ceil(side));
        // Fours of what is staged with padding.
        let stage = |keys: u32| (keys * (head_dim / 4 + 2)).max(head_dim * (keys / 4 + 2));
        // Bytes of these, of scores and weights with their padding, and of what is kept of a row.
        let bytes = |tokens, keys| stage(keys) * 8 + tokens * row_tiles * side * ((keys + 8) * 6 + 12) + 4;
        let fits = |(tokens, keys): &(u32, u32)| {
            let divided = block.is_multiple_of(*keys) && (keys * head_dim / 4).is_multiple_of(tokens * subgroup);
            divided && bytes(*tokens, *keys) <= gpu.max_workgroup_bytes()
        };
        // Eight tokens that share are worth more than long tiles: dense attention on an H100 takes 61 ms with 8 and 78 with 4.
        let all = [8, 4].into_iter().flat_map(|tokens| [MOST_KEYS as u32, 32, 16].map(|keys| (tokens, keys)));
        let (tokens, keys) = all.into_iter().find(fits)?;
        let numbers = [
            ("TOKENS", tokens),
            ("VECTORS", keys / 8),
            ("TURNS", (2 * row_tiles * side).div_ceil(subgroup)),
            ("LOADS", keys * head_dim / 4 / (tokens * subgroup)),
            ("STAGE", stage(keys)),
        ];
        let numbers = numbers.map(|(name, number)| (name, U32(number)));
        let constants = [common(gpu, heads, keys)?.as_slice(), &numbers, more].concat();
        let spec = KernelSpec { name, entry: "main", constants: &constants, pieces: &[] };
        Some(Self { kernel: Kernel::optional(gpu, &spec)?, tokens: tokens as usize, kv_heads: heads.kv_heads })
    }

    /// Appends one dispatch. `more` are the kernel's bindings after its values.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (queries, tiles): (&Tensor, &CacheTiles),
        more: &[&Tensor],
        chunk: &Chunk,
    ) -> Result<()> {
        // Tokens of a workgroup begin at a multiple, so that those of one block stay together.
        let lead = chunk.start % self.tokens;
        let params = Params::new(chunk, tiles, lead);
        let all = [queries, &tiles.keys, &tiles.values].into_iter().chain(more.iter().copied());
        let tensors: Vec<Binding<'_>> = all.map(Binding::from).collect();
        let size = [(lead + chunk.tokens).div_ceil(self.tokens) as u32, self.kv_heads as u32, 1];
        recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, chunk.work)
    }
}
