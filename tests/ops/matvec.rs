use foveal::gpu::Element;
use foveal::ops::{Matrix, Matvec};
use foveal::reference;
use foveal::weights::{Format, PackedMatrix};

use super::{formats, random_matrix};
use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f16};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        for (rows, cols, shard_rows) in [(1, 32, 100), (7, 96, 3), (130, 512, 1000), (33, 4096, 1000)] {
            for format in formats(cols) {
                let mut random = Random::new((rows * cols) as u64);
                let matrix = random_matrix(&mut random, rows, cols, format);
                let x = random.halves(cols, 1.0);
                let out = poisoned(gpu, "out", &[1, rows], Element::F32);
                let mut recorder = recorder(gpu);
                Matvec::new(gpu, cols, format)
                    .unwrap()
                    .record(
                        gpu,
                        &mut recorder,
                        (
                            &upload_f16(gpu, "x", &[1, cols], &x),
                            &Matrix::upload(gpu, "w", &matrix, shard_rows).unwrap(),
                            &out,
                        ),
                        0,
                    )
                    .unwrap();
                // f32 sums of `cols` products of size one in another order.
                let expected = reference::matvec(&x, &matrix);
                close(&format!("matvec {format}"), &read_f32(gpu, &mut recorder, &out), &expected, 2e-3, 1e-4);
            }
        }
    });
}

#[test]
fn twin_by_hand() {
    let matrix = PackedMatrix::quantize(
        "w",
        2,
        8,
        &[1., 2., 3., 4., 5., 6., 7., 8., 0., 0., 0., 0., 0., 0., 0., 2.],
        Format::F16,
    );
    let out = reference::matvec(&[1., 1., 1., 1., 1., 1., 1., 0.5], &matrix.unwrap());
    close("by hand", &out, &[32.0, 1.0], 0.0, 0.0);
}
