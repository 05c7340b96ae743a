//! Blocks of the GGUF tensor types, turned into the packed layout.
//!
//! Definitions: ggml's `ggml-common.h` and `ggml-quants.c` (<https://github.com/ggml-org/ggml>). All integers are kept; the
//! scale and bias of a group are
//!
//! | type | values in a block | packed as | scale | bias | against the definition |
//! |---|---|---|---|---|---|
//! | Q4_0 | 32 | q4/32 | d | -8 d | equal |
//! | Q4_1 | 32 | q4/32 | d | m | equal |
//! | Q5_0 | 32 | q8/32 | d | -16 d | equal |
//! | Q5_1 | 32 | q8/32 | d | m | equal |
//! | Q8_0 | 32 | q8/32 | d | -128 d | equal |
//! | Q4_K | 8 x 32 | q4/32 | d sc | -dmin m | both rounded to f16: within 2^-11 of each product |
//! | Q5_K | 8 x 32 | q8/32 | d sc | -dmin m | likewise |
//! | Q6_K | 16 x 16 | q8/16 | d sc | -32 d sc | likewise, for the scale only |

use std::ops::Range;

use half::f16;

use crate::error::Result;
use crate::weights::floats::{Element, RowOrder, out_of_range};
use crate::weights::packed::{Format, PackedMatrix, join_scale};

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorType {
    Float(Element),
    Blocks(BlockType),
    /// A type that is not read.
    Other(u32),
}

/// A type made of blocks of integers with common scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the format's own names")]
pub(crate) enum BlockType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

use BlockType::{Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};

impl TensorType {
    /// The type of this number in ggml.
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Float(Element::F32),
            1 => Self::Float(Element::F16),
            30 => Self::Float(Element::BF16),
            2 => Self::Blocks(Q4_0),
            3 => Self::Blocks(Q4_1),
            6 => Self::Blocks(Q5_0),
            7 => Self::Blocks(Q5_1),
            8 => Self::Blocks(Q8_0),
            12 => Self::Blocks(Q4_K),
            13 => Self::Blocks(Q5_K),
            14 => Self::Blocks(Q6_K),
            other => Self::Other(other),
        }
    }

    /// Name in ggml.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Float(element) => element.name().into(),
            Self::Blocks(blocks) => format!("{blocks:?}"),
            Self::Other(number) => match number {
                9 => "Q8_1".into(),
                10 => "Q2_K".into(),
                11 => "Q3_K".into(),
                15 => "Q8_K".into(),
                16 => "IQ2_XXS".into(),
                17 => "IQ2_XS".into(),
                18 => "IQ3_XXS".into(),
                19 => "IQ1_S".into(),
                20 => "IQ4_NL".into(),
                21 => "IQ3_S".into(),
                22 => "IQ2_S".into(),
                23 => "IQ4_XS".into(),
                24..=27 => format!("I{}", 8 << (number - 24)),
                28 => "F64".into(),
                29 => "IQ1_M".into(),
                34 => "TQ1_0".into(),
                35 => "TQ2_0".into(),
                39 => "MXFP4".into(),
                _ => format!("of number {number}"),
            },
        }
    }

    /// Values that one block holds.
    pub(crate) fn block_values(self) -> u64 {
        match self {
            Self::Blocks(blocks) => blocks.values() as u64,
            Self::Float(_) | Self::Other(_) => 1,
        }
    }

    /// Bytes of a tensor of this shape, where the type is known.
    pub(crate) fn stored_bytes(self, rows: usize, cols: usize) -> Option<u64> {
        let values = rows as u64 * cols as u64;
        match self {
            Self::Float(element) => Some(values * element.size() as u64),
            Self::Blocks(blocks) => Some(values / blocks.values() as u64 * blocks.bytes() as u64),
            Self::Other(_) => None,
        }
    }
}

impl BlockType {
    fn values(self) -> usize {
        match self {
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 => 32,
            Q4_K | Q5_K | Q6_K => 256,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Q4_0 => 2 + 16,
            Q4_1 => 4 + 16,
            Q5_0 => 2 + 4 + 16,
            Q5_1 => 4 + 4 + 16,
            Q8_0 => 2 + 32,
            Q4_K => 4 + 12 + 128,
            Q5_K => 4 + 12 + 32 + 128,
            Q6_K => 128 + 64 + 16 + 2,
        }
    }

    /// Bits that an integer is packed with.
    fn bits(self) -> u32 {
        match self {
            Q4_0 | Q4_1 | Q4_K => 4,
            Q5_0 | Q5_1 | Q8_0 | Q5_K | Q6_K => 8,
        }
    }

    /// Values with a common scale.
    fn group(self) -> usize {
        match self {
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 | Q4_K | Q5_K => 32,
            Q6_K => 16,
        }
    }

    /// The packed format that keeps the integers.
    pub(crate) fn format(self) -> Format {
        Format::Affine { bits: self.bits(), group: self.group() }
    }

