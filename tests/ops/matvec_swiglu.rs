use foveal::ops::RowLayout;
use foveal::selfcheck::matvec_swiglu;

use super::formats;
use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin() {
    for (inner, cols) in [(32, 32), (96, 96), (160, 512), (64, 4096), (32, 8192)] {
        for format in formats(cols).into_iter().filter(|format| RowLayout::of(*format).is_some()) {
            for out in RowLayout::ALL {
                check_on_each_gpu(|gpu| matvec_swiglu::check(gpu, (inner, cols), format, out));
            }
        }
    }
}
