//! GPTQ folders: safetensors as AutoGPTQ and GPTQModel write them (<https://github.com/ModelCloud/GPTQModel>).
//!
//! Per matrix `X`, with `P = 32 / bits` values in a word, low bits first:
//! * `X.qweight` i32 `[in / P, out]`: word `[k, r]` holds inputs `P k .. P k + P` of output `r`;
//! * `X.qzeros` i32 `[in / group, out / P]`: zero points, packed along the outputs;
//! * `X.scales` `[in / group, out]`;
//! * `X.g_idx` i32 `[in]`: the group of each input.
//!
//! `w = (q - zero) * scale`. Checkpoint format `gptq` stores `zero - 1` (wrapping within its bits, as AutoGPTQ's own reader
//! has it), `gptq_v2` the zero itself. A word of `qweight` is a word of the packed layout, so the integers stay; the bias is
//! `-zero * scale` rounded to f16, which is exact for the zero point 8 of symmetric checkpoints.

use std::ops::Range;

use half::f16;
use safetensors::Dtype;
use serde_json::Value;

use super::floats::{FloatMatrix, out_of_range};
use super::packed::{Format, PackedMatrix, join_scale};
use super::safetensors::{SafetensorsFolder, missing_tensor};
use crate::error::{Error, Result};

/// What `quantization_config` says for all matrices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GptqSettings {
    pub(crate) bits: u32,
    pub(crate) group: usize,
    /// Whether zero points are stored minus one.
    zeros_minus_one: bool,
}

impl GptqSettings {
    /// Checks everything that decides how the tensors are to be read.
    pub(crate) fn read(config: &Value) -> Result<Self> {
        let field = |key: &str| config.get(key).filter(|value| !value.is_null());
        let refuse = |key: &str, expected: &str, advice: &str| {
            Err(Error::Config {
                field: format!("quantization_config.{key}"),
                expected: expected.into(),
                found: field(key).map_or("nothing".into(), Value::to_string),
                advice: advice.into(),
            })
        };
        let other = "Use the model's GGUF, MLX or 16-bit files instead";
        if field("quant_method").is_some_and(|method| method != "gptq") {
            return refuse("quant_method", "\"gptq\"", other);
        }
        let bits = match field("bits").and_then(Value::as_u64) {
            Some(bits @ (4 | 8)) => bits as u32,
            _ => return refuse("bits", "4 or 8", other),
        };
        let group = match field("group_size").and_then(Value::as_u64) {
            Some(group @ (32 | 64 | 128)) => group as usize,
            _ => return refuse("group_size", "32, 64 or 128", other),
        };
        // Older files name the format only when it is not the first one.
        let zeros_minus_one = match field("checkpoint_format").map(|format| format.as_str().unwrap_or_default()) {
            None | Some("gptq") => true,
            Some("gptq_v2") => false,
            Some(_) => return refuse("checkpoint_format", "\"gptq\" or \"gptq_v2\"", other),
        };
        Ok(Self { bits, group, zeros_minus_one })
    }
}

/// A matrix in its tensors.
pub(crate) struct GptqMatrix<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) format: Format,
    settings: GptqSettings,
    quants: &'a [u8],
    zeros: &'a [u8],
    scales: FloatMatrix<'a>,
}

impl<'a> GptqMatrix<'a> {
    /// The matrix `name`, if the folder has it in quantised form.
    pub(crate) fn find(folder: &'a SafetensorsFolder, settings: GptqSettings, name: &str) -> Result<Option<Self>> {
        let Some(module) = name.strip_suffix(".weight") else { return Ok(None) };
        if folder.tensor(&format!("{module}.qweight")).is_none() {
            return Ok(None);
        }
        let integers = |part: &str| {
            let name = format!("{module}.{part}");
            let tensor = folder.tensor(&name).ok_or_else(|| missing_tensor(&name))?;
            match (tensor.dtype, tensor.shape) {
                (Dtype::I32 | Dtype::U32, &[rows, cols]) if rows > 0 && cols > 0 => Ok((rows, cols, tensor.bytes)),
                (dtype, shape) => Err(damaged(&name, "I32 in two dimensions".into(), format!("{dtype:?} {shape:?}"))),
            }
        };
        let per_word = 32 / settings.bits as usize;
        let format = Format::Affine { bits: settings.bits, group: settings.group };
        let (packed, rows, quants) = integers("qweight")?;
        let cols = packed.checked_mul(per_word).ok_or_else(|| missing_tensor(name))?;
        format.check(name, cols)?;
        let groups = cols / settings.group;
        let (zero_rows, zero_cols, zeros) = integers("qzeros")?;
        if (zero_rows, zero_cols) != (groups, rows.div_ceil(per_word)) {
            let expected = format!("[{groups}, {}] for groups of {}", rows.div_ceil(per_word), settings.group);
            return Err(damaged(&format!("{module}.qzeros"), expected, format!("[{zero_rows}, {zero_cols}]")));
        }
        let scales_name = format!("{module}.scales");
        let scales = folder.floats(&scales_name)?;
        if (scales.rows, scales.cols) != (groups, rows) {
            let found = format!("[{}, {}]", scales.rows, scales.cols);
            return Err(damaged(&scales_name, format!("[{groups}, {rows}]"), found));
        }
        check_group_order(folder, &format!("{module}.g_idx"), cols, settings.group)?;
        Ok(Some(Self { rows, cols, format, settings, quants, zeros, scales }))
    }

