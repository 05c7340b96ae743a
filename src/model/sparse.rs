//! Block-sparse attention of one layer: compressed keys, scores, selection, attention over what was selected.

use super::config::ModelConfig;
use super::forward::Step;
use super::scratch::Scratch;
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Tensor, compiled};
use crate::kv_cache::LayerCache;
use crate::ops::attend_sparse::AttendSparseArgs;
use crate::ops::compress_keys::CompressKeysArgs;
use crate::ops::score_blocks::ScoreBlocksArgs;
use crate::ops::select_blocks::SelectBlocksArgs;
use crate::ops::{AttendSparse, CacheFormat, CompressKeys, RowLayout, RowTarget, ScoreBlocks, SelectBlocks};

/// The four ops, compiled for one model.
pub(crate) struct SparseOps {
    compress_keys: CompressKeys,
    pub(super) score_blocks: ScoreBlocks,
    pub(super) select_blocks: SelectBlocks,
    pub(super) attend_sparse: AttendSparse,
}

impl SparseOps {
    pub(super) fn compile(gpu: &Gpu, config: &ModelConfig, kv: CacheFormat, layouts: &[RowLayout]) -> Result<Self> {
        let (heads, settings) = (config.heads, config.sparse.settings);
        std::thread::scope(|scope| {
            let score_blocks = scope.spawn(|| ScoreBlocks::new(gpu, heads, settings));
            let attend_sparse = scope.spawn(|| AttendSparse::new(gpu, heads, settings, kv, layouts));
            let select_blocks = scope.spawn(|| SelectBlocks::new(gpu, heads, settings));
            Ok(Self {
                compress_keys: CompressKeys::new(gpu, heads, settings, kv)?,
                score_blocks: compiled(score_blocks)?,
                select_blocks: compiled(select_blocks)?,
                attend_sparse: compiled(attend_sparse)?,
            })
        })
    }

    /// Compressed keys of the windows that this step completes. Kept in dense steps too, so that a conversation may
    /// become sparse without looking back.
    pub(super) fn record_compress(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        cache: &LayerCache,
        step: Step,
    ) -> Result<()> {
        let args = CompressKeysArgs {
            cache: &cache.tokens,
            fine: &cache.fine,
            coarse: &cache.coarse,
            start: step.start,
            tokens: step.tokens,
        };
        self.compress_keys.record(gpu, recorder, &args)
    }

    /// Many tokens.
    pub(super) fn record_prefill(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        scratch: &Scratch,
        cache: &LayerCache,
        step: Step,
    ) -> Result<()> {
        let ids = &scratch.sparse.ids;
        self.score_blocks.record_prefill(gpu, recorder, &score_args(scratch, cache, step))?;
        self.select_blocks.record(gpu, recorder, &select_args(scratch, ids, step))?;
        let out = (&scratch.attended.floats).into();
        self.attend_sparse.record_prefill(gpu, recorder, &attend_args(scratch, cache, ids, (step, out)))
    }

    /// One token; what it selects stays in the layer's own list.
    pub(super) fn record_decode(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        scratch: &Scratch,
        cache: &LayerCache,
        (layer, step): (usize, Step),
        out: RowTarget<'_>,
    ) -> Result<()> {
        let ids = &scratch.sparse.selected[layer];
        self.score_blocks.record_decode(gpu, recorder, &score_args(scratch, cache, step))?;
        self.select_blocks.record(gpu, recorder, &select_args(scratch, ids, step))?;
        self.attend_sparse.record_decode(gpu, recorder, &attend_args(scratch, cache, ids, (step, out)))
    }
}

fn score_args<'a>(scratch: &'a Scratch, cache: &'a LayerCache, step: Step) -> ScoreBlocksArgs<'a> {
    ScoreBlocksArgs {
        q: &scratch.queries,
        fine: &cache.fine,
        coarse: &cache.coarse,
        lse: &scratch.sparse.lse,
        scores: &scratch.sparse.scores,
        start: step.start,
        tokens: step.tokens,
    }
}

fn select_args<'a>(scratch: &'a Scratch, ids: &'a Tensor, step: Step) -> SelectBlocksArgs<'a> {
    SelectBlocksArgs {
        scores: &scratch.sparse.scores,
        ids,
        marks: &scratch.sparse.marks,
        marks_from: step.marks_from,
        start: step.start,
        tokens: step.tokens,
    }
}

fn attend_args<'a>(
    scratch: &'a Scratch,
    cache: &'a LayerCache,
    ids: &'a Tensor,
    (step, out): (Step, RowTarget<'a>),
) -> AttendSparseArgs<'a> {
    AttendSparseArgs {
        q: &scratch.queries,
        cache: &cache.tokens,
        tiles: scratch.tiles.as_ref(),
        ids,
        partials: &scratch.sparse.partials,
        out,
        start: step.start,
        tokens: step.tokens,
    }
}
