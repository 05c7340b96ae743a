use foveal::ops::MatvecForm;
use foveal::ops::matvec::WideForm;
use foveal::reference;
use foveal::selfcheck::matvec;
use foveal::weights::{Format, PackedMatrix};

use super::formats;
use crate::harness::{check_on_each_gpu, close};

const fn wide(integers: bool, group_size: u32, lanes: u32, rows: u32, unroll: u32) -> MatvecForm {
    MatvecForm::Wide(WideForm { integers, group_size, lanes, rows, unroll })
}

#[test]
fn matches_twin() {
    let forms = [
        MatvecForm::Narrow,
        wide(false, 64, 32, 2, 1),
        wide(true, 128, 32, 1, 2),
        wide(true, 64, 64, 2, 4),
        wide(true, 256, 32, 4, 1),
        // What `for_device` chooses: integers, floats on a card, floats on a processor.
        wide(true, 64, 32, 1, 2),
        wide(false, 64, 32, 2, 2),
        wide(false, 64, 32, 4, 1),
    ];
    for (rows, cols, shard_rows) in [(1, 32, 100), (7, 96, 3), (130, 512, 1000), (33, 4096, 1000)] {
        for format in formats(cols) {
            for form in forms.into_iter().filter(|form| form.fits(format)) {
                check_on_each_gpu(|gpu| matvec::check(gpu, (rows, cols, shard_rows), format, form));
            }
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
