use foveal::reference;
use foveal::selfcheck::argmax;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin_with_ties_and_large_rows() {
    for count in [1, 5, 256, 257, 73_448] {
        check_on_each_gpu(|gpu| argmax::check(gpu, count));
    }
}

#[test]
fn all_negative() {
    assert_eq!(reference::argmax(&[-3.0, -1.0, -1.0, -2.0]), 1);
}
