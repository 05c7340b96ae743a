//! Which form of the product of a matrix and one token suits the adapter: measured at the first start, in a fraction of a
//! second, and remembered for adapter, driver and version.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu, Recorder};
use crate::ops::{Matrix, Matvec, MatvecForm, QuantizeRow, RoundedRow, RowLayout};
use crate::weights::{Format, PackedMatrix};

/// A matrix of a middling model: rows and columns.
const SIDE: usize = 4096;
/// Products that wait for each other, as in a model, and runs of which the shortest counts.
const CHAIN: usize = 24;
const RUNS: usize = 3;
/// A faster form must be faster than the usual one by this factor: noise is no reason.
const MARGIN: f64 = 0.95;

/// The form for weights in `format` on this device.
pub(super) fn matvec_form(gpu: &Gpu, format: Format) -> MatvecForm {
    let candidates = MatvecForm::candidates(gpu, format);
    let usual = candidates.first().copied().unwrap_or(MatvecForm::Narrow);
    if candidates.len() < 2 || gpu.adapter.software || !gpu.keeps_choices() {
        return usual;
    }
    // What is switched off changes what there is to choose from.
    let name =
        format!("matvec {format} of {}", candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    if let Some(chosen) = gpu.choice(&name) {
        return candidates.into_iter().find(|form| form.to_string() == chosen).unwrap_or(usual);
    }
    let started = Instant::now();
    match fastest(gpu, format, &candidates) {
        Ok(form) => {
            tracing::info!("{format} weights by {form}, measured in {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
            gpu.choose(&name, &form.to_string());
            form
        }
        Err(error) => {
            tracing::warn!("{format} weights by {usual}: measuring failed: {error}");
            usual
        }
    }
}

fn fastest(gpu: &Gpu, format: Format, candidates: &[MatvecForm]) -> Result<MatvecForm> {
    let packed = PackedMatrix {
        rows: SIDE,
        cols: SIDE,
        format,
        quants: vec![0x1234_5678; SIDE * format.words_per_row(SIDE)],
        scales: vec![0x8400_0400; SIDE * format.groups_per_row(SIDE)],
    };
    // Several copies, so that a large cache does not answer for the memory.
    let copies: Vec<Matrix> = (0..4)
        .map(|_| {
            let matrix = Matrix::allocate(gpu, "measured", SIDE, SIDE, format)?;
            matrix.write_rows(gpu, 0, &packed)?;
            Ok(matrix)
        })
        .collect::<Result<_>>()?;
    gpu.flush_writes()?;
    let mut best: Option<(MatvecForm, f64)> = None;
    for form in candidates {
        let seconds = measure(gpu, format, *form, &copies)?;
        if best.is_none_or(|(_, least)| seconds < least * MARGIN) {
            best = Some((*form, seconds));
        }
    }
    best.map(|(form, _)| form).ok_or_else(|| Error::shape("forms", "at least one", "none"))
}

/// Seconds of a chain of products.
fn measure(gpu: &Gpu, format: Format, form: MatvecForm, copies: &[Matrix]) -> Result<f64> {
    let matvec = Matvec::with_form(gpu, SIDE, format, form)?;
    let x = gpu.upload("x", &[1, SIDE], Element::F16, &vec![half::f16::ONE; SIDE])?;
    let out = gpu.tensor("out", &[1, SIDE], Element::F32)?;
    let mut recorder = Recorder::new(gpu, Duration::from_secs(1))?;
    let row = match RowLayout::of(format).filter(|_| form.integers()) {
        Some(layout) => {
            let row = RoundedRow::new(gpu, "row", SIDE, layout)?;
            QuantizeRow::new(gpu, layout)?.record(gpu, &mut recorder, (&x, &row), SIDE)?;
            Some(row)
        }
        None => None,
    };
    recorder.finish(gpu)?;
    let mut shortest = f64::INFINITY;
    for _ in 0..=RUNS {
        for matrix in copies.iter().cycle().take(CHAIN) {
            match &row {
                Some(row) => matvec.record_integers(gpu, &mut recorder, row, (matrix, &out), 0)?,
                None => matvec.record(gpu, &mut recorder, (&x, matrix, &out), 0)?,
            }
        }
        let started = Instant::now();
        recorder.finish(gpu)?;
        shortest = shortest.min(started.elapsed().as_secs_f64());
    }
    Ok(shortest)
}
