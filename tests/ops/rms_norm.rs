use foveal::gpu::Element;
use foveal::ops::rms_norm::{RmsNorm, RmsNormArgs};
use foveal::reference;

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f32};

/// f16 output: half a unit in the last place is 2^-11 relative.
const RELATIVE: f32 = 1e-3;

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        // Odd, exact, larger than a workgroup, and the 8B model's width.
        for (tokens, width, first_row) in [(1, 6, 0), (3, 64, 2), (7, 514, 0), (2, 1022, 1), (5, 4096, 0)] {
            let mut random = Random::new(width as u64);
            let x = random.halves((first_row + tokens) * width, 3.0);
            let weight = random.halves(width, 1.0);
            let out = poisoned(gpu, "out", &[tokens, width], Element::F16);
            let mut recorder = recorder(gpu);
            let op = RmsNorm::new(gpu, width, 1e-5).unwrap();
            op.record(
                gpu,
                &mut recorder,
                &RmsNormArgs {
                    x: &upload_f32(gpu, "x", &[first_row + tokens, width], &x),
                    weight: &upload_f32(gpu, "weight", &[width], &weight),
                    out: &out,
                    first_row,
                    tokens,
                    scale: 0.25,
                },
            )
            .unwrap();
            let expected = reference::rms_norm(&x[first_row * width..], &weight, 1e-5, 0.25);
            close("rms_norm", &read_f32(gpu, &mut recorder, &out), &expected, 1e-5, RELATIVE);
        }
    });
}

#[test]
fn twin_by_hand() {
    // Root mean square of (3, 4) is sqrt(12.5).
    let out = reference::rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, 1.0);
    close("by hand", &out, &[3.0 / 12.5f32.sqrt(), 8.0 / 12.5f32.sqrt()], 1e-6, 0.0);
}

#[test]
fn wrong_shape_is_an_error() {
    on_each_gpu(|gpu| {
        let op = RmsNorm::new(gpu, 64, 1e-5).unwrap();
        let x = upload_f32(gpu, "x", &[1, 62], &[0.0; 62]);
        let weight = upload_f32(gpu, "weight", &[64], &[0.0; 64]);
        let out = poisoned(gpu, "out", &[1, 64], Element::F16);
        let args = RmsNormArgs { x: &x, weight: &weight, out: &out, first_row: 0, tokens: 1, scale: 1.0 };
        let error = op.record(gpu, &mut recorder(gpu), &args).unwrap_err().to_string();
        assert!(error.contains("[1, 64]") && error.contains("[1, 62]"), "{error}");
    });
}
