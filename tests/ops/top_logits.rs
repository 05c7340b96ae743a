use foveal::gpu::Element;
use foveal::ops::TopLogits;
use foveal::ops::top_logits::{TopLogitsScratch, WORDS};
use foveal::reference;

use crate::harness::{Random, on_each_gpu, poisoned, recorder, upload_f32};

#[test]
fn matches_twin_with_ties_tiny_and_large_rows() {
    on_each_gpu(|gpu| {
        for count in [1, 63, 64, 1024, 1025, 3072, 73_448] {
            let mut random = Random::new(count as u64);
            // Rounded to eighths, so that equal logits are common; the best ones all in one slice.
            let mut logits: Vec<f32> = (0..count).map(|_| (random.normal() * 32.0).round() / 8.0).collect();
            for place in 0..count.min(100) {
                logits[place] += 20.0;
            }
            let out = poisoned(gpu, "out", &[WORDS], Element::U32);
            let mut recorder = recorder(gpu);
            let scratch = TopLogitsScratch::new(gpu, count).unwrap();
            let on_gpu = upload_f32(gpu, "logits", &[1, count], &logits);
            TopLogits::new(gpu).unwrap().record(gpu, &mut recorder, &on_gpu, &scratch, &out).unwrap();
            let got = TopLogits::parse(&recorder.read::<u32>(gpu, &out).unwrap(), count).unwrap();
            let expected = reference::top_logits(&logits);
            assert_eq!(got.candidates, expected.candidates, "{count}");
            assert!((got.log_sum_exp - expected.log_sum_exp).abs() < 1e-4, "{count}: {got:?}");
        }
    });
}

#[test]
fn twin_by_hand() {
    let top = reference::top_logits(&[0.0, 3f32.ln(), 0.0]);
    assert_eq!(top.candidates.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 0, 2]);
    assert!((top.log_sum_exp - 5f32.ln()).abs() < 1e-6);
}
