//! See `ops::tile_cache`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_cache};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::{CacheFormat, CacheTiles, HeadShape, TileCache};
use crate::reference;

/// `tokens` tokens of a cache of about that many, in matrices of `side` by `side`.
pub fn check(gpu: &Gpu, heads: HeadShape, cache: CacheFormat, (tokens, side): (usize, u32)) -> Result<Comparison> {
    let HeadShape { kv_heads, head_dim, .. } = heads;
    let capacity = tokens + 3;
    let mut random = Random::new((tokens * head_dim) as u64);
    let mut keys = random.halves(kv_heads * capacity * head_dim, 1.0);
    let mut values = random.halves(kv_heads * capacity * head_dim, 1.0);
    let tiles = tiles_for(gpu, heads, capacity)?;
    let mut recorder = recorder(gpu)?;
    let rows = upload_cache(gpu, heads, cache, (&mut keys, &mut values))?;
    TileCache::new(gpu, heads, cache, side)?.record(gpu, &mut recorder, (&rows, tokens), &tiles)?;
    let written = tokens.next_multiple_of(64);
    let mut comparison = None;
    for (what, tensor, rows) in [("keys", &tiles.keys, &keys), ("values", &tiles.values, &values)] {
        let got = read_f32(gpu, &mut recorder, tensor)?;
        let sizes = (tokens, tiles.capacity);
        let expected = reference::tile_cache(rows, &heads, sizes, side as usize, tensor.label == tiles.keys.label);
        // What lies behind the last read is not written.
        for head in 0..kv_heads {
            let part = head * tiles.capacity * head_dim..(head * tiles.capacity + written) * head_dim;
            let compared = Comparison::of(what, &got[part.clone()], &expected[part], (1e-6, 1e-3))?;
            comparison = Some(comparison.map_or(compared.clone(), |so_far: Comparison| so_far.and(compared)));
        }
    }
    comparison.ok_or_else(|| crate::error::Error::shape("tile_cache", "a KV head", kv_heads))
}

fn tiles_for(gpu: &Gpu, heads: HeadShape, capacity: usize) -> Result<CacheTiles> {
    let capacity = capacity.next_multiple_of(64);
    let tensor = |label| poisoned(gpu, label, &[heads.kv_heads, capacity, heads.head_dim], Element::F16);
    Ok(CacheTiles { keys: tensor("tiled keys")?, values: tensor("tiled values")?, capacity })
}

/// Tiles with rubbish in them, where attention on this device reads such.
pub fn poisoned_tiles(gpu: &Gpu, heads: HeadShape, capacity: usize) -> Result<Option<CacheTiles>> {
    if CacheTiles::bytes(&gpu.features, heads, capacity) == 0 {
        return Ok(None);
    }
    tiles_for(gpu, heads, capacity).map(Some)
}
