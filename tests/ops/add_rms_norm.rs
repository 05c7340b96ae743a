use foveal::ops::RowLayout;
use foveal::selfcheck::add_rms_norm;

use crate::harness::check_on_each_gpu;

#[test]
fn matches_twin() {
    for (tokens, width, first_row) in [(1, 8, 0), (3, 64, 2), (7, 520, 0), (5, 4096, 1)] {
        check_on_each_gpu(|gpu| add_rms_norm::check(gpu, (tokens, width), first_row, None));
    }
}

#[test]
fn integers_match_those_of_the_floats() {
    for (width, first_row) in [(32, 0), (96, 2), (2080, 0), (4096, 1)] {
        for layout in RowLayout::ALL {
            check_on_each_gpu(|gpu| add_rms_norm::check(gpu, (1, width), first_row, Some(layout)));
        }
    }
}
