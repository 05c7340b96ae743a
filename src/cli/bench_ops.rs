//! `foveal bench --ops`: single ops at the sizes of a model, against ceilings measured on the same device.
//!
//! Matrix products in TFLOP/s (prefill) and GB/s of weights (decode); then one layer's attention over whole prompts and for
//! one token, by context length, dense beside sparse. Times are the device's own, from time stamps.

use std::time::Duration;

use crate::error::Result;
use crate::gpu::{Element, Gpu, Recorder, Tensor};
use crate::model::ModelConfig;
use crate::ops::attend_dense::{AttendDense, AttendDenseArgs};
use crate::ops::{Matmul, Matrix, Matvec};
use crate::weights::{Format, PackedMatrix};

/// Tokens of one prefill step.
const CHUNK: usize = 2048;
/// Runs of which the shortest counts.
const RUNS: usize = 3;

/// Prints the tables for `config`.
pub(super) fn run(gpu: &Gpu, config: &ModelConfig, format: Format, lengths: &[usize]) -> Result<()> {
    products(gpu, config, format)?;
    println!("\none layer of attention, ms");
    println!("{:>8} | {:>14} | {:>14}", "tokens", "prompt, dense", "token, dense");
    for length in lengths.iter().copied().filter(|length| *length > 0) {
        let layer = LayerBench::new(gpu, config, length)?;
        let dense = layer.dense_prompt(gpu)?;
        let token = layer.dense_token(gpu)?;
        println!("{length:>8} | {dense:>14.2} | {token:>14.4}");
    }
    Ok(())
}

fn products(gpu: &Gpu, config: &ModelConfig, format: Format) -> Result<()> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    println!("{format} weights, {CHUNK} tokens");
    for (name, rows, cols) in [
        ("qkv", config.qkv_width(), hidden),
        ("attention out", hidden, config.attention_width()),
        ("gate and up", 2 * inner, hidden),
        ("down", hidden, inner),
    ] {
        let matrix = Matrix::allocate(gpu, name, rows, cols, format)?;
        let packed = PackedMatrix {
            rows,
            cols,
            format,
            quants: vec![0x1234_5678; rows * format.words_per_row(cols)],
            scales: vec![0x8400_0400; rows * format.groups_per_row(cols)],
        };
        matrix.write_rows(gpu, 0, &packed)?;
        let x = gpu.tensor("x", &[CHUNK, cols], Element::F16)?;
        let out = gpu.tensor("out", &[CHUNK, rows], Element::F32)?;
        let (matmul, matvec) = (Matmul::new(gpu, cols, format)?, Matvec::new(gpu, cols, format)?);
        let many = shortest(gpu, &mut |recorder| matmul.record(gpu, recorder, (&x, &matrix, &out), 0, CHUNK))?;
        let one = shortest(gpu, &mut |recorder| matvec.record(gpu, recorder, (&x, &matrix, &out), 0))?;
        let teraflops = 2.0 * (rows * cols * CHUNK) as f64 / many / 1e6;
        let gigabytes = matrix.bytes() as f64 / one / 1e3;
        println!("  {name:<14} {rows:>6} x {cols:<6} {many:>9.0} us {teraflops:>6.1} TFLOP/s | {one:>7.1} us {gigabytes:>6.0} GB/s");
    }
    Ok(())
}

/// Microseconds of the shortest of several runs.
fn shortest(gpu: &Gpu, record: &mut dyn FnMut(&mut Recorder) -> Result<()>) -> Result<f64> {
    let mut recorder = Recorder::new(gpu, Duration::from_millis(500))?;
    recorder.profile(gpu)?;
    let mut best = f64::INFINITY;
    for _ in 0..=RUNS {
        record(&mut recorder)?;
        recorder.finish(gpu)?;
        let total: f64 = recorder.take_times().iter().map(|time| time.microseconds).sum();
        best = best.min(total);
    }
    Ok(best)
}

/// One layer's cache and activations.
struct LayerBench {
    length: usize,
    dense: AttendDense,
    queries: Tensor,
    out: Tensor,
    partial: Tensor,
    keys: Tensor,
    values: Tensor,
}

impl LayerBench {
    fn new(gpu: &Gpu, config: &ModelConfig, length: usize) -> Result<Self> {
        let heads = config.heads;
        let cache = [heads.kv_heads, length.next_multiple_of(64), heads.head_dim];
        let width = config.attention_width();
        Ok(Self {
            length,
            dense: AttendDense::new(gpu, heads)?,
            queries: random(gpu, "queries", &[CHUNK, width], 1)?,
            out: gpu.tensor("out", &[CHUNK, width], Element::F16)?,
            partial: gpu.tensor("partial", &AttendDense::partial_shape(heads), Element::F32)?,
            keys: random(gpu, "keys", &cache, 2)?,
            values: random(gpu, "values", &cache, 3)?,
        })
    }

    fn args(&self, start: usize, tokens: usize) -> AttendDenseArgs<'_> {
        AttendDenseArgs {
            queries: &self.queries,
            keys: &self.keys,
            values: &self.values,
            partial: &self.partial,
            out: &self.out,
            start,
            tokens,
        }
    }

    /// Milliseconds for the whole prompt, chunk by chunk.
    fn dense_prompt(&self, gpu: &Gpu) -> Result<f64> {
        let chunks = || (0..self.length).step_by(CHUNK).map(|start| (start, CHUNK.min(self.length - start)));
        let time = shortest(gpu, &mut |recorder| {
            chunks().try_for_each(|(start, tokens)| {
                self.dense.record_prefill(gpu, recorder, &self.args(start, tokens))
            })
        })?;
        Ok(time / 1e3)
    }

    /// Milliseconds for one token at the end.
    fn dense_token(&self, gpu: &Gpu) -> Result<f64> {
        let time = shortest(gpu, &mut |recorder| {
            self.dense.record_decode(gpu, recorder, &self.args(self.length - 1, 1))
        })?;
        Ok(time / 1e3)
    }
}

/// Roughly normal f16 values.
fn random(gpu: &Gpu, label: &str, shape: &[usize], seed: u64) -> Result<Tensor> {
    let tensor = gpu.tensor(label, shape, Element::F16)?;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        // The sum of four bytes around zero, with a deviation of one.
        let sum: u64 = (0..4).map(|i| (bits >> (16 + 8 * i)) & 0xFF).sum();
        half::f16::from_f32((sum as f32 - 510.0) / 148.0)
    };
    let data: Vec<half::f16> = (0..tensor.len()).map(|_| next()).collect();
    gpu.write(&tensor, 0, &data)?;
    Ok(tensor)
}
