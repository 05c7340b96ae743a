use foveal::reference;
use foveal::selfcheck::matvec;
use foveal::weights::{Format, PackedMatrix};

use super::formats;
use crate::harness::{check_on_each_gpu, close};

#[test]
fn matches_twin() {
    for (rows, cols, shard_rows) in [(1, 32, 100), (7, 96, 3), (130, 512, 1000), (33, 4096, 1000)] {
        for format in formats(cols) {
            check_on_each_gpu(|gpu| matvec::check(gpu, (rows, cols, shard_rows), format));
        }
    }
}

#[test]
fn twin_by_hand() {
    let matrix = PackedMatrix::quantize(
        "w",
        2,
        8,
        &[1., 2., 3., 4., 5., 6., 7., 8., 0., 0., 0., 0., 0., 0., 0., 2.],
        Format::F16,
    );
    let out = reference::matvec(&[1., 1., 1., 1., 1., 1., 1., 0.5], &matrix.unwrap());
    close("by hand", &out, &[32.0, 1.0], 0.0, 0.0);
}
