use foveal::reference;
use foveal::selfcheck::log_probs;

use crate::harness::{check_on_each_gpu, close};

#[test]
fn matches_twin() {
    for (rows, vocab, first) in [(1, 3, 0), (5, 257, 2), (3, 73_448, 0)] {
        check_on_each_gpu(|gpu| log_probs::check(gpu, (rows, vocab), first));
    }
}

#[test]
fn twin_by_hand() {
    let out = reference::log_probs(&[0.0, 3f32.ln(), 1.0, 1.0], 2, &[1, 0]);
    close("by hand", &out, &[0.75f32.ln(), 0.5f32.ln()], 1e-6, 0.0);
}
