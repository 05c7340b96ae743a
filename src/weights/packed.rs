//! The one packed layout of a weight matrix: what every file format becomes, and what the GPU kernels read.
//!
//! A matrix has `rows` outputs and `cols` inputs. Rows lie one after the other, each a whole number of 16-byte pieces.
//!
//! * `F16`: word `i` of a row holds columns `2i` (low half) and `2i + 1` (high half).
//! * `Affine`: `w = scale * q + bias` with `q` unsigned. Value `i` of a row lies in word `i * bits / 32` of that row at bit
//!   `(i * bits) % 32`. `scales` holds one word per group of `group` neighbours along the inputs, row after row: the f16
//!   scale in the low half, the f16 bias in the high half.
//!
//! Twins: the `weights` pieces among the shaders read the same bits.

use std::fmt;
use std::ops::Range;

use half::f16;
use rayon::prelude::*;

use super::affine;
use super::floats;
use crate::error::{Error, Result};

/// How the values of a matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Half-precision numbers.
    F16,
    /// Unsigned integers with an f16 scale and bias per group along the inputs.
    Affine {
        /// 4 or 8.
        bits: u32,
        /// 16, 32, 64 or 128 values.
        group: usize,
    },
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F16 => write!(f, "f16"),
            Self::Affine { bits, group } => write!(f, "q{bits}/{group}"),
        }
    }
}

impl Format {
    /// Bits of one value, without its share of the group's scale.
    pub fn bits(self) -> u32 {
        match self {
            Self::F16 => 16,
            Self::Affine { bits, .. } => bits,
        }
    }

    /// Words of `quants` that one row of `cols` values takes.
    pub fn words_per_row(self, cols: usize) -> usize {
        cols / (32 / self.bits().clamp(1, 32) as usize)
    }

    /// Words of `scales` that one row of `cols` values takes: none for f16.
    pub fn groups_per_row(self, cols: usize) -> usize {
        match self {
            Self::F16 => 0,
            Self::Affine { group, .. } => cols / group.max(1),
        }
    }

    /// Bytes of a matrix of this shape, or `None` where the number does not fit in 64 bits.
    pub fn bytes(self, rows: usize, cols: usize) -> Option<u64> {
        let words = self.words_per_row(cols).checked_add(self.groups_per_row(cols))?;
        (rows as u64).checked_mul(words as u64)?.checked_mul(4)
    }

    /// Whether a matrix with `cols` inputs can be stored this way: whole groups, and rows of whole 16-byte pieces.
    pub fn check(self, name: &str, cols: usize) -> Result<()> {
        let wrong = |expected: String, found: String, advice: &str| {
            Err(Error::Tensor { name: name.into(), expected, found, advice: advice.into() })
        };
        if let Self::Affine { bits, group } = self
            && !(matches!(bits, 4 | 8) && matches!(group, 16 | 32 | 64 | 128))
        {
            return wrong(
                "4 or 8 bits and groups of 16, 32, 64 or 128".into(),
                format!("{bits} bits and groups of {group}"),
                "Choose one of these",
            );
        }
        let piece = 128 / self.bits() as usize;
        if cols == 0 || !cols.is_multiple_of(piece) {
            return wrong(
                format!("a multiple of {piece} columns for {self}, so that every row starts at a 16-byte border"),
                format!("{cols} columns"),
                "Use f16 weights, or a checkpoint with padded dimensions",
            );
        }
        match self {
            Self::Affine { group, .. } if !cols.is_multiple_of(group) => wrong(
                format!("a multiple of {group} columns for {self}"),
                format!("{cols} columns"),
                "Choose a smaller group, or f16 weights",
            ),
            _ => Ok(()),
        }
    }
}

/// A matrix, or some of its rows, in the packed layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedMatrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// How `quants` is to be read.
    pub format: Format,
    /// The values, row after row.
    pub quants: Vec<u32>,
    /// Scale (low half) and bias (high half) of every group, row after row; empty for f16.
    pub scales: Vec<u32>,
}

/// Values of about this many bytes make one unit of parallel work: large enough to pay, small enough to balance.
const TILE_BYTES: usize = 64 * 1024;

