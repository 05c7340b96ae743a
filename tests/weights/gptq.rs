//! GPTQ folders, written by plain loops from the format's definition.

use foveal::weights::{Format, Kind};
use half::f16;
use serde_json::{Value, json};

use super::build::{Entry, Folder, f16_bytes, safetensors, u32_bytes};
use super::packed::noise;

const ROWS: usize = 40;
const COLS: usize = 256;

/// A matrix in GPTQ's terms: `w[out][in] = (q - zero) * scale`.
struct Written {
    bits: usize,
    group: usize,
    integers: Vec<u32>,
    zeros: Vec<u32>,
    scales: Vec<f32>,
}

impl Written {
    fn new(bits: usize, group: usize, symmetric: bool) -> Self {
        let levels = 1u32 << bits;
        let bits_of =
            |count, seed| noise(count, seed).into_iter().map(move |value| value.to_bits() >> 3 & (levels - 1));
        let groups = COLS / group * ROWS;
        let zeros = if symmetric { vec![levels / 2; groups] } else { bits_of(groups, 4).collect() };
        let scales = noise(groups, 5).iter().map(|value| f16::from_f32(*value).to_f32()).collect();
        Self { bits, group, integers: bits_of(ROWS * COLS, 3).collect(), zeros, scales }
    }

    /// `[in / P, out]`: the integers of neighbouring inputs share a word.
    fn qweight(&self) -> Vec<u32> {
        let factor = 32 / self.bits;
        let mut words = vec![0u32; COLS / factor * ROWS];
        for out in 0..ROWS {
            for input in 0..COLS {
                words[input / factor * ROWS + out] |= self.integers[out * COLS + input] << (input % factor * self.bits);
            }
        }
        words
    }

    /// `[in / group, out / P]`: the zero points of neighbouring outputs share a word, each `minus` less.
    fn qzeros(&self, minus: u32) -> Vec<u32> {
        let factor = 32 / self.bits;
        let mut words = vec![0u32; COLS / self.group * ROWS / factor];
        for (index, zero) in self.zeros.iter().enumerate() {
            let stored = zero.wrapping_sub(minus) & ((1 << self.bits) - 1);
            words[index / factor] |= stored << (index % factor * self.bits);
        }
        words
    }

    fn entries(&self, minus: u32) -> Vec<Entry<'static>> {
        let (factor, groups) = (32 / self.bits, COLS / self.group);
        vec![
            ("l.qweight", "I32", vec![COLS / factor, ROWS], u32_bytes(&self.qweight())),
            ("l.qzeros", "I32", vec![groups, ROWS / factor], u32_bytes(&self.qzeros(minus))),
            ("l.scales", "F16", vec![groups, ROWS], f16_bytes(&self.scales)),
            ("l.g_idx", "I32", vec![COLS], u32_bytes(&(0..COLS).map(|i| (i / self.group) as u32).collect::<Vec<_>>())),
            ("n.weight", "F16", vec![8], f16_bytes(&[0.25; 8])),
        ]
    }
}

fn folder(settings: Value, entries: &[Entry]) -> Folder {
    let folder = Folder::new(&json!({ "quantization_config": settings }));
    folder.write("model.safetensors", safetensors(entries));
    folder
}

#[test]
fn integers_stay_and_numbers_match_the_definition() {
    for (bits, group, symmetric, version) in [
        (4, 128, true, Some("gptq")),
        (4, 128, true, None),
        (4, 128, false, Some("gptq")),
        (4, 32, false, Some("gptq_v2")),
        (4, 64, true, Some("gptq_v2")),
        (8, 128, false, Some("gptq")),
    ] {
        let matrix = Written::new(bits, group, symmetric);
        let minus = u32::from(version != Some("gptq_v2"));
        let settings = json!({
            "quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric,
            "desc_act": false, "checkpoint_format": version,
        });
        let folder = folder(settings, &matrix.entries(minus));
        let checkpoint = folder.open();
        let format = Format::Affine { bits: bits as u32, group };
        assert_eq!(checkpoint.kind(), Kind::Gptq { bits: bits as u32, group });
        assert_eq!(checkpoint.names(), ["l.weight", "n.weight"]);
        assert!(checkpoint.contains("l.weight") && !checkpoint.contains("m.weight"));
        assert_eq!(checkpoint.shape("l.weight").unwrap(), (ROWS, COLS));
        assert_eq!(checkpoint.stored_format("l.weight"), Some(format));
        assert_eq!(checkpoint.vector("n.weight", 8).unwrap(), [0.25; 8]);
        // An odd part as well, for the offsets into words of zero points.
        for (first, end) in [(0, ROWS), (5, 22)] {
            let packed = checkpoint.rows("l.weight", first..end, None).unwrap();
            for row in first..end {
                let got = packed.row_f32(row - first);
                for (input, got) in got.into_iter().enumerate() {
                    let place = input / group * ROWS + row;
                    let (scale, zero) = (matrix.scales[place], matrix.zeros[place] as f32);
                    let expected = (matrix.integers[row * COLS + input] as f32 - zero) * scale;
                    // The bias -zero * scale is rounded to f16: half a unit in its last place, and none for powers of two.
                    let allowed = if symmetric { 0.0 } else { zero * scale.abs() * 2f32.powi(-11) + 2f32.powi(-25) };
                    let difference = (got - expected).abs();
                    assert!(difference <= allowed * 1.001, "{bits} bits, row {row}, input {input}: {got} {expected}");
                }
            }
        }
    }
}

