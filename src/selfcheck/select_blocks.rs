//! See `ops::select_blocks`.

use super::{Comparison, Random, poisoned, recorder, upload_f32};
use crate::block_marks::BlockMarks;
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::HeadShape;
use crate::ops::select_blocks::{SelectBlocks, SelectBlocksArgs};
use crate::reference;
use crate::sparse_settings::SparseSettings;

/// Selections by random scores, some of which are equal, and with marks from the second token on, for `step` tokens (start, how many).
pub fn check(gpu: &Gpu, heads: HeadShape, settings: SparseSettings, step: (usize, usize)) -> Result<Comparison> {
    let (start, tokens) = step;
    let blocks = (start + tokens).div_ceil(settings.block_size) + 3;
    let mut random = Random::new(start as u64);
    let count = heads.kv_heads * tokens * blocks;
    let scores: Vec<f32> = (0..count).map(|_| random.below(500) as f32).collect();
    let op = SelectBlocks::new(gpu, heads, settings)?;
    let ids = poisoned(gpu, "ids", &op.ids_shape(tokens), Element::U32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = upload_f32(gpu, "scores", &[heads.kv_heads, tokens, blocks], &scores)?;
    let every = |step: usize| (0..blocks).step_by(step).collect();
    let marks = BlockMarks::new(start + 1, every(13), every(3));
    let flags = &gpu.upload("marks", &[blocks], Element::U32, &marks.flags(blocks))?;
    let args = SelectBlocksArgs { scores: &on_gpu, ids: &ids, marks: flags, marks_from: marks.from(), start, tokens };
    op.record(gpu, &mut recorder, &args)?;
    let expected = reference::select_blocks(&scores, heads.kv_heads, tokens, &settings, start, &marks);
    Ok(Comparison::equal("ids", &recorder.read::<u32>(gpu, &ids)?, &expected))
}