    /// Some rows in the packed layout.
    pub(crate) fn pack(&self, name: &str, rows: Range<usize>) -> Result<PackedMatrix> {
        let (words, groups) = (self.format.words_per_row(self.cols), self.format.groups_per_row(self.cols));
        let bits = self.settings.bits as usize;
        let (per_word, mask) = (32 / bits, (1u32 << bits) - 1);
        PackedMatrix::build(name, rows.len(), self.cols, self.format, |tile, quants, scales| {
            // The file's rows are our columns: each of its rows gives one word to every row of the tile.
            for column in 0..words {
                let start = 4 * (column * self.rows + rows.start + tile.start);
                let bytes = self.quants.get(start..start + 4 * tile.len()).unwrap_or_default();
                for (row, bytes) in bytes.as_chunks().0.iter().enumerate() {
                    quants[row * words + column] = u32::from_le_bytes(*bytes);
                }
            }
            let first = rows.start + tile.start;
            let mut numbers = vec![0.0; tile.len()];
            for group in 0..groups {
                self.scales.read_row(group, first, &mut numbers);
                for (index, &number) in numbers.iter().enumerate() {
                    let row = first + index;
                    let start = 4 * (group * self.rows.div_ceil(per_word) + row / per_word);
                    let word =
                        self.zeros.get(start..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
                    let stored = u32::from_le_bytes(word) >> (row % per_word * bits);
                    // Eight zero points of zero, stored minus one, are a word full of ones.
                    let zero = stored.wrapping_add(u32::from(self.settings.zeros_minus_one)) & mask;
                    let scale = f16::from_f32(number);
                    let bias = f16::from_f32(-(zero as f32) * scale.to_f32());
                    if !scale.is_finite() || !bias.is_finite() {
                        return Err(out_of_range(name, number));
                    }
                    scales[index * groups + group] = join_scale(scale, bias);
                }
            }
            Ok(())
        })
    }
}

/// With `g_idx` the groups may be shuffled over the inputs; only the plain order is one of contiguous groups.
fn check_group_order(folder: &SafetensorsFolder, name: &str, cols: usize, group: usize) -> Result<()> {
    let Some(tensor) = folder.tensor(name) else { return Ok(()) };
    if !matches!(tensor.dtype, Dtype::I32 | Dtype::U32) || tensor.shape != [cols] {
        return Err(damaged(name, format!("I32 [{cols}]"), format!("{:?} {:?}", tensor.dtype, tensor.shape)));
    }
    let words = tensor.bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    match words.enumerate().find(|(index, word)| *word as usize != index / group) {
        None => Ok(()),
        Some((index, word)) => Err(Error::Tensor {
            name: name.into(),
            expected: format!("groups of {group} neighbours, so {} for input {index}", index / group),
            found: format!("{word}"),
            advice: "This checkpoint orders its groups by activation (desc_act with shuffled g_idx), which is not supported: \
                     use one quantised with desc_act false, or the model's GGUF or MLX files"
                .into(),
        }),
    }
}

/// A tensor that does not fit the others.
fn damaged(name: &str, expected: String, found: String) -> Error {
    Error::Tensor {
        name: name.into(),
        expected,
        found,
        advice: "The folder is damaged, or quantization_config does not belong to it".into(),
    }
}
