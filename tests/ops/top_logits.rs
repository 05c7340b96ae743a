use foveal::reference;
use foveal::selfcheck::top_logits;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin_with_ties_tiny_and_large_rows() {
    for count in [1, 63, 64, 1024, 1025, 3072, 73_448] {
        check_on_each_gpu(|gpu| top_logits::check(gpu, count));
    }
}

#[test]
fn twin_by_hand() {
    let top = reference::top_logits(&[0.0, 3f32.ln(), 0.0]);
    assert_eq!(top.candidates.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 0, 2]);
    assert!((top.log_sum_exp - 5f32.ln()).abs() < 1e-6);
}
