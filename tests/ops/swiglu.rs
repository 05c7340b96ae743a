use foveal::ops::RowLayout;
use foveal::reference;
use foveal::selfcheck::swiglu;

use crate::harness::{check_on_each_gpu, close};

#[test]
fn matches_twin() {
    for (tokens, width) in [(1, 8), (3, 56), (5, 520), (2, 16384)] {
        check_on_each_gpu(|gpu| swiglu::check(gpu, (tokens, width), None));
    }
}

#[test]
fn integers_match_those_of_the_floats() {
    for width in [32, 544, 4096] {
        for layout in RowLayout::ALL {
            check_on_each_gpu(|gpu| swiglu::check(gpu, (1, width), Some(layout)));
        }
    }
}

#[test]
fn twin_by_hand() {
    let out = reference::swiglu(&[0.0, 1.0, 5.0, 2.0], 2);
    close("by hand", &out, &[0.0, 2.0 / (1.0 + (-1.0f32).exp())], 1e-6, 0.0);
}
