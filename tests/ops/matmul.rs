use foveal::gpu::Element;
use foveal::ops::{Matmul, Matrix};
use foveal::reference;

use super::{formats, random_matrix};
use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f16};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        // One token, odd, exact tile, larger than a tile, several shards.
        for (tokens, rows, cols, shard_rows) in [
            (1, 3, 32, 100),
            (5, 7, 96, 3),
            (64, 64, 128, 1000),
            (67, 131, 544, 70),
            (3, 40, 4096, 1000),
            (150, 256, 160, 128),
        ] {
            for format in formats(cols) {
                let mut random = Random::new((tokens * rows * cols) as u64);
                let matrix = random_matrix(&mut random, rows, cols, format);
                let x = random.halves(tokens * cols, 1.0);
                // Whole tiles of rows, as the model has them: the cooperative kernel does not look for the last token.
                let padded = tokens.next_multiple_of(128);
                let out = poisoned(gpu, "out", &[padded, rows], Element::F32);
                let mut recorder = recorder(gpu);
                let on_gpu = Matrix::upload(gpu, "w", &matrix, shard_rows).unwrap();
                Matmul::new(gpu, cols, format)
                    .unwrap()
                    .record(gpu, &mut recorder, (&upload_padded(gpu, padded, cols, &x), &on_gpu, &out), 0, tokens)
                    .unwrap();
                let expected = reference::matmul(&x, &matrix);
                let got = read_f32(gpu, &mut recorder, &out);
                // Cooperative matrices round the unpacked weights to f16 first.
                let absolute = if gpu.features.coop.is_some() { 2e-2 } else { 2e-3 };
                let what = format!("matmul {format} {tokens}x{rows}x{cols}");
                close(&what, &got[..expected.len()], &expected, absolute, 1e-4);
            }
        }
    });
}

fn upload_padded(gpu: &foveal::gpu::Gpu, rows: usize, cols: usize, x: &[f32]) -> foveal::gpu::Tensor {
    let mut padded = x.to_vec();
    padded.resize(rows * cols, 0.0);
    upload_f16(gpu, "x", &[rows, cols], &padded)
}

#[test]
fn twin_is_matvec_for_each_token() {
    let mut random = Random::new(5);
    let matrix = random_matrix(&mut random, 6, 32, formats(32)[1]);
    let x = random.halves(3 * 32, 1.0);
    let expected: Vec<f32> = x.chunks(32).flat_map(|row| reference::matvec(row, &matrix)).collect();
    close("rows", &reference::matmul(&x, &matrix), &expected, 0.0, 0.0);
}
