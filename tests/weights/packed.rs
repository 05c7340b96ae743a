//! The packed layout against its definition, read by plain shifts that share nothing with the library.

use foveal::error::Error;
use foveal::weights::{Format, PackedMatrix};
use half::f16;

/// Deterministic numbers of a bell shape, as weights are.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 0.05).collect()
}

/// `w = scale * q + bias` from the stored words, one value at a time, straight from the layout's description.
pub(crate) fn by_definition(matrix: &PackedMatrix, row: usize, col: usize) -> f32 {
    let half = |word: u32, high: bool| f16::from_bits((if high { word >> 16 } else { word & 0xffff }) as u16).to_f32();
    match matrix.format {
        Format::F16 => half(matrix.quants[(row * matrix.cols + col) / 2], col % 2 == 1),
        Format::Affine { bits, group } => {
            let bits = bits as usize;
            let stride = matrix.cols * bits / 32;
            let quant = matrix.quants[row * stride + col * bits / 32] >> (col * bits % 32) & ((1 << bits) - 1);
            let scale = matrix.scales[row * (matrix.cols / group) + col / group];
            half(scale, false) * quant as f32 + half(scale, true)
        }
    }
}

fn formats() -> Vec<Format> {
    let mut formats = vec![Format::F16];
    for bits in [4, 8] {
        formats.extend([16, 32, 64, 128].map(|group| Format::Affine { bits, group }));
    }
    formats
}

#[test]
fn rows_read_back_as_the_layout_says() {
    let (rows, cols) = (5, 256);
    let values = noise(rows * cols, 1);
    for format in formats() {
        let matrix = PackedMatrix::quantize("w", rows, cols, &values, format).unwrap();
        assert_eq!(matrix.bytes(), format.bytes(rows, cols).unwrap());
        for row in 0..rows {
            let expected: Vec<f32> = (0..cols).map(|col| by_definition(&matrix, row, col)).collect();
            assert_eq!(matrix.row_f32(row), expected, "{format} row {row}");
        }
    }
    assert_eq!(Format::Affine { bits: 4, group: 32 }.to_string(), "q4/32");
    assert_eq!(Format::F16.to_string(), "f16");
}

#[test]
fn no_integer_could_be_nearer() {
    let (rows, cols) = (16, 256);
    let values = noise(rows * cols, 2);
    for format in formats() {
        let Format::Affine { bits, group } = format else { continue };
        let matrix = PackedMatrix::quantize("w", rows, cols, &values, format).unwrap();
        for row in 0..rows {
            for (col, got) in matrix.row_f32(row).into_iter().enumerate() {
                let word = matrix.scales[row * (cols / group) + col / group];
                let (scale, bias) =
                    (f16::from_bits(word as u16).to_f32(), f16::from_bits((word >> 16) as u16).to_f32());
                let value = values[row * cols + col];
                let nearest = (0..1 << bits)
                    .map(|quant: u32| (scale * quant as f32 + bias - value).abs())
                    .fold(f32::INFINITY, f32::min);
                assert!((got - value).abs() <= nearest * (1.0 + 1e-4) + 1e-7, "{format} row {row} col {col}");
            }
        }
    }
}

/// Root mean square error relative to the values' own, against min-max rounding with unrounded f32 scales.
#[test]
fn four_bits_beat_plain_rounding() {
    let (rows, cols) = (64, 512);
    let values = noise(rows * cols, 3);
    let error = |format| {
        let matrix = PackedMatrix::quantize("w", rows, cols, &values, format).unwrap();
        let got: Vec<f32> = (0..rows).flat_map(|row| matrix.row_f32(row)).collect();
        let (difference, total) = got
            .iter()
            .zip(&values)
            .fold((0.0f64, 0.0f64), |(d, t), (g, v)| (d + f64::from(g - v).powi(2), t + f64::from(*v).powi(2)));
        (difference / total).sqrt()
    };
    let plain = {
        let mut sums = (0.0f64, 0.0f64);
        for group in values.chunks(32) {
            let low = group.iter().copied().fold(f32::INFINITY, f32::min);
            let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let step = (high - low) / 15.0;
            for value in group {
                let got = ((value - low) / step).round() * step + low;
                sums = (sums.0 + f64::from(got - value).powi(2), sums.1 + f64::from(*value).powi(2));
            }
        }
        (sums.0 / sums.1).sqrt()
    };
    let q4 = error(Format::Affine { bits: 4, group: 32 });
    assert!(q4 < 0.95 * plain, "fitted {q4}, plain {plain}");
    assert!(error(Format::Affine { bits: 8, group: 64 }) < 0.01);
    assert!(error(Format::F16) < 4e-4);
}

#[test]
fn constant_tiny_and_huge_groups_stay_finite() {
    let cols = 128;
    let rows: Vec<Vec<f32>> = vec![
        vec![0.0; cols],
        vec![-0.37; cols],
        (0..cols).map(|i| i as f32 * 1e-12).collect(),
        (0..cols).map(|i| 3.0 + i as f32 * 1e-9).collect(),
        (0..cols).map(|i| if i % 2 == 0 { 65504.0 } else { -65504.0 }).collect(),
        (0..cols).map(|i| f32::from_bits(i as u32)).collect(),
    ];
    for format in formats() {
        for (index, row) in rows.iter().enumerate() {
            let got = PackedMatrix::quantize("w", 1, cols, row, format).unwrap().row_f32(0);
            for (got, value) in got.iter().zip(row) {
                // Half a step of f16 for the constant, and up to one more for the scale times the largest integer.
                let allowed = value.abs() * 1e-3 + 1e-7;
                assert!((got - value).abs() <= allowed, "{format}, case {index}: {got} for {value}");
            }
        }
    }
}

#[test]
fn what_f16_cannot_hold_is_named() {
    for value in [65520.0, -1e30, f32::INFINITY, f32::NAN] {
        for format in formats() {
            let mut values = vec![0.5; 128];
            values[77] = value;
            let error = PackedMatrix::quantize("model.norm.weight", 1, 128, &values, format).unwrap_err().to_string();
            assert!(error.contains("model.norm.weight") && error.contains(&format!("{value}")), "{error}");
        }
    }
}

#[test]
fn shapes_that_do_not_fit_the_layout_are_refused() {
    let refused = |cols, format| match PackedMatrix::quantize("w", 2, cols, &vec![0.0; 2 * cols], format) {
        Err(Error::Tensor { name, advice, .. }) => name == "w" && !advice.is_empty(),
        _ => false,
    };
    let affine = |bits, group| Format::Affine { bits, group };
    assert!(refused(12, Format::F16));
    assert!(refused(0, Format::F16));
    assert!(refused(48, affine(4, 16)));
    assert!(refused(96, affine(8, 64)));
    assert!(refused(24, affine(8, 16)));
    assert!(refused(256, affine(3, 32)));
    assert!(refused(256, affine(4, 256)));
    assert!(!refused(96, affine(4, 32)));
    assert!(!refused(48, affine(8, 16)));
    assert!(PackedMatrix::quantize("w", 2, 64, &[0.0; 64], Format::F16).is_err());
}