    /// Unpacks one block: its integers, one in a byte, and scale and bias of each of its groups.
    fn unpack(self, block: &[u8], quants: &mut [u8; 256], scales: &mut [(f32, f32); 16]) {
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let d = half(if self == Q6_K { 208 } else { 0 });
        match self {
            Q4_0 => {
                split_nibbles(&block[2..18], quants);
                scales[0] = (d, -8.0 * d);
            }
            Q4_1 => {
                split_nibbles(&block[4..20], quants);
                scales[0] = (d, half(2));
            }
            Q5_0 | Q5_1 => {
                let start = if self == Q5_0 { 2 } else { 4 };
                split_nibbles(&block[start + 4..start + 20], quants);
                for (index, quant) in quants[..32].iter_mut().enumerate() {
                    *quant |= (block[start + index / 8] >> (index % 8) & 1) << 4;
                }
                scales[0] = (d, if self == Q5_0 { -16.0 * d } else { half(2) });
            }
            Q8_0 => {
                // Signed bytes plus 128, which is the highest bit turned over.
                for (quant, byte) in quants.iter_mut().zip(&block[2..34]) {
                    *quant = byte ^ 0x80;
                }
                scales[0] = (d, -128.0 * d);
            }
            Q4_K | Q5_K => {
                let nibbles = if self == Q4_K { &block[16..144] } else { &block[48..176] };
                for (pair, bytes) in nibbles.chunks_exact(32).enumerate() {
                    for (index, byte) in bytes.iter().enumerate() {
                        quants[64 * pair + index] = byte & 15;
                        quants[64 * pair + 32 + index] = byte >> 4;
                    }
                }
                if self == Q5_K {
                    for (group, quants) in quants.chunks_exact_mut(32).enumerate() {
                        for (quant, high) in quants.iter_mut().zip(&block[16..48]) {
                            *quant |= (high >> group & 1) << 4;
                        }
                    }
                }
                let dmin = half(2);
                for (group, scale) in scales[..8].iter_mut().enumerate() {
                    let (sc, m) = scale_and_min(&block[4..16], group);
                    *scale = (d * f32::from(sc), -(dmin * f32::from(m)));
                }
            }
            Q6_K => {
                // Two halves of 128 values; in each, four runs of 32: two share the low nibbles, two the high ones.
                for (run, quants) in quants.chunks_exact_mut(32).enumerate() {
                    let (half, run) = (run / 4, run % 4);
                    let (low, high) = (&block[64 * half + 32 * (run % 2)..], &block[128 + 32 * half..]);
                    for ((quant, low), high) in quants.iter_mut().zip(low).zip(high) {
                        *quant = low >> (4 * (run / 2)) & 15 | (high >> (2 * run) & 3) << 4;
                    }
                }
                for (scale, byte) in scales.iter_mut().zip(&block[192..208]) {
                    // The bias follows the rounded scale, so that an integer of 32 gives exactly zero.
                    let rounded = f16::from_f32(d * f32::from(*byte as i8)).to_f32();
                    *scale = (rounded, -32.0 * rounded);
                }
            }
        }
    }
}

/// Sixteen bytes whose low nibbles are the first and whose high nibbles are the second sixteen values.
fn split_nibbles(bytes: &[u8], quants: &mut [u8; 256]) {
    for (index, byte) in bytes.iter().enumerate() {
        quants[index] = byte & 15;
        quants[16 + index] = byte >> 4;
    }
}

/// The 6-bit scale and minimum of a group of Q4_K and Q5_K: the first four of each lie whole in bytes 0 to 7, the other
/// four have their low nibbles in bytes 8 to 11 and their high bits on top of the first ones.
fn scale_and_min(bytes: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        (bytes[group] & 63, bytes[group + 4] & 63)
    } else {
        let low = bytes[group + 4];
        (low & 15 | bytes[group - 4] >> 6 << 4, low >> 4 | bytes[group] >> 6 << 4)
    }
}

/// A matrix of blocks in a file.
pub(crate) struct BlockMatrix<'a> {
    pub(crate) kind: BlockType,
    pub(crate) bytes: &'a [u8],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) order: RowOrder,
}

impl BlockMatrix<'_> {
    /// Some rows in the packed layout.
    pub(crate) fn pack(&self, name: &str, rows: Range<usize>) -> Result<PackedMatrix> {
        let format = self.kind.format();
        let (values, block_bytes) = (self.kind.values(), self.kind.bytes());
        let (block_words, block_groups) = (format.words_per_row(values), format.groups_per_row(values));
        let (words, groups) = (format.words_per_row(self.cols), format.groups_per_row(self.cols));
        let stride = self.cols / values * block_bytes;
        PackedMatrix::build(name, rows.len(), self.cols, format, |tile, quants, scales| {
            let (mut bytes, mut factors) = ([0; 256], [(0.0, 0.0); 16]);
            for ((row, quants), scales) in tile.zip(quants.chunks_exact_mut(words)).zip(scales.chunks_exact_mut(groups))
            {
                let start = self.order.in_file(rows.start + row) * stride;
                let blocks = self.bytes.get(start..start + stride).unwrap_or_default().chunks_exact(block_bytes);
                let packed = quants.chunks_exact_mut(block_words).zip(scales.chunks_exact_mut(block_groups));
                for (block, (quants, scales)) in blocks.zip(packed) {
                    self.kind.unpack(block, &mut bytes, &mut factors);
                    join_quants(&bytes, self.kind.bits(), quants);
                    for (word, &(scale, bias)) in scales.iter_mut().zip(&factors) {
                        let (scale, bias) = (f16::from_f32(scale), f16::from_f32(bias));
                        if !scale.is_finite() || !bias.is_finite() {
                            return Err(out_of_range(name, if scale.is_finite() { bias } else { scale }.to_f32()));
                        }
                        *word = join_scale(scale, bias);
                    }
                }
            }
            Ok(())
        })
    }
}

/// Packs integers, one in a byte, low bits first.
fn join_quants(bytes: &[u8; 256], bits: u32, words: &mut [u32]) {
    if bits == 8 {
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        return;
    }
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        // Eight bytes with a nibble each: neighbours are moved together, then pairs, then fours.
        let mut joined = u64::from_le_bytes(*bytes);
        joined = (joined | joined >> 4) & 0x00ff_00ff_00ff_00ff;
        joined = (joined | joined >> 8) & 0x0000_ffff_0000_ffff;
        *word = (joined | joined >> 16) as u32;
    }
}
