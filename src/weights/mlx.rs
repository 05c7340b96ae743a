//! MLX folders: safetensors whose matrices are grouped affine integers (<https://github.com/ml-explore/mlx>).
//!
//! Per matrix `X`: `X.weight` u32 `[out, in * bits / 32]`, low bits first along the inputs; `X.scales` and `X.biases`
//! `[out, in / group_size]` in f16, bf16 or f32, with `w = scale * q + bias`. This is the packed layout but for the two
//! separate tensors, so the integers are copied as they are; scales are rounded to f16.
//!
//! config.json has `quantization: { bits, group_size }`, where a module's own name may stand with other values.

use std::ops::Range;

use safetensors::Dtype;
use serde_json::Value;

use super::floats::{FloatMatrix, round_to_f16};
use super::packed::{Format, PackedMatrix, join_scale};
use super::safetensors::SafetensorsFolder;
use crate::error::{Error, Result};

/// A matrix in three tensors.
pub(crate) struct MlxMatrix<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) format: Format,
    quants: &'a [u8],
    scales: FloatMatrix<'a>,
    biases: FloatMatrix<'a>,
}

/// Bits and group size that `quantization` gives for all, or for one module.
pub(crate) fn read_format(quantization: &Value, module: Option<&str>) -> Result<Format> {
    let settings = module.and_then(|module| quantization.get(module)).filter(|own| own.is_object());
    let field = |key: &str| settings.and_then(|own| own.get(key)).or_else(|| quantization.get(key));
    let refuse = |key: &str, expected: &str| Error::Config {
        field: match module.filter(|_| settings.is_some()) {
            Some(module) => format!("quantization.{module}.{key}"),
            None => format!("quantization.{key}"),
        },
        expected: expected.into(),
        found: field(key).map_or("nothing".into(), Value::to_string),
        advice: "Use an MLX checkpoint with such settings, or another format".into(),
    };
    if field("mode").is_some_and(|mode| mode != "affine") {
        return Err(refuse("mode", "\"affine\""));
    }
    let bits = field("bits").and_then(Value::as_u64).filter(|bits| matches!(bits, 4 | 8));
    let group = field("group_size").and_then(Value::as_u64).filter(|group| matches!(group, 16 | 32 | 64 | 128));
    match (bits, group) {
        (None, _) => Err(refuse("bits", "4 or 8")),
        (_, None) => Err(refuse("group_size", "32, 64 or 128 (or 16, which only foveal writes)")),
        (Some(bits), Some(group)) => Ok(Format::Affine { bits: bits as u32, group: group as usize }),
    }
}

impl<'a> MlxMatrix<'a> {
    /// The matrix `name`, if the folder has it in quantised form.
    pub(crate) fn find(folder: &'a SafetensorsFolder, quantization: &Value, name: &str) -> Result<Option<Self>> {
        let Some(module) = name.strip_suffix(".weight") else { return Ok(None) };
        let scales_name = format!("{module}.scales");
        let (Some(weight), Some(_)) = (folder.tensor(name), folder.tensor(&scales_name)) else { return Ok(None) };
        let format = read_format(quantization, Some(module))?;
        let wrong = |name: &str, expected: String, found: String| Error::Tensor {
            name: name.into(),
            expected,
            found,
            advice:
                "The folder is damaged, or its config.json does not tell the bits and group size it was written with"
                    .into(),
        };
        let (&[rows, words], Dtype::U32) = (weight.shape, weight.dtype) else {
            return Err(wrong(name, "U32 in two dimensions".into(), format!("{:?} {:?}", weight.dtype, weight.shape)));
        };
        let Some(cols) = words.checked_mul(32 / format.bits() as usize).filter(|cols| rows > 0 && *cols > 0) else {
            return Err(wrong(name, "at least one value".into(), format!("shape {:?}", weight.shape)));
        };
        format.check(name, cols)?;
        let part = |part_name: &str| {
            let part = folder.floats(part_name)?;
            if (part.rows, part.cols) != (rows, format.groups_per_row(cols)) {
                let expected = format!("[{rows}, {}] for {format} weights", format.groups_per_row(cols));
                return Err(wrong(part_name, expected, format!("[{}, {}]", part.rows, part.cols)));
            }
            Ok(part)
        };
        let scales = part(&scales_name)?;
        let biases = part(&format!("{module}.biases"))?;
        Ok(Some(Self { rows, cols, format, quants: weight.bytes, scales, biases }))
    }

    /// Some rows in the packed layout.
    pub(crate) fn pack(&self, name: &str, rows: Range<usize>) -> Result<PackedMatrix> {
        let (words, groups) = (self.format.words_per_row(self.cols), self.format.groups_per_row(self.cols));
        PackedMatrix::build(name, rows.len(), self.cols, self.format, |tile, quants, scales| {
            let start = 4 * words * (rows.start + tile.start);
            let bytes = self.quants.get(start..start + 4 * quants.len()).unwrap_or_default();
            for (word, bytes) in quants.iter_mut().zip(bytes.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            let mut numbers = vec![0.0; groups];
            let mut halves = [vec![half::f16::ZERO; groups], vec![half::f16::ZERO; groups]];
            for (row, joined) in tile.zip(scales.chunks_exact_mut(groups)) {
                for (matrix, halves) in [&self.scales, &self.biases].into_iter().zip(&mut halves) {
                    matrix.read_row(rows.start + row, 0, &mut numbers);
                    round_to_f16(name, &numbers, halves)?;
                }
                for ((joined, &scale), &bias) in joined.iter_mut().zip(&halves[0]).zip(&halves[1]) {
                    *joined = join_scale(scale, bias);
                }
            }
            Ok(())
        })
    }
}
