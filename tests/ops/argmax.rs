use foveal::gpu::Element;
use foveal::ops::Argmax;
use foveal::reference;

use crate::harness::{Random, on_each_gpu, recorder, upload_f32};

#[test]
fn matches_twin_with_ties_and_large_rows() {
    on_each_gpu(|gpu| {
        for count in [1, 5, 256, 257, 73_448] {
            let mut random = Random::new(count as u64);
            let mut logits = random.halves(count, 4.0);
            for _ in 0..count.min(3) {
                let place = random.below(count);
                logits[place] = 100.0;
            }
            let out = gpu.tensor("out", &[1], Element::U32).unwrap();
            let mut recorder = recorder(gpu);
            let on_gpu = upload_f32(gpu, "logits", &[1, count], &logits);
            Argmax::new(gpu).unwrap().record(gpu, &mut recorder, &on_gpu, &out).unwrap();
            assert_eq!(recorder.read::<u32>(gpu, &out).unwrap(), [reference::argmax(&logits)], "{count}");
        }
    });
}

#[test]
fn all_negative() {
    assert_eq!(reference::argmax(&[-3.0, -1.0, -1.0, -2.0]), 1);
}