impl PackedMatrix {
    /// A matrix whose rows are written by `fill`, tile by tile in parallel.
    ///
    /// `fill` gets the rows of its tile, and the words of `quants` and `scales` (all zero) that belong to them.
    pub(crate) fn build(
        name: &str,
        rows: usize,
        cols: usize,
        format: Format,
        fill: impl Fn(Range<usize>, &mut [u32], &mut [u32]) -> Result<()> + Sync,
    ) -> Result<Self> {
        format.check(name, cols)?;
        let (words, groups) = (format.words_per_row(cols), format.groups_per_row(cols));
        let (Some(total_words), Some(total_groups)) = (rows.checked_mul(words), rows.checked_mul(groups)) else {
            return Err(Error::Tensor {
                name: name.into(),
                expected: "a size that fits in memory".into(),
                found: format!("{rows} x {cols} values"),
                advice: "The file is damaged".into(),
            });
        };
        let mut quants = vec![0; total_words];
        let mut scales = vec![0; total_groups];
        let tile_rows = (TILE_BYTES / (4 * words)).max(1);
        let mut tiles = Vec::with_capacity(rows.div_ceil(tile_rows));
        let (mut quants_left, mut scales_left) = (quants.as_mut_slice(), scales.as_mut_slice());
        for first in (0..rows).step_by(tile_rows) {
            let count = tile_rows.min(rows - first);
            let (tile_quants, rest) = quants_left.split_at_mut(count * words);
            quants_left = rest;
            let (tile_scales, rest) = scales_left.split_at_mut(count * groups);
            scales_left = rest;
            tiles.push((first..first + count, tile_quants, tile_scales));
        }
        let fill = |(range, quants, scales): (_, &mut [u32], &mut [u32])| fill(range, quants, scales);
        // A single tile is not worth waking another thread for.
        if tiles.len() <= 1 {
            tiles.into_iter().try_for_each(fill)?
        } else {
            tiles.into_par_iter().try_for_each(fill)?
        }
        Ok(Self { rows, cols, format, quants, scales })
    }

    /// Packs a matrix of numbers, rounding to nearest; affine groups are fitted as `affine` tells.
    ///
    /// `name` is only for messages.
    pub fn quantize(name: &str, rows: usize, cols: usize, values: &[f32], format: Format) -> Result<Self> {
        if rows.checked_mul(cols) != Some(values.len()) {
            return Err(Error::shape(format!("values of \"{name}\""), format!("{rows} x {cols}"), values.len()));
        }
        Self::build(name, rows, cols, format, |range, quants, scales| {
            let (words, groups) = (format.words_per_row(cols), format.groups_per_row(cols));
            for (index, row) in range.enumerate() {
                pack_row(
                    name,
                    &values[row * cols..(row + 1) * cols],
                    format,
                    &mut quants[index * words..(index + 1) * words],
                    &mut scales[index * groups..(index + 1) * groups],
                )?;
            }
            Ok(())
        })
    }

    /// The numbers of one row; a row that does not exist is empty.
    pub fn row_f32(&self, row: usize) -> Vec<f32> {
        if row >= self.rows {
            return Vec::new();
        }
        let (words, groups) = (self.format.words_per_row(self.cols), self.format.groups_per_row(self.cols));
        let quants = &self.quants[row * words..(row + 1) * words];
        match self.format {
            Format::F16 => quants
                .iter()
                .flat_map(|word| [f16::from_bits(*word as u16).to_f32(), f16::from_bits((word >> 16) as u16).to_f32()])
                .collect(),
            Format::Affine { bits, group } => {
                let scales = &self.scales[row * groups..(row + 1) * groups];
                let mut values = Vec::with_capacity(self.cols);
                for (words, scale) in quants.chunks_exact(group * bits as usize / 32).zip(scales) {
                    let (scale, bias) = split_scale(*scale);
                    let value = |quant: u32| scale * quant as f32 + bias;
                    for word in words {
                        match bits {
                            4 => values.extend([0, 4, 8, 12, 16, 20, 24, 28].map(|at| value(word >> at & 15))),
                            _ => values.extend([0, 8, 16, 24].map(|at| value(word >> at & 255))),
                        }
                    }
                }
                values
            }
        }
    }

    /// Bytes of values and scales together.
    pub fn bytes(&self) -> u64 {
        4 * (self.quants.len() as u64 + self.scales.len() as u64)
    }
}

/// Packs one row of numbers into its words.
pub(crate) fn pack_row(
    name: &str,
    values: &[f32],
    format: Format,
    quants: &mut [u32],
    scales: &mut [u32],
) -> Result<()> {
    match format {
        Format::F16 => floats::round_to_f16(name, values, bytemuck::cast_slice_mut(quants)),
        Format::Affine { bits, group } => {
            floats::check_f16_range(name, values)?;
            let words_per_group = group * bits as usize / 32;
            for ((values, words), scale) in
                values.chunks_exact(group).zip(quants.chunks_exact_mut(words_per_group)).zip(scales)
            {
                *scale = affine::pack_group(values, bits, words);
            }
            Ok(())
        }
    }
}

/// Scale and bias as one word of `scales`.
pub(crate) fn join_scale(scale: f16, bias: f16) -> u32 {
    u32::from(scale.to_bits()) | u32::from(bias.to_bits()) << 16
}

/// The reverse of [`join_scale`].
fn split_scale(word: u32) -> (f32, f32) {
    (f16::from_bits(word as u16).to_f32(), f16::from_bits((word >> 16) as u16).to_f32())
}
