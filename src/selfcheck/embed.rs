//! See `ops::embed`.

use super::{Comparison, Random, poisoned, random_matrix, read_f32, recorder};
use crate::error::Result;
use crate::gpu::{Element, Gpu};
use crate::ops::{Embed, Matrix};
use crate::reference;
use crate::weights::Format;

/// A table in shards of `shard_rows`, with its first and its last row among those looked up.
pub fn check(gpu: &Gpu, (rows, cols, shard_rows): (usize, usize, usize), format: Format) -> Result<Comparison> {
    let mut random = Random::new(rows as u64);
    let table = random_matrix(&mut random, rows, cols, format)?;
    let ids: Vec<u32> = (0..7).map(|_| random.below(rows) as u32).chain([0, rows as u32 - 1]).collect();
    let out = poisoned(gpu, "out", &[ids.len(), cols], Element::F32)?;
    let mut recorder = recorder(gpu)?;
    let on_gpu = Matrix::upload(gpu, "table", &table, shard_rows)?;
    let wanted = gpu.upload("ids", &[ids.len()], Element::U32, &ids)?;
    Embed::new(gpu, cols, format)?.record(gpu, &mut recorder, (&wanted, &on_gpu, &out), ids.len(), 12.0)?;
    let expected = reference::embed(&table, &ids, 12.0);
    // A scale and a bias of the same size cancel: an ulp of either is the limit.
    Comparison::of("out", &read_f32(gpu, &mut recorder, &out)?, &expected, (1e-5, 1e-5))
}