#[test]
fn a_word_of_zero_points_that_are_all_zero_wraps() {
    let matrix = Written { zeros: vec![0; COLS / 128 * ROWS], ..Written::new(4, 128, true) };
    assert!(matrix.qzeros(1).iter().all(|word| *word == u32::MAX));
    let settings = json!({ "quant_method": "gptq", "bits": 4, "group_size": 128 });
    let packed = folder(settings, &matrix.entries(1)).open().rows("l.weight", 0..ROWS, None).unwrap();
    for row in 0..ROWS {
        for (input, got) in packed.row_f32(row).into_iter().enumerate() {
            let expected = matrix.integers[row * COLS + input] as f32 * matrix.scales[input / 128 * ROWS + row];
            assert_eq!(got, expected, "row {row}, input {input}");
        }
    }
}

#[test]
fn shuffled_groups_and_other_formats_are_refused() {
    let settings = |key: &str, value: Value| {
        let mut settings = json!({ "quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true });
        settings[key] = value;
        settings
    };
    let matrix = Written::new(4, 128, true);
    let refusal = |key: &str, value: Value| {
        let message = folder(settings(key, value), &matrix.entries(1)).refusal();
        assert!(message.contains(&format!("quantization_config.{key}")), "{message}");
        message
    };
    assert!(refusal("bits", json!(3)).contains("found 3"));
    assert!(refusal("group_size", json!(-1)).contains("found -1"));
    assert!(refusal("quant_method", json!("awq")).contains("awq"));
    assert!(refusal("checkpoint_format", json!("marlin")).contains("marlin"));

    // desc_act with groups in plain order is no different from without.
    let plain = folder(settings("sym", json!(true)), &matrix.entries(1));
    assert!(plain.open().rows("l.weight", 0..1, None).is_ok());
    let mut entries = matrix.entries(1);
    let mut order: Vec<u32> = (0..COLS as u32).map(|i| i / 128).collect();
    order.swap(3, 200);
    entries[3].3 = u32_bytes(&order);
    let shuffled = folder(settings("sym", json!(true)), &entries);
    let message = shuffled.open().rows("l.weight", 0..1, None).unwrap_err().to_string();
    assert!(message.contains("l.g_idx") && message.contains("input 3") && message.contains("desc_act"), "{message}");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let matrix = Written::new(4, 128, true);
    let settings = json!({ "quant_method": "gptq", "bits": 4, "group_size": 128 });
    let refusal = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = matrix.entries(1);
        change(&mut entries);
        folder(settings.clone(), &entries).open().rows("l.weight", 0..1, None).unwrap_err().to_string()
    };
    assert!(refusal(&|entries| drop(entries.remove(1))).contains("l.qzeros"));
    assert!(refusal(&|entries| drop(entries.remove(2))).contains("l.scales"));
    assert!(refusal(&|entries| entries[1].2 = vec![10, 1]).contains("l.qzeros"));
    assert!(refusal(&|entries| entries[2].2 = vec![ROWS, 2]).contains("l.scales"));
    assert!(refusal(&|entries| entries[0].2 = vec![COLS / 8 * ROWS]).contains("l.qweight"));
    assert!(refusal(&|entries| entries[0].1 = "F32").contains("l.qweight"));
    assert!(refusal(&|entries| entries[3].2 = vec![2, COLS / 2]).contains("l.g_idx"));
    let infinite = |entries: &mut Vec<Entry>| entries[2].3 = f16_bytes(&vec![f32::INFINITY; 2 * ROWS]);
    assert!(refusal(&infinite).contains("inf"));
}
