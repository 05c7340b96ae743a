//! Fits one group of numbers to `w = scale * q + bias` with `q` in `0 ..= 2^bits - 1`.
//!
//! The range from the smallest to the largest value is divided evenly. With 4 bits a few narrower ranges are tried too,
//! each improved by linear regression of the values on their integers; the fit with the least squared error wins. The
//! integers are always rounded against the scale and bias as stored, in f16.

use half::f16;

use super::packed::join_scale;

/// Shares of the full range that 4-bit groups try: outliers may be cut off when the rest gains more.
const NARROWER_RANGES: [f32; 5] = [1.0, 0.94, 0.88, 0.82, 0.74];

/// The largest group of the packed layout.
const MAX_GROUP: usize = 128;

/// Writes the integers of a group into `words` (all zero before) and returns its scale and bias.
///
/// `values` are finite, within the range of f16, and at most 128.
pub(crate) fn pack_group(values: &[f32], bits: u32, words: &mut [u32]) -> u32 {
    let (low, high) =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    let levels = ((1u32 << bits) - 1) as f32;
    let mut best = Fit::new(values, (high - low) / levels, low, levels);
    if best.scale == f16::ZERO {
        // A range below the smallest f16 step: the middle stands for all, no integer is needed.
        return join_scale(f16::ZERO, f16::from_f32(low + (high - low) / 2.0));
    }
    if bits == 4 {
        for share in NARROWER_RANGES {
            let width = (high - low) * share;
            let start = Fit::new(values, width / levels, low + (high - low - width) / 2.0, levels);
            let refined = start.regress(values, levels);
            for fit in [start, refined] {
                if fit.error < best.error {
                    best = fit;
                }
            }
        }
    }
    let per_word = 32 / bits as usize;
    for (word, quants) in words.iter_mut().zip(best.quants.chunks_exact(per_word)) {
        *word = quants.iter().rev().fold(0, |word, &quant| word << bits | u32::from(quant));
    }
    join_scale(best.scale, best.bias)
}

/// One try: scale, bias and the integers they give.
struct Fit {
    scale: f16,
    bias: f16,
    quants: [u8; MAX_GROUP],
    /// Sum of squared differences; not a number where the scale is of no use.
    error: f32,
}

impl Fit {
    fn new(values: &[f32], scale: f32, bias: f32, levels: f32) -> Self {
        let (scale, bias) = (f16::from_f32(scale), f16::from_f32(bias));
        let (step, start) = (scale.to_f32(), bias.to_f32());
        let mut quants = [0; MAX_GROUP];
        if step == 0.0 || !step.is_finite() || !start.is_finite() {
            return Self { scale, bias, quants, error: f32::NAN };
        }
        let inverse = 1.0 / step;
        let mut error = 0.0;
        for (quant, &value) in quants.iter_mut().zip(values) {
            let level = ((value - start) * inverse).round_ties_even().clamp(0.0, levels);
            *quant = level as u8;
            let difference = step * level + start - value;
            error += difference * difference;
        }
        Self { scale, bias, quants, error }
    }

    /// The best scale and bias for these integers, and the integers that are nearest with them.
    fn regress(&self, values: &[f32], levels: f32) -> Self {
        let count = values.len() as f32;
        let (mut sum_q, mut sum_qq, mut sum_v, mut sum_qv) = (0.0, 0.0, 0.0, 0.0);
        for (&quant, &value) in self.quants.iter().zip(values) {
            let quant = f32::from(quant);
            sum_q += quant;
            sum_qq += quant * quant;
            sum_v += value;
            sum_qv += quant * value;
        }
        let spread = count * sum_qq - sum_q * sum_q;
        let scale = (count * sum_qv - sum_q * sum_v) / spread;
        Self::new(values, scale, (sum_v - scale * sum_q) / count, levels)
    }
}
