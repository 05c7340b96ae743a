use foveal::gpu::Element;
use foveal::ops::rms_norm::{RmsNorm, RmsNormArgs};
use foveal::reference;
use foveal::selfcheck::rms_norm;

use crate::harness::{check_on_each_gpu, close, on_each_gpu, poisoned, recorder, upload_f32};

#[test]
fn matches_twin() {
    // Odd, exact, larger than a workgroup, and the 8B model's width.
    for (tokens, width, first_row) in [(1, 6, 0), (3, 64, 2), (7, 514, 0), (2, 1022, 1), (5, 4096, 0)] {
        check_on_each_gpu(|gpu| rms_norm::check(gpu, (tokens, width), first_row));
    }
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
