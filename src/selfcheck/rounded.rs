//! One rounded row for the ops that read one, and what an op left in one.

use super::quantize_row::{pack, unpack};
use super::{Comparison, Random, read_f32, upload_f32};
use crate::error::Result;
use crate::gpu::{Element, Gpu, Recorder};
use crate::ops::{RoundedRow, RowLayout};
use crate::reference;

/// A random row on the device, and what its integers stand for.
pub(super) struct RandomRow {
    pub(super) on_gpu: RoundedRow,
    pub(super) values: Vec<f32>,
    /// Sum of the squares that it carries.
    pub(super) squares: f32,
}

impl RandomRow {
    /// The integers come from the twin: what rounding costs is no error of the op that reads them.
    pub(super) fn new(gpu: &Gpu, random: &mut Random, cols: usize, layout: RowLayout) -> Result<Self> {
        let row = reference::quantize_row(&random.halves(cols, 1.0), layout.chunk);
        let (integer_shape, step_shape) = layout.shapes(cols);
        let words = pack(&row.integers, layout);
        let integers = gpu.upload("integers", &integer_shape, Element::U32, &words)?;
        let sum = |chunk: &[i8]| chunk.iter().map(|integer| i32::from(*integer)).sum::<i32>() as f32;
        let chunks = row.integers.chunks(layout.chunk).zip(&row.steps);
        let mut steps: Vec<f32> = chunks.flat_map(|(chunk, step)| [*step, step * sum(chunk)]).collect();
        let shares: Vec<f32> = (0..cols / layout.chunk).map(|_| layout.chunk as f32 * (0.2 + random.unit())).collect();
        steps.extend(shares.iter().flat_map(|share| [*share, 0.0]));
        let steps = upload_f32(gpu, "steps", &step_shape, &steps)?;
        let on_gpu = RoundedRow { layout, integers, steps };
        Ok(Self { on_gpu, values: row.values(), squares: shares.iter().sum() })
    }
}

/// What `row` stands for against `expected`: within half a step, whose size follows from the largest of the chunk.
pub(super) fn compare(gpu: &Gpu, recorder: &mut Recorder, row: &RoundedRow, expected: &[f32]) -> Result<Comparison> {
    let chunk = row.layout.chunk;
    let words: Vec<u32> = recorder.read(gpu, &row.integers)?;
    let integers = unpack(&words, row.layout);
    let pairs = read_f32(gpu, recorder, &row.steps)?;
    let steps: Vec<f32> = pairs.iter().copied().step_by(2).take(expected.len() / chunk).collect();
    let sums: Vec<f32> = pairs.iter().copied().skip(1).step_by(2).take(steps.len()).collect();
    let wanted = reference::quantize_row(expected, chunk).steps;
    let mut out = Comparison::of("steps", &steps, &wanted, (1e-6, 2e-3))?;
    for ((integers, expected), (step, sum)) in
        integers.chunks(chunk).zip(expected.chunks(chunk)).zip(steps.iter().zip(&sums))
    {
        let got: Vec<f32> = integers.iter().map(|integer| f32::from(*integer) * step).collect();
        let all = integers.iter().map(|integer| i32::from(*integer)).sum::<i32>() as f32;
        let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        out = out
            .and(Comparison::of("values", &got, expected, (0.51 * step + 1e-3 * most + 1e-6, 2e-3))?)
            .and(Comparison::of("sums", &[*sum], &[all * step], (1e-5, 1e-5))?);
    }
    Ok(out)
}

/// The squares that `row` carries.
pub(super) fn squares(gpu: &Gpu, recorder: &mut Recorder, row: &RoundedRow, cols: usize) -> Result<Vec<f32>> {
    let pairs = read_f32(gpu, recorder, &row.steps)?;
    Ok(pairs.into_iter().skip(2 * (cols / row.layout.chunk)).step_by(2).collect())
}
