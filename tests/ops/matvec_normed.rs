use foveal::ops::RowLayout;
use foveal::reference;
use foveal::selfcheck::matvec_normed;

use super::formats;
use crate::harness::{check_on_each_gpu, close};

#[test]
fn matches_twin() {
    for (rows, cols, shard_rows) in [(1, 32, 100), (7, 96, 3), (130, 512, 64), (65, 4096, 1000), (40, 8192, 1000)] {
        for format in formats(cols).into_iter().filter(|format| RowLayout::of(*format).is_some()) {
            check_on_each_gpu(|gpu| matvec_normed::check(gpu, (rows, cols, shard_rows), format));
        }
    }
}

#[test]
fn factor_by_hand() {
    close("factor", &[reference::norm_factor(12.0, 4, 1.0)], &[0.5], 0.0, 1e-6);
}
