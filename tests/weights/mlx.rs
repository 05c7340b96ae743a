//! MLX folders, written by plain loops from the format's definition.

use foveal::weights::{Checkpoint, Format, Kind};
use half::f16;
use serde_json::{Value, json};

use super::build::{Folder, bf16_bytes, data, expected, f16_bytes, f32_bytes, safetensors, u32_bytes};
use super::packed::noise;

/// A matrix in MLX's terms: any integers, any scales; and the numbers that they stand for.
struct Written {
    words: Vec<u32>,
    scales: Vec<f32>,
    biases: Vec<f32>,
    numbers: Vec<f32>,
}

/// `pack_factor = 32 / bits` integers in a word, the first in the lowest bits; `w = scale * q + bias`.
fn write(rows: usize, cols: usize, bits: usize, group: usize, seed: u64) -> Written {
    let integers: Vec<u32> =
        noise(rows * cols, seed).iter().map(|value| value.to_bits() >> 3 & ((1 << bits) - 1)).collect();
    let halves = |seed| noise(rows * cols / group, seed).iter().map(|value| f16::from_f32(*value).to_f32()).collect();
    let (scales, biases): (Vec<f32>, Vec<f32>) = (halves(seed + 1), halves(seed + 2));
    let factor = 32 / bits;
    let mut words = vec![0; rows * cols / factor];
    for (index, integer) in integers.iter().enumerate() {
        words[index / factor] += integer * 2u32.pow((index % factor * bits) as u32);
    }
    let number = |index: usize| scales[index / group] * integers[index] as f32 + biases[index / group];
    let numbers = (0..rows * cols).map(number).collect();
    Written { words, scales, biases, numbers }
}

#[test]
fn every_width_and_group_is_read_bit_for_bit() {
    for bits in [4, 8] {
        for group in [16, 32, 64, 128] {
            let (rows, cols) = (7, 256);
            let matrix = write(rows, cols, bits, group, 10 + group as u64);
            let folder =
                Folder::new(&json!({ "quantization": { "bits": bits, "group_size": group, "mode": "affine" } }));
            let groups = vec![rows, cols / group];
            folder.write(
                "model.safetensors",
                safetensors(&[
                    ("l.weight", "U32", vec![rows, cols * bits / 32], u32_bytes(&matrix.words)),
                    ("l.scales", "F16", groups.clone(), f16_bytes(&matrix.scales)),
                    ("l.biases", "F16", groups, f16_bytes(&matrix.biases)),
                    ("n.weight", "F32", vec![16], f32_bytes(&[1.5; 16])),
                ]),
            );
            let checkpoint = folder.open();
            let format = Format::Affine { bits: bits as u32, group };
            assert_eq!(checkpoint.kind(), Kind::Mlx { bits: bits as u32, group });
            assert_eq!(checkpoint.names(), ["l.weight", "n.weight"]);
            assert_eq!(checkpoint.shape("l.weight").unwrap(), (rows, cols));
            assert_eq!(checkpoint.stored_format("l.weight"), Some(format));
            assert_eq!(checkpoint.parameters(), (rows * cols + 16) as u64);
            assert_eq!(checkpoint.vector("n.weight", 16).unwrap(), [1.5; 16]);
            let packed = checkpoint.rows("l.weight", 0..rows, None).unwrap();
            assert_eq!(packed.quants, matrix.words, "the integers stay as they are");
            for row in 0..rows {
                assert_eq!(packed.row_f32(row), matrix.numbers[row * cols..][..cols], "{format} row {row}");
            }
            let part = checkpoint.rows("l.weight", 3..5, Some(Format::F16)).unwrap();
            assert_eq!((part.format, part.row_f32(1)), (format, packed.row_f32(4)));
        }
    }
}

#[test]
fn what_mlx_itself_wrote_is_read_bit_for_bit() {
    let checkpoint = Checkpoint::open(&data("mlx")).unwrap();
    for bits in [4, 8] {
        for group in [32, 64, 128] {
            let (module, name) = (format!("q{bits}_{group}"), format!("q{bits}_{group}.weight"));
            assert_eq!(checkpoint.stored_format(&name), Some(Format::Affine { bits, group }));
            let packed = checkpoint.rows(&name, 0..4, None).unwrap();
            let got: Vec<f32> = (0..4).flat_map(|row| packed.row_f32(row)).collect();
            assert_eq!(got, expected("mlx_expected.safetensors", &module), "{module}");
        }
    }
}

