use foveal::ops::RowLayout;
use foveal::reference;
use foveal::selfcheck::quantize_row::{self, pack, unpack};

use crate::harness::check_on_each_gpu;

const LAYOUTS: [RowLayout; 2] = [RowLayout { chunk: 32, split: true }, RowLayout { chunk: 16, split: false }];

#[test]
fn matches_twin() {
    for layout in LAYOUTS {
        for cols in [32, 96, 4096] {
            check_on_each_gpu(|gpu| quantize_row::check(gpu, cols, layout));
        }
    }
}

#[test]
fn twin_by_hand() {
    let row = reference::quantize_row(&[0.0, 254.0, -2.0, 3.1, 0.0, 0.0, 0.0, 0.0], 4);
    assert_eq!(row.integers, [0, 127, -1, 2, 0, 0, 0, 0]);
    assert_eq!(row.steps, [2.0, 0.0]);
    assert_eq!(row.values()[..4], [0.0, 254.0, -2.0, 4.0]);
}

#[test]
fn packing_and_back() {
    let integers: Vec<i8> = (0..64).map(|i| (i * 37 % 255 - 127) as i8).collect();
    for layout in LAYOUTS {
        assert_eq!(unpack(&pack(&integers, layout), layout), integers);
    }
    // The low nibbles of a word of 4-bit weights are columns 0, 2, 4, 6.
    assert_eq!(pack(&[1, 2, 3, 4, 5, 6, 7, 8], LAYOUTS[0]), [0x0705_0301, 0x0806_0402]);
}
