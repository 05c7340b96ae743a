//! Floating-point elements of the files: f32, f16 and bf16, little-endian, read to f32 and rounded to f16.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::packed::{Format, PackedMatrix, pack_row};
use crate::error::{Error, Result};

/// A floating-point element type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    BF16,
}

impl Element {
    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Name in a safetensors header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    /// Reads `values.len()` elements from the start of `bytes`.
    pub(crate) fn read(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::F32 => {
                for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Self::BF16 => {
                for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            }
            Self::F16 => {
                // Whole slices at once use the processor's own conversion; the file's bytes may lie at odd addresses.
                let mut halves = [f16::ZERO; 256];
                for (values, bytes) in values.chunks_mut(256).zip(bytes.chunks(512)) {
                    for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks().0) {
                        *half = f16::from_le_bytes(*bytes);
                    }
                    halves[..values.len()].convert_to_f32_slice(values);
                }
            }
        }
    }
}

impl Element {
    /// The bytes of numbers that were read as this type.
    pub(crate) fn write(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
            Self::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        }
    }
}

/// Rounds to the nearest f16; a value that f16 cannot hold is an error.
pub(crate) fn round_to_f16(name: &str, values: &[f32], halves: &mut [f16]) -> Result<()> {
    check_f16_range(name, values)?;
    halves.convert_from_f32_slice(values);
    Ok(())
}

/// Every value must be finite and stay so when rounded to f16: numbers from 65520 on become infinite.
pub(crate) fn check_f16_range(name: &str, values: &[f32]) -> Result<()> {
    // What is not a number lies in no range either.
    match values.iter().position(|value| !(0.0..65520.0).contains(&value.abs())) {
        None => Ok(()),
        Some(index) => Err(out_of_range(name, values[index])),
    }
}

/// A weight that f16 cannot hold.
pub(crate) fn out_of_range(name: &str, value: f32) -> Error {
    Error::Tensor {
        name: name.into(),
        expected: "finite values of at most 65504, the range of f16".into(),
        found: format!("{value}"),
        advice: "The checkpoint is damaged, or was trained with weights that half precision cannot hold".into(),
    }
}

/// How rows of a matrix lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As the model counts them.
    Plain,
    /// Rows `i` and `i + head_dim / 2` of every head are neighbours, as GGUF files have them for the interleaved form of
    /// the rotary embedding.
    Interleaved {
        /// Rows of one head, an even number.
        head_dim: usize,
    },
}

impl RowOrder {
    /// The row of the file that holds the model's row.
    pub(crate) fn in_file(self, row: usize) -> usize {
        match self {
            Self::Plain => row,
            Self::Interleaved { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                let (half, pair) = (within / (head_dim / 2), within % (head_dim / 2));
                head * head_dim + 2 * pair + half
            }
        }
    }
}

/// A matrix of floating-point numbers in a file.
pub(crate) struct FloatMatrix<'a> {
    pub(crate) element: Element,
    /// `rows * cols` elements.
    pub(crate) bytes: &'a [u8],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) order: RowOrder,
}

impl FloatMatrix<'_> {
    /// The numbers of one row, from `first` on, as many as `values` takes.
    pub(crate) fn read_row(&self, row: usize, first: usize, values: &mut [f32]) {
        let start = (self.order.in_file(row) * self.cols + first) * self.element.size();
        self.element.read(self.bytes.get(start..).unwrap_or_default(), values);
    }

    /// Some rows in the packed layout.
    pub(crate) fn pack(&self, name: &str, rows: Range<usize>, format: Format) -> Result<PackedMatrix> {
        let (words, groups) = (format.words_per_row(self.cols), format.groups_per_row(self.cols));
        PackedMatrix::build(name, rows.len(), self.cols, format, |tile, quants, scales| {
            let mut values = vec![0.0; self.cols];
            for (index, row) in tile.enumerate() {
                self.read_row(rows.start + row, 0, &mut values);
                let quants = &mut quants[index * words..(index + 1) * words];
                pack_row(name, &values, format, quants, &mut scales[index * groups..(index + 1) * groups])?;
            }
            Ok(())
        })
    }

    /// All numbers, where the tensor has exactly one row.
    pub(crate) fn vector(&self, name: &str, expected: usize) -> Result<Vec<f32>> {
        if self.rows != 1 || self.cols != expected {
            return Err(Error::Tensor {
                name: name.into(),
                expected: format!("shape [{expected}]"),
                found: if self.rows == 1 {
                    format!("[{}]", self.cols)
                } else {
                    format!("[{}, {}]", self.rows, self.cols)
                },
                advice: "The weights do not belong to this config.json".into(),
            });
        }
        let mut values = vec![0.0; self.cols];
        self.element.read(self.bytes, &mut values);
        Ok(match self.order {
            RowOrder::Plain => values,
            // The numbers of a bias lie as the rows of its matrix do.
            order @ RowOrder::Interleaved { .. } => {
                (0..expected).filter_map(|index| values.get(order.in_file(index)).copied()).collect()
            }
        })
    }
}
