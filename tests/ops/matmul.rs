use foveal::gpu::Element;
use foveal::ops::{Matmul, Matrix};
use foveal::reference;

use super::{formats, random_matrix};
use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f16};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        // One token, odd, exact tile, larger than a tile, several shards.
        for (tokens, rows, cols, shard_rows) in
            [(1, 3, 32, 100), (5, 7, 96, 3), (64, 64, 128, 1000), (67, 131, 544, 70), (3, 40, 4096, 1000)]
        {
            for format in formats(cols) {
                let mut random = Random::new((tokens * rows * cols) as u64);
                let matrix = random_matrix(&mut random, rows, cols, format);
                let x = random.halves(tokens * cols, 1.0);
                let out = poisoned(gpu, "out", &[tokens, rows], Element::F32);
                let mut recorder = recorder(gpu);
                let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows).unwrap();
                Matmul::new(gpu, cols, format)
                    .unwrap()
                    .record(gpu, &mut recorder, (&upload_f16(gpu, "x", &[tokens, cols], &x), &on_gpu, &out), 0, tokens)
                    .unwrap();
                let expected = reference::matmul(&x, &matrix);
                let got = read_f32(gpu, &mut recorder, &out);
                close(&format!("matmul {format} {tokens}x{rows}x{cols}"), &got, &expected, 2e-3, 1e-4);
            }
        }
    });
}

#[test]
fn twin_is_matvec_for_each_token() {
    let mut random = Random::new(5);
    let matrix = random_matrix(&mut random, 6, 32, formats(32)[1]);
    let x = random.halves(3 * 32, 1.0);
    let expected: Vec<f32> = x.chunks(32).flat_map(|row| reference::matvec(row, &matrix)).collect();
    close("rows", &reference::matmul(&x, &matrix), &expected, 0.0, 0.0);
}
