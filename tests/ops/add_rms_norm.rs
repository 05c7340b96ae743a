use foveal::gpu::Element;
use foveal::ops::add_rms_norm::{AddRmsNorm, AddRmsNormArgs};
use foveal::reference;

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f32};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        for (tokens, width, first_row) in [(1, 6, 0), (3, 64, 2), (7, 514, 0), (5, 4096, 1)] {
            let mut random = Random::new(width as u64 + 1);
            let rows = first_row + tokens;
            let mut stream = random.halves(rows * width, 3.0);
            let delta = random.halves(rows * width, 2.0);
            let weight = random.halves(width, 1.0);
            let on_gpu = upload_f32(gpu, "stream", &[rows, width], &stream);
            let out = poisoned(gpu, "out", &[tokens, width], Element::F16);
            let mut recorder = recorder(gpu);
            let op = AddRmsNorm::new(gpu, width, 1e-6).unwrap();
            op.record(
                gpu,
                &mut recorder,
                &AddRmsNormArgs {
                    stream: &on_gpu,
                    delta: &upload_f32(gpu, "delta", &[rows, width], &delta),
                    weight: &upload_f32(gpu, "weight", &[width], &weight),
                    out: &out,
                    first_row,
                    tokens,
                    residual_scale: 0.35,
                    scale: 0.5,
                },
            )
            .unwrap();
            let skip = first_row * width;
            let expected = reference::add_rms_norm(&mut stream[skip..], &delta[skip..], &weight, 1e-6, 0.35, 0.5);
            close("out", &read_f32(gpu, &mut recorder, &out), &expected, 1e-5, 1e-3);
            // Rows before the first are left alone; the others hold the sum.
            close("stream", &read_f32(gpu, &mut recorder, &on_gpu), &stream, 1e-6, 1e-6);
        }
    });
}
