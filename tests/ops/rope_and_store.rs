use foveal::gpu::Element;
use foveal::ops::HeadShape;
use foveal::ops::rope_and_store::{RopeAndStore, RopeAndStoreArgs};
use foveal::reference;

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f32};

#[test]
fn matches_twin_and_leaves_the_rest_of_the_cache_alone() {
    on_each_gpu(|gpu| {
        for (heads, kv_heads, head_dim, start, tokens) in
            [(1, 1, 32, 0, 1), (8, 2, 64, 3, 5), (6, 3, 96, 60, 4), (32, 2, 128, 7, 9)]
        {
            let shape = HeadShape { heads, kv_heads, head_dim };
            let capacity = 64;
            let mut random = Random::new(head_dim as u64);
            let width = (heads + 2 * kv_heads) * head_dim;
            let qkv = random.halves(tokens * width, 1.0);
            let turns: Vec<f32> = (0..tokens * head_dim / 2)
                .flat_map(|_| {
                    let angle = random.unit() * 6.0;
                    [angle.cos(), angle.sin()]
                })
                .collect();
            let queries = poisoned(gpu, "queries", &[tokens, heads * head_dim], Element::F16);
            let keys = gpu.tensor("keys", &[kv_heads, capacity, head_dim], Element::F16).unwrap();
            let values = gpu.tensor("values", &[kv_heads, capacity, head_dim], Element::F16).unwrap();
            let mut recorder = recorder(gpu);
            RopeAndStore::new(gpu, shape)
                .unwrap()
                .record(
                    gpu,
                    &mut recorder,
                    &RopeAndStoreArgs {
                        qkv: &upload_f32(gpu, "qkv", &[tokens, width], &qkv),
                        turns: &upload_f32(gpu, "turns", &[tokens, head_dim], &turns),
                        queries: &queries,
                        keys: &keys,
                        values: &values,
                        start,
                        tokens,
                    },
                )
                .unwrap();
            let expected = reference::rope_and_store(&qkv, &turns, shape);
            close("queries", &read_f32(gpu, &mut recorder, &queries), &expected.queries, 1e-5, 1e-3);
            for (name, tensor, rows) in [("keys", &keys, &expected.keys), ("values", &values, &expected.values)] {
                let mut cache = vec![0.0; kv_heads * capacity * head_dim];
                for (index, row) in rows.chunks(head_dim).enumerate() {
                    let (token, head) = (index / kv_heads, index % kv_heads);
                    let place = (head * capacity + start + token) * head_dim;
                    cache[place..place + head_dim].copy_from_slice(row);
                }
                close(name, &read_f32(gpu, &mut recorder, tensor), &cache, 1e-5, 1e-3);
            }
        }
    });
}

#[test]
fn twin_by_hand() {
    // A quarter turn of the only pair-of-pairs: (a, b) becomes (-b, a); values stay.
    let shape = HeadShape { heads: 1, kv_heads: 1, head_dim: 4 };
    let qkv = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
    let out = reference::rope_and_store(&qkv, &[0.0, 1.0, 1.0, 0.0], shape);
    close("queries", &out.queries, &[-3.0, 2.0, 1.0, 4.0], 0.0, 0.0);
    close("keys", &out.keys, &[-7.0, 6.0, 5.0, 8.0], 0.0, 0.0);
    close("values", &out.values, &[9.0, 10.0, 11.0, 12.0], 0.0, 0.0);
}
