use foveal::gpu::Element;
use foveal::ops::{Embed, Matrix};
use foveal::reference;

use super::{formats, random_matrix};
use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder};

#[test]
fn matches_twin_in_one_and_many_shards() {
    on_each_gpu(|gpu| {
        for (rows, cols, shard_rows) in [(5, 32, 100), (37, 96, 10), (300, 1024, 128)] {
            for format in formats(cols) {
                let mut random = Random::new(rows as u64);
                let table = random_matrix(&mut random, rows, cols, format);
                let ids: Vec<u32> = (0..7).map(|_| random.below(rows) as u32).chain([0, rows as u32 - 1]).collect();
                let out = poisoned(gpu, "out", &[ids.len(), cols], Element::F32);
                let mut recorder = recorder(gpu);
                Embed::new(gpu, cols, format)
                    .unwrap()
                    .record(
                        gpu,
                        &mut recorder,
                        (
                            &gpu.upload("ids", &[ids.len()], Element::U32, &ids).unwrap(),
                            &Matrix::upload(gpu, "table", &table, shard_rows).unwrap(),
                            &out,
                        ),
                        ids.len(),
                        12.0,
                    )
                    .unwrap();
                let expected = reference::embed(&table, &ids, 12.0);
                // A scale and a bias of the same size cancel: an ulp of either is the limit.
                close(&format!("embed {format}"), &read_f32(gpu, &mut recorder, &out), &expected, 1e-5, 1e-5);
            }
        }
    });
}