fn two_matrices(quantization: Value) -> Folder {
    let folder = Folder::new(&json!({ "quantization": quantization, "quantization_config": quantization }));
    let (a, b) = (write(4, 128, 4, 64, 1), write(4, 128, 8, 32, 2));
    folder.write(
        "model.safetensors",
        safetensors(&[
            ("a.weight", "U32", vec![4, 16], u32_bytes(&a.words)),
            ("a.scales", "BF16", vec![4, 2], bf16_bytes(&a.scales)),
            ("a.biases", "BF16", vec![4, 2], bf16_bytes(&a.biases)),
            ("b.weight", "U32", vec![4, 32], u32_bytes(&b.words)),
            ("b.scales", "F32", vec![4, 4], f32_bytes(&b.scales)),
            ("b.biases", "F32", vec![4, 4], f32_bytes(&b.biases)),
        ]),
    );
    folder
}

#[test]
fn a_module_may_have_its_own_width() {
    let folder = two_matrices(json!({ "bits": 4, "group_size": 64, "b": { "bits": 8, "group_size": 32 }, "c": false }));
    let checkpoint = folder.open();
    assert_eq!(checkpoint.stored_format("a.weight"), Some(Format::Affine { bits: 4, group: 64 }));
    assert_eq!(checkpoint.stored_format("b.weight"), Some(Format::Affine { bits: 8, group: 32 }));
    let expected = write(4, 128, 8, 32, 2).numbers;
    assert_eq!(checkpoint.rows("b.weight", 3..4, None).unwrap().row_f32(0), expected[3 * 128..]);
    // bf16 scales: eight bits of precision, which f16 holds.
    let a = write(4, 128, 4, 64, 1);
    let rounded = |value: f32| half::bf16::from_f32(value).to_f32();
    let number = rounded(a.scales[0]) * (a.words[0] & 15) as f32 + rounded(a.biases[0]);
    assert_eq!(checkpoint.rows("a.weight", 0..1, None).unwrap().row_f32(0)[0], number);
}

#[test]
fn what_does_not_fit_is_refused() {
    let open = |quantization: Value| two_matrices(quantization).refusal();
    assert!(open(json!({ "bits": 3, "group_size": 64 })).contains("quantization.bits"));
    assert!(open(json!({ "bits": 4, "group_size": 48 })).contains("quantization.group_size"));
    assert!(open(json!({ "bits": 4 })).contains("nothing"));
    assert!(open(json!({ "bits": 4, "group_size": 32, "mode": "mxfp4" })).contains("mxfp4"));
    // Without its own settings, b has the wrong number of scales.
    let folder = two_matrices(json!({ "bits": 4, "group_size": 32 }));
    let message = folder.open().rows("b.weight", 0..1, None).unwrap_err().to_string();
    assert!(message.contains("b.scales") && message.contains("[4, 4]"), "{message}");
    let folder = two_matrices(json!({ "bits": 4, "group_size": 64, "b": { "bits": 5 } }));
    let message = folder.open().shape("b.weight").unwrap_err().to_string();
    assert!(message.contains("quantization.b.bits"), "{message}");

    let folder = Folder::new(&json!({ "quantization": { "bits": 4, "group_size": 64 } }));
    let a = write(4, 128, 4, 64, 1);
    folder.write(
        "model.safetensors",
        safetensors(&[
            ("a.weight", "U32", vec![4, 16], u32_bytes(&a.words)),
            ("a.scales", "F16", vec![4, 2], f16_bytes(&a.scales)),
            ("b.weight", "F16", vec![4, 16], f16_bytes(&[0.0; 64])),
            ("b.scales", "F16", vec![4, 2], f16_bytes(&a.scales)),
            ("c.weight", "U32", vec![4, 16], u32_bytes(&a.words)),
            ("c.scales", "F32", vec![4, 2], f32_bytes(&[1e6; 8])),
            ("c.biases", "F32", vec![4, 2], f32_bytes(&[0.0; 8])),
        ]),
    );
    let checkpoint = folder.open();
    assert!(checkpoint.rows("a.weight", 0..1, None).unwrap_err().to_string().contains("a.biases"));
    assert!(checkpoint.rows("b.weight", 0..1, None).unwrap_err().to_string().contains("U32"));
    assert!(checkpoint.rows("c.weight", 0..1, None).unwrap_err().to_string().contains("1000000"));
}
