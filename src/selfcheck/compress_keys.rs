//! See `ops::compress_keys`.

use super::sparse_layer::SparseLayer;
use super::{Comparison, read_f32, recorder, upload_cache};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::compress_keys::{CompressKeys, CompressKeysArgs};
use crate::ops::{CacheFormat, HeadShape};
use crate::sparse_settings::{ScoreType, SparseSettings};

/// f16 output.
const TOLERANCE: (f32, f32) = (1e-4, 1e-3);
/// One step of a bf16: a sum in another order may round to its other neighbour.
const TOLERANCE_BF16: (f32, f32) = (1e-4, 1.0 / 128.0);

/// All windows of `length` tokens; the places of those that are not complete must stay empty.
pub fn check(
    gpu: &Gpu,
    heads: HeadShape,
    (settings, cache): (SparseSettings, CacheFormat),
    length: usize,
) -> Result<Comparison> {
    let tolerance = match settings.score_type {
        ScoreType::F32 => TOLERANCE,
        ScoreType::Bf16 => TOLERANCE_BF16,
    };
    let mut layer = SparseLayer::new(heads, settings, (0, length));
    let empty = |stride: usize| {
        gpu.tensor("compressed", &[heads.kv_heads, layer.capacity / stride, heads.head_dim], Element::F16)
    };
    let (fine, coarse) = (empty(settings.kernel_stride)?, empty(settings.block_size)?);
    let mut recorder = recorder(gpu)?;
    let tokens = upload_cache(gpu, heads, cache, (&mut layer.keys, &mut layer.values))?;
    let args = CompressKeysArgs { cache: &tokens, fine: &fine, coarse: &coarse, start: 0, tokens: length };
    CompressKeys::new(gpu, heads, settings, cache)?.record(gpu, &mut recorder, &args)?;
    let got = read_f32(gpu, &mut recorder, &fine)?;
    let fine = Comparison::of("fine", &got, &layer.compressed(settings.kernel_stride), tolerance)?;
    let got = read_f32(gpu, &mut recorder, &coarse)?;
    Ok(fine.and(Comparison::of("coarse", &got, &layer.compressed(settings.block_size), tolerance)?))
}
