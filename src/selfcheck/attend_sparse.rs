//! See `ops::attend_sparse`.

use super::sparse_layer::SparseLayer;
use super::tile_cache::poisoned_tiles;
use super::{Comparison, Random, poisoned, read_f32, recorder, upload_cache};
use crate::block_marks::BlockMarks;
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::attend_sparse::{AttendSparse, AttendSparseArgs};
use crate::ops::{CacheFormat, HeadShape};
use crate::reference;
use crate::sparse_settings::SparseSettings;

/// Random selections for `step` tokens (start, how many).
pub fn check(
    gpu: &Gpu,
    heads: HeadShape,
    (settings, cache): (SparseSettings, CacheFormat),
    step: (usize, usize),
    decode: bool,
) -> Result<Comparison> {
    let mut layer = SparseLayer::new(heads, settings, step);
    let (start, tokens) = step;
    let mut random = Random::new(start as u64 + 17);
    let blocks = layer.capacity / settings.block_size;
    let scores: Vec<f32> = (0..heads.kv_heads * tokens * blocks).map(|_| random.unit()).collect();
    let ids = reference::select_blocks(&scores, heads.kv_heads, tokens, &settings, start, &BlockMarks::default());
    let op = AttendSparse::new(gpu, heads, settings, cache, &[])?;
    let out = poisoned(gpu, "out", &[tokens, heads.heads * heads.head_dim], Element::F16)?;
    let tiles = poisoned_tiles(gpu, heads, layer.capacity)?;
    let args = AttendSparseArgs {
        q: &layer.upload_q(gpu)?,
        cache: &upload_cache(gpu, heads, cache, (&mut layer.keys, &mut layer.values))?,
        tiles: tiles.as_ref(),
        ids: &gpu.upload("ids", &[tokens, heads.kv_heads, settings.budget()], Element::U32, &ids)?,
        partials: &poisoned(gpu, "partials", &[op.partials_len(tokens)], Element::F32)?,
        out: (&out).into(),
        start,
        tokens,
    };
    let mut recorder = recorder(gpu)?;
    if decode {
        op.record_decode(gpu, &mut recorder, &args)?;
    } else {
        op.record_prefill(gpu, &mut recorder, &args)?;
    }
    let (block, capacity) = (settings.block_size, layer.capacity);
    let expected = reference::attend_sparse(&layer.q, &layer.keys, &layer.values, &ids, &heads, block, capacity, start);
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (2e-3, 2e-3))
}
