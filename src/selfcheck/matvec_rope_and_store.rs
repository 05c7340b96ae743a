//! See `ops::matvec_rope_and_store`.

use super::rounded::RandomRow;
use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder, upload_f32};
use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu};
use crate::ops::matvec_rope_and_store::{MatvecRopeAndStore, MatvecRopeAndStoreArgs};
use crate::ops::{CacheFormat, CachedTokens, HeadShape, Matrix, RowLayout};
use crate::reference;
use crate::weights::Format;

/// f16 output of f32 sums.
const TOLERANCE: (f32, f32) = (3e-3, 1e-3);

/// One normalised token at `position` of an empty cache, whose other places must stay empty.
pub fn check(gpu: &Gpu, shape: HeadShape, (cols, format): (usize, Format), position: usize) -> Result<Comparison> {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let layout = RowLayout::of(format);
    let layout = layout.ok_or_else(|| Error::shape("matvec_rope_and_store", "an integer form", format))?;
    let (capacity, rows) = ((position + 1).next_multiple_of(64), (heads + 2 * kv_heads) * head_dim);
    let mut random = Random::new((rows * cols) as u64 + 5);
    let matrix = random_matrix(&mut random, rows, cols, format)?;
    let row = RandomRow::new(gpu, &mut random, cols, layout)?;
    let angles: Vec<f32> = (0..head_dim / 2).map(|_| random.unit() * 6.0).collect();
    let turns: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let queries = poisoned(gpu, "queries", &[1, heads * head_dim], Element::F16)?;
    let cache = CachedTokens::new(gpu, "cache", shape, CacheFormat::F16, capacity)?;
    let mut recorder = recorder(gpu)?;
    let args = MatvecRopeAndStoreArgs {
        row: &row.on_gpu,
        matrix: &Matrix::upload(gpu, "w", &matrix, rows)?,
        turns: &upload_f32(gpu, "turns", &[1, head_dim], &turns)?,
        queries: &queries,
        cache: &cache,
        position,
    };
    MatvecRopeAndStore::new(gpu, (cols, format), shape, 1e-5)?.record(gpu, &mut recorder, &args)?;
    let factor = reference::norm_factor(row.squares, cols, 1e-5);
    let expected = reference::matvec_rope_and_store(&row.values, factor, &matrix, &turns, shape);
    let got = read_f32(gpu, &mut recorder, &queries)?;
    let mut comparison = Comparison::of("queries", &got, &expected.queries, TOLERANCE)?;
    for (name, tensor, rows) in [("keys", &cache.keys, &expected.keys), ("values", &cache.values, &expected.values)] {
        let mut wanted = vec![0.0; kv_heads * capacity * head_dim];
        for (head, row) in rows.chunks_exact(head_dim).enumerate() {
            let place = (head * capacity + position) * head_dim;
            wanted[place..place + head_dim].copy_from_slice(row);
        }
        let got = read_f32(gpu, &mut recorder, tensor)?;
        comparison = comparison.and(Comparison::of(name, &got, &wanted, TOLERANCE)?);
    }
    Ok(comparison)
}
