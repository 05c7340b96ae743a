use foveal::ops::{QuantizeRow, RowLayout};
use foveal::reference;
use foveal::selfcheck::quantize_row::{self, pack, poisoned_row, unpack};
use foveal::selfcheck::{read_f32, recorder, upload_f16};

use crate::harness::{check_on_each_gpu, gpu_variants};

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

#[test]
fn what_is_no_number_spoils_the_step_of_its_chunk() {
    let layout = LAYOUTS[0];
    let mut x = vec![1.0; 128];
    (x[5], x[70]) = (f32::NAN, f32::NEG_INFINITY);
    let expected = [false, true, false, true];
    let twin = reference::quantize_row(&x, layout.chunk);
    assert_eq!(twin.steps.iter().map(|step| step.is_finite()).collect::<Vec<_>>(), expected);
    for (_, gpu) in gpu_variants() {
        let row = poisoned_row(gpu, x.len(), layout).unwrap();
        let mut recorder = recorder(gpu).unwrap();
        let input = upload_f16(gpu, "x", &[1, x.len()], &x).unwrap();
        let op = QuantizeRow::new(gpu, layout).unwrap();
        op.record(gpu, &mut recorder, (&input, &row), x.len()).unwrap();
        let pairs = read_f32(gpu, &mut recorder, &row.steps).unwrap();
        let steps = pairs.chunks_exact(2).take(expected.len()).map(|pair| pair[0].is_finite());
        assert_eq!(steps.collect::<Vec<_>>(), expected);
    }
}
