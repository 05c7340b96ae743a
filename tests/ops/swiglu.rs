use foveal::gpu::Element;
use foveal::ops::Swiglu;
use foveal::reference;

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f32};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        for (tokens, width) in [(1, 2), (3, 30), (5, 512), (2, 16384)] {
            let mut random = Random::new(width as u64);
            let mut x = random.halves(tokens * 2 * width, 3.0);
            // Far out on both sides, where a careless exponential overflows.
            x[0] = -300.0;
            x[1] = 300.0;
            let out = poisoned(gpu, "out", &[tokens, width], Element::F16);
            let mut recorder = recorder(gpu);
            let on_gpu = upload_f32(gpu, "x", &[tokens, 2 * width], &x);
            Swiglu::new(gpu, width).unwrap().record(gpu, &mut recorder, &on_gpu, &out, tokens).unwrap();
            close("swiglu", &read_f32(gpu, &mut recorder, &out), &reference::swiglu(&x, width), 1e-5, 1e-3);
        }
    });
}

#[test]
fn twin_by_hand() {
    let out = reference::swiglu(&[0.0, 1.0, 5.0, 2.0], 2);
    close("by hand", &out, &[0.0, 2.0 / (1.0 + (-1.0f32).exp())], 1e-6, 0.0);
}
