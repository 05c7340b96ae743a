//! The blocks that every token of a chunk chose for itself: the second pass of sparse attention with cooperative matrices.
//! Shader: `shaders/coop/attend_chosen.wgsl`.

use super::attend_coop::{Chunk, Params, attends_by_matrices, common};
use super::tile_cache::{CacheTiles, MOST_KEYS};
use crate::error::Result;
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Gpu, Kernel, KernelSpec, Recorder, Tensor};
use crate::sparse_settings::{HeadShape, SparseSettings};

/// Attention of a chunk over chosen blocks, joined with what the first pass left.
pub(super) struct AttendChosen {
    kernel: Kernel,
    kv_heads: usize,
}

/// How the subgroups of a workgroup divide a tile of `KEYS` slots.
struct Division {
    split: u32,
    own_slots: u32,
    out_parts: u32,
    own_out: u32,
}

impl Division {
    /// Of tiles of `keys` slots and heads of `depths` matrices with this `side`. Four subgroups, where both can be divided by four.
    fn new(keys: u32, depths: u32, side: u32) -> Option<Self> {
        let slot_tiles = keys / side;
        let divides = |split: &u32| slot_tiles.is_multiple_of(*split) && depths.is_multiple_of(*split);
        let split = [4, 2, 1].into_iter().find(divides)?;
        let own_depths = depths / split;
        // What passes through memory at a time is no wider than a row of scores.
        let fits = |own_out: &u32| own_depths.is_multiple_of(*own_out) && split * own_out <= slot_tiles;
        let own_out = (1..=own_depths).rev().find(fits)?;
        Some(Self { split, own_slots: slot_tiles / split, out_parts: own_depths / own_out, own_out })
    }
}

impl AttendChosen {
    /// Compiles for one model, where the adapter, the shape of heads and the blocks allow it.
    pub(super) fn new(gpu: &Gpu, heads: HeadShape, settings: SparseSettings) -> Option<Self> {
        let (side, subgroup) = (gpu.features.coop?.side(), gpu.features.subgroup_size?);
        if !attends_by_matrices(&gpu.features, heads) {
            return None;
        }
        let (head_dim, row_tiles) = (heads.head_dim as u32, (heads.group() as u32).div_ceil(side));
        let block = settings.block_size as u32;
        let keys = [MOST_KEYS as u32, 32, 16].into_iter().find(|keys| block.is_multiple_of(*keys))?;
        let Division { split, own_slots, out_parts, own_out } = Division::new(keys, head_dim / side, side)?;
        let (rows, lanes) = (row_tiles * side, split * subgroup);
        let row_lanes = (lanes / rows).clamp(1, keys / 4);
        let numbers = [
            ("SPLIT", split),
            ("OWN_SLOTS", own_slots),
            ("OUT_PARTS", out_parts),
            ("OWN_OUT", own_out),
            ("ROW_LANES", row_lanes),
            ("HALVINGS", row_lanes.ilog2()),
            ("VECTORS", keys / 4 / row_lanes),
            ("TURNS", (rows * row_lanes).div_ceil(lanes)),
            ("BLOCK", block),
            ("BUDGET", settings.budget() as u32),
            ("INIT_BLOCKS", settings.init_blocks as u32),
            ("LOCAL_BLOCKS", settings.local_blocks() as u32),
        ];
        let numbers = numbers.map(|(name, number)| (name, U32(number)));
        let constants = [common(gpu, heads, keys)?.as_slice(), &numbers].concat();
        let spec = KernelSpec { name: "coop/attend_chosen", entry: "main", constants: &constants, pieces: &[] };
        Some(Self { kernel: Kernel::optional(gpu, &spec)?, kv_heads: heads.kv_heads })
    }

    /// Appends one dispatch. `more` are the chosen ids, the first pass's softmax by row, and its result, which is joined in place.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (queries, tiles): (&Tensor, &CacheTiles),
        more: [&Tensor; 3],
        chunk: &Chunk,
    ) -> Result<()> {
        let all = [queries, &tiles.keys, &tiles.values].into_iter().chain(more);
        let tensors: Vec<Binding<'_>> = all.map(Binding::from).collect();
        let size = [chunk.tokens as u32, self.kv_heads as u32, 1];
        recorder.dispatch(gpu, &self.kernel, &tensors, &Params::new(chunk, tiles, 0), size, chunk.work)
    }
}
