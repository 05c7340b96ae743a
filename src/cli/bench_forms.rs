//! `foveal bench --ops`: every form of the product of a matrix and one token, at the sizes of a model.
//!
//! A run is a chain of products over several copies of the matrix, so that no cache holds what is read, each waiting for the
//! one before, as in a model.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Element, Gpu, Recorder, Tensor};
use crate::model::ModelConfig;
use crate::ops::matvec::WideForm;
use crate::ops::{Matrix, Matvec, MatvecForm, QuantizeRow, RoundedRow, RowLayout};
use crate::weights::{Format, PackedMatrix};

/// Bytes of weights that no cache holds.
const UNCACHED_BYTES: u64 = 256 << 20;
/// Chains of which the shortest counts.
const RUNS: usize = 5;
/// Bytes of weights that one chain reads, so that handing it over takes no share worth counting.
const CHAIN_BYTES: u64 = 4 << 30;

const fn wide(integers: bool, group_size: u32, lanes: u32, rows: u32, unroll: u32) -> MatvecForm {
    MatvecForm::Wide(WideForm { integers, group_size, lanes, rows, unroll })
}

/// What is compared.
const FORMS: [MatvecForm; 20] = [
    MatvecForm::Narrow,
    wide(false, 64, 32, 1, 2),
    wide(false, 64, 32, 2, 1),
    wide(false, 64, 32, 2, 2),
    wide(false, 64, 32, 4, 1),
    wide(true, 32, 32, 1, 2),
    wide(true, 64, 32, 1, 1),
    wide(true, 64, 32, 1, 2),
    wide(true, 64, 32, 1, 4),
    wide(true, 128, 32, 1, 2),
    wide(true, 128, 32, 1, 4),
    wide(true, 256, 32, 1, 4),
    wide(true, 64, 32, 2, 1),
    wide(true, 64, 32, 2, 2),
    wide(true, 128, 32, 2, 4),
    wide(true, 64, 32, 4, 1),
    wide(true, 128, 32, 4, 2),
    wide(true, 128, 64, 2, 2),
    wide(true, 128, 128, 2, 2),
    wide(true, 256, 128, 4, 1),
];

/// Prints microseconds and GB/s of weights for every form and map of a layer.
pub(super) fn run(gpu: &Gpu, config: &ModelConfig, format: Format) -> Result<()> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let maps = [
        ("attention out", hidden, config.attention_width()),
        ("qkv", config.qkv_width(), hidden),
        ("gate and up", 2 * inner, hidden),
        ("down", hidden, inner),
        ("head", config.vocab_size, hidden),
    ];
    println!("\n{format} weights, one token: us and GB/s of weights, one product after the other");
    print!("| form |");
    maps.iter().for_each(|(name, rows, cols)| print!(" {name} {rows} x {cols} |"));
    println!("\n|---|---|---|---|---|---|");
    let mut table = vec![String::new(); FORMS.len()];
    for (name, rows, cols) in maps {
        let bench = MapBench::new(gpu, name, (rows, cols), format)?;
        for (line, form) in table.iter_mut().zip(FORMS) {
            line.push_str(&match form.fits(format) {
                true => match bench.microseconds(gpu, form) {
                    Ok(time) => format!(" {time:.1} us {:.0} |", bench.bytes as f64 / time / 1e3),
                    Err(error) => format!(" {error} |"),
                },
                false => " - |".into(),
            });
        }
    }
    for (line, form) in table.iter().zip(FORMS) {
        println!("| {form} |{line}");
    }
    Ok(())
}

struct MapBench {
    matrices: Vec<Matrix>,
    format: Format,
    cols: usize,
    bytes: u64,
    x: Tensor,
    out: Tensor,
}

impl MapBench {
    fn new(gpu: &Gpu, name: &str, (rows, cols): (usize, usize), format: Format) -> Result<Self> {
        let packed = PackedMatrix {
            rows,
            cols,
            format,
            quants: vec![0x1234_5678; rows * format.words_per_row(cols)],
            scales: vec![0x8400_0400; rows * format.groups_per_row(cols)],
        };
        let bytes = packed.bytes();
        let copies = if gpu.adapter.software { 1 } else { UNCACHED_BYTES.div_ceil(bytes) };
        let make = |_| {
            let matrix = Matrix::allocate(gpu, name, rows, cols, format)?;
            matrix.write_rows(gpu, 0, &packed)?;
            gpu.flush_writes()?;
            Ok(matrix)
        };
        Ok(Self {
            matrices: (0..copies).map(make).collect::<Result<_>>()?,
            format,
            cols,
            bytes,
            x: gpu.upload("x", &[1, cols], Element::F16, &vec![half::f16::ONE; cols])?,
            out: gpu.tensor("out", &[1, rows], Element::F32)?,
        })
    }

    /// Of one product, in the shortest of several chains.
    fn microseconds(&self, gpu: &Gpu, form: MatvecForm) -> Result<f64> {
        let matvec = Matvec::with_form(gpu, self.cols, self.format, form)?;
        let layout = RowLayout::of(self.format).filter(|_| form.integers());
        let row = match layout {
            Some(layout) => {
                let row = RoundedRow::new(gpu, "row", self.cols, layout)?;
                let mut recorder = Recorder::new(gpu, Duration::from_millis(500))?;
                QuantizeRow::new(gpu, layout)?.record(gpu, &mut recorder, (&self.x, &row), self.cols)?;
                recorder.finish(gpu)?;
                Some(row)
            }
            None => None,
        };
        let mut recorder = Recorder::new(gpu, Duration::from_secs(2))?;
        let rounds =
            if gpu.adapter.software { 1 } else { CHAIN_BYTES.div_ceil(self.bytes * self.matrices.len() as u64) };
        let mut best = f64::INFINITY;
        for _ in 0..=RUNS {
            for matrix in (0..rounds).flat_map(|_| &self.matrices) {
                match &row {
                    Some(row) => {
                        matvec.record_integers(gpu, &mut recorder, row, (matrix, &self.out), 0)?;
                    }
                    None => matvec.record(gpu, &mut recorder, (&self.x, matrix, &self.out), 0)?,
                }
            }
            let started = Instant::now();
            recorder.finish(gpu)?;
            best = best.min(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(best / (rounds * self.matrices.len() as u64) as f64)
    }
}
