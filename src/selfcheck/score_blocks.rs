//! See `ops::score_blocks`.

use super::sparse_layer::SparseLayer;
use super::{Comparison, poisoned, read_f32, recorder};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::HeadShape;
use crate::ops::score_blocks::{ScoreBlocks, ScoreBlocksArgs};
use crate::reference;
use crate::sparse_settings::SparseSettings;

/// The scores that a query may choose by, for `step` tokens (start, how many).
pub fn check(
    gpu: &Gpu,
    heads: HeadShape,
    settings: SparseSettings,
    step: (usize, usize),
    decode: bool,
) -> Result<Comparison> {
    let layer = SparseLayer::new(heads, settings, step);
    let (start, tokens) = step;
    let (fine, coarse) = (layer.compressed(settings.kernel_stride), layer.compressed(settings.block_size));
    let op = ScoreBlocks::new(gpu, heads, settings)?;
    let scores = poisoned(gpu, "scores", &op.scores_shape(tokens, layer.capacity), Element::F32)?;
    let args = ScoreBlocksArgs {
        q: &layer.upload_q(gpu)?,
        fine: &layer.upload(gpu, "fine", &fine)?,
        coarse: &layer.upload(gpu, "coarse", &coarse)?,
        lse: &poisoned(gpu, "lse", &[op.lse_len(tokens, layer.capacity)], Element::F32)?,
        scores: &scores,
        start,
        tokens,
    };
    let mut recorder = recorder(gpu)?;
    if decode {
        op.record_decode(gpu, &mut recorder, &args)?;
    } else {
        op.record_prefill(gpu, &mut recorder, &args)?;
    }
    let got = read_f32(gpu, &mut recorder, &scores)?;
    let expected = reference::score_blocks(&layer.q, &fine, &coarse, &heads, &settings, layer.capacity, start);
    let blocks = layer.capacity / settings.block_size;
    let free = |scores: &[f32]| -> Vec<f32> {
        let rows = scores.chunks_exact(blocks).enumerate();
        let part = |(row, scores): (usize, &[f32])| {
            let position = start + row % tokens;
            let end = if position < settings.first_choice() { 0 } else { settings.free_end(position) };
            scores.get(settings.init_blocks..end).unwrap_or_default().to_vec()
        };
        rows.flat_map(part).collect()
    };
    Comparison::of("scores", &free(&got), &free(&expected), (1e-20, 2e-3))
}
