use foveal::selfcheck::copy;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin() {
    for count in [1, 4, 4095, 4096, 70_001] {
        check_on_each_gpu(|gpu| copy::check(gpu, count));
    }
}
