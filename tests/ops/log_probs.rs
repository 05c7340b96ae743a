use foveal::gpu::Element;
use foveal::ops::LogProbs;
use foveal::reference;

use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_f32};

#[test]
fn matches_twin() {
    on_each_gpu(|gpu| {
        for (rows, vocab, first) in [(1, 3, 0), (5, 257, 2), (3, 73_448, 0)] {
            let mut random = Random::new(vocab as u64);
            let logits = random.halves(rows * vocab, 5.0);
            let targets: Vec<u32> = (0..first + rows).map(|_| random.below(vocab) as u32).collect();
            let out = poisoned(gpu, "out", &[first + rows, 1], Element::F32);
            let mut recorder = recorder(gpu);
            let on_gpu = upload_f32(gpu, "logits", &[rows, vocab], &logits);
            let wanted = gpu.upload("targets", &[first + rows, 1], Element::U32, &targets).unwrap();
            let op = LogProbs::new(gpu).unwrap();
            op.record(gpu, &mut recorder, (&on_gpu, &wanted, &out), first, rows).unwrap();
            let expected = reference::log_probs(&logits, vocab, &targets[first..]);
            close("log_probs", &read_f32(gpu, &mut recorder, &out)[first..], &expected, 1e-4, 1e-5);
        }
    });
}

#[test]
fn twin_by_hand() {
    let out = reference::log_probs(&[0.0, 3f32.ln(), 1.0, 1.0], 2, &[1, 0]);
    close("by hand", &out, &[0.75f32.ln(), 0.5f32.ln()], 1e-6, 0.0);
}
