//! See `ops::quantize_row`.

use super::{Comparison, Random, poisoned, read_f32, recorder, upload_f16};
use crate::error::Result;
use crate::gpu::{Element, Gpu, Recorder};
use crate::ops::{QuantizeRow, RoundedRow, RowLayout};
use crate::reference;

/// Integers that differ by one lie on the border between the two: the device divides less exactly than its twin.
pub fn check(gpu: &Gpu, cols: usize, layout: RowLayout) -> Result<Comparison> {
    let mut random = Random::new(cols as u64);
    let mut x = random.halves(cols, 3.0);
    x[..layout.chunk].fill(0.0);
    let row = poisoned_row(gpu, cols, layout)?;
    let mut recorder = recorder(gpu)?;
    let input = upload_f16(gpu, "x", &[1, cols], &x)?;
    QuantizeRow::new(gpu, layout)?.record(gpu, &mut recorder, (&input, &row), cols)?;
    compare(gpu, &mut recorder, &row, &x)
}

/// Memory for a row, poisoned.
pub fn poisoned_row(gpu: &Gpu, cols: usize, layout: RowLayout) -> Result<RoundedRow> {
    let (integers, steps) = layout.shapes(cols);
    Ok(RoundedRow {
        layout,
        integers: poisoned(gpu, "integers", &integers, Element::U32)?,
        steps: poisoned(gpu, "steps", &steps, Element::F32)?,
    })
}

/// `row` against what the twin makes of `x`.
pub fn compare(gpu: &Gpu, recorder: &mut Recorder, row: &RoundedRow, x: &[f32]) -> Result<Comparison> {
    let layout = row.layout;
    let expected = reference::quantize_row(x, layout.chunk);
    let words: Vec<u32> = recorder.read(gpu, &row.integers)?;
    let got = unpack(&words, layout);
    let pairs = read_f32(gpu, recorder, &row.steps)?;
    let float = |integers: &[i8]| -> Vec<f32> { integers.iter().map(|integer| f32::from(*integer)).collect() };
    let chunks = x.len() / layout.chunk;
    let first: Vec<f32> = pairs.iter().copied().step_by(2).take(chunks).collect();
    let second: Vec<f32> = pairs.iter().copied().skip(1).step_by(2).take(chunks).collect();
    // What is normalised already says so.
    let squares: f32 = pairs.iter().skip(2 * chunks).step_by(2).sum();
    // The sums belong to the integers that the device chose.
    let sums = got.chunks(layout.chunk).map(|chunk| chunk.iter().map(|i| i32::from(*i)).sum::<i32>() as f32);
    let sums: Vec<f32> = sums.zip(&first).map(|(sum, step)| sum * step).collect();
    Ok(Comparison::of("integers", &float(&got), &float(&expected.integers), (1.0, 0.0))?
        .and(Comparison::of("steps", &first, &expected.steps, (1e-30, 1e-6))?)
        .and(Comparison::of("sums", &second, &sums, (1e-6, 1e-6))?)
        .and(Comparison::of("squares", &[squares], &[x.len() as f32], (0.0, 0.0))?))
}

/// Integers in the order of the columns.
pub fn unpack(words: &[u32], layout: RowLayout) -> Vec<i8> {
    let byte = |word: u32, i: usize| (word >> (8 * i)) as i8;
    let eight = |pair: &[u32]| -> [i8; 8] {
        std::array::from_fn(|i| if layout.split { byte(pair[i % 2], i / 2) } else { byte(pair[i / 4], i % 4) })
    };
    words.chunks_exact(2).flat_map(eight).collect()
}

/// The words that hold `integers`.
pub fn pack(integers: &[i8], layout: RowLayout) -> Vec<u32> {
    let place = |i: usize| if layout.split { (i % 2, i / 2) } else { (i / 4, i % 4) };
    let words = integers.chunks_exact(8).flat_map(|eight| {
        let mut pair = [0u32; 2];
        for (i, integer) in eight.iter().enumerate() {
            let (word, byte) = place(i);
            pair[word] |= u32::from(*integer as u8) << (8 * byte);
        }
        pair
    });
    words.collect()
}
