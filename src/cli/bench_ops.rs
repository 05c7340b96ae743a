//! `foveal bench --ops`: single ops at the sizes of a model, against ceilings measured on the same device.
//!
//! Matrix products in TFLOP/s (prefill) and GB/s of weights (decode), beside the bandwidth of a copy; then one layer's attention
//! over whole prompts and for one token, by context length, dense beside sparse. Times are the device's own, from time stamps; those of one
//! token are a 200th of 200 tokens'.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Element, Gpu, OpTime, Recorder, Tensor};
use crate::kv_cache::{KvCache, LayerCache};
use crate::model::ModelConfig;
use crate::ops::attend_dense::AttendDenseArgs;
use crate::ops::attend_sparse::AttendSparseArgs;
use crate::ops::compress_keys::CompressKeysArgs;
use crate::ops::score_blocks::ScoreBlocksArgs;
use crate::ops::select_blocks::SelectBlocksArgs;
use crate::ops::{
    AttendDense, AttendSparse, CacheFormat, CacheTiles, CachedTokens, CompressKeys, Matmul, Matrix, QuantizeRow,
    RoundedRows, ScoreBlocks, SelectBlocks,
};
use crate::weights::{Format, PackedMatrix};

/// Tokens of one prefill step.
const CHUNK: usize = 2048;
/// Runs of which the shortest counts.
const RUNS: usize = 3;
/// Tokens of a run where single ones are too short to time.
const TOKENS: usize = 200;

/// Prints the tables for `config`.
pub(super) fn run(
    gpu: &Gpu,
    config: &ModelConfig,
    (format, kv): (Format, CacheFormat),
    lengths: &[usize],
) -> Result<()> {
    if let Some(copy) = super::bandwidth::of_copies(gpu)? {
        println!("copying moves {:.0} GB/s (read and written)", copy / 1e9);
    }
    products(gpu, config, format)?;
    super::bench_forms::run(gpu, config, format)?;
    println!("\none layer of attention, ms");
    println!(
        "| tokens | prompt dense | prompt sparse | compress | score | select | attend | token dense | token sparse |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for length in lengths.iter().copied().filter(|length| *length > 0) {
        let layer = LayerBench::new(gpu, config, (kv, length))?;
        let dense = total(&layer.dense_prompt(gpu)?);
        let sparse = layer.sparse_prompt(gpu)?;
        let part = |name: &str| {
            sparse.iter().filter(|time| time.label.contains(name)).map(|time| time.microseconds).sum::<f64>() / 1e3
        };
        let parts = ["compress", "score", "select", "attend"].map(part);
        let token = per_token(gpu, &mut |recorder| layer.dense_token(gpu, recorder))?;
        let sparse_token = per_token(gpu, &mut |recorder| layer.sparse_token(gpu, recorder))?;
        println!(
            "| {length} | {dense:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.4} | {:.4} |",
            total(&sparse),
            parts[0],
            parts[1],
            parts[2],
            parts[3],
            token,
            sparse_token
        );
        for time in &sparse {
            eprintln!("  {:<32} {:>8.1} ms", time.label, time.microseconds / 1e3);
        }
        for time in shortest_times(gpu, &mut |recorder| layer.sparse_token(gpu, recorder))? {
            eprintln!("  {:<32} {:>8.1} us", time.label, time.microseconds);
        }
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
        let matmul = Matmul::new(gpu, cols, format)?;
        let many = match matmul.layout() {
            None => shortest(gpu, &mut |recorder| matmul.record(gpu, recorder, (&x, &matrix, &out), 0, CHUNK))?,
            Some(layout) => {
                let (quantize_row, rows) =
                    (QuantizeRow::new(gpu, layout)?, RoundedRows::new(gpu, "rows", CHUNK, cols)?);
                shortest(gpu, &mut |recorder| {
                    quantize_row.record_rows(gpu, recorder, (&x, &rows), (CHUNK, cols))?;
                    matmul.record_integers(gpu, recorder, (&rows, &matrix, &out), 0, CHUNK)
                })?
            }
        };
        let teraflops = 2.0 * (rows * cols * CHUNK) as f64 / many / 1e6;
        println!("  {name:<14} {rows:>6} x {cols:<6} {many:>9.0} us {teraflops:>6.1} TFLOP/s");
    }
    Ok(())
}

/// Milliseconds of all kernels together.
fn total(times: &[OpTime]) -> f64 {
    times.iter().map(|time| time.microseconds).sum::<f64>() / 1e3
}

/// Microseconds of the shortest of several runs.
fn shortest(gpu: &Gpu, record: &mut dyn FnMut(&mut Recorder) -> Result<()>) -> Result<f64> {
    Ok(total(&shortest_times(gpu, record)?) * 1e3)
}

/// Times by kernel of the shortest of several runs.
fn shortest_times(gpu: &Gpu, record: &mut dyn FnMut(&mut Recorder) -> Result<()>) -> Result<Vec<OpTime>> {
    let mut recorder = Recorder::new(gpu, Duration::from_millis(500))?;
    recorder.profile(gpu)?;
    let mut best: Vec<OpTime> = Vec::new();
    for _ in 0..=RUNS {
        record(&mut recorder)?;
        recorder.finish(gpu)?;
        let times = recorder.take_times();
        if best.is_empty() || total(&times) < total(&best) {
            best = times;
        }
    }
    Ok(best)
}

/// Milliseconds of one token's kernels with the gaps between them: many tokens one after the other in one submit, because a
/// time stamp beside each dispatch takes longer than the shortest of these kernels.
fn per_token(gpu: &Gpu, record: &mut dyn FnMut(&mut Recorder) -> Result<()>) -> Result<f64> {
    let mut recorder = Recorder::new(gpu, Duration::from_secs(2))?;
    let mut shortest = f64::INFINITY;
    for _ in 0..=RUNS {
        recorder.encode_ahead(gpu, &mut |recorder| (0..TOKENS).try_for_each(|_| record(recorder)))?;
        let started = Instant::now();
        // On a slow device they are too much for one submit, and nothing was kept.
        if !recorder.submit_ahead(gpu)? {
            (0..TOKENS).try_for_each(|_| record(&mut recorder))?;
        }
        recorder.finish(gpu)?;
        shortest = shortest.min(started.elapsed().as_secs_f64());
    }
    Ok(shortest * 1e3 / TOKENS as f64)
}

/// One layer's cache and activations.
struct LayerBench {
    length: usize,
    dense: AttendDense,
    sparse: SparseOps,
    scratch: SparseScratch,
    queries: Tensor,
    out: Tensor,
    partial: Tensor,
    tiles: Option<CacheTiles>,
    cache: LayerCache,
}

struct SparseOps {
    compress: CompressKeys,
    score: ScoreBlocks,
    select: SelectBlocks,
    attend: AttendSparse,
}

struct SparseScratch {
    lse: Tensor,
    scores: Tensor,
    ids: Tensor,
    partials: Tensor,
    marks: Tensor,
}

impl LayerBench {
    fn new(gpu: &Gpu, config: &ModelConfig, (kv, length): (CacheFormat, usize)) -> Result<Self> {
        let (heads, settings) = (config.heads, config.sparse.settings);
        let capacity = KvCache::capacity_for(length);
        let shape = |stride: usize| [heads.kv_heads, capacity / stride, heads.head_dim];
        let width = config.attention_width();
        let sparse = SparseOps {
            compress: CompressKeys::new(gpu, heads, settings, kv)?,
            score: ScoreBlocks::new(gpu, heads, settings)?,
            select: SelectBlocks::new(gpu, heads, settings)?,
            attend: AttendSparse::new(gpu, heads, settings, kv, &[])?,
        };
        let queries = gpu.tensor("queries", &[CHUNK, width], Element::F16)?;
        fill(gpu, &queries, 1)?;
        let tokens = CachedTokens::new(gpu, "layer", heads, kv, capacity)?;
        fill(gpu, &tokens.keys, 2)?;
        fill(gpu, &tokens.values, 3)?;
        if let Some(scales) = &tokens.scales {
            gpu.write(scales, 0, &vec![1.0f32 / 37.0; scales.len()])?;
        }
        let floats = |label: &str, count: usize| gpu.tensor(label, &[count], Element::F32);
        Ok(Self {
            length,
            dense: AttendDense::new(gpu, heads, kv, &[])?,
            scratch: SparseScratch {
                lse: floats("lse", sparse.score.lse_len(CHUNK, capacity))?,
                scores: gpu.tensor("scores", &sparse.score.scores_shape(CHUNK, capacity), Element::F32)?,
                ids: gpu.tensor("ids", &sparse.select.ids_shape(CHUNK), Element::U32)?,
                partials: floats("partials", sparse.attend.partials_len(CHUNK))?,
                marks: gpu.tensor("marks", &[capacity.div_ceil(settings.block_size)], Element::U32)?,
            },
            sparse,
            queries,
            out: gpu.tensor("out", &[CHUNK, width], Element::F16)?,
            tiles: CacheTiles::new(gpu, heads, capacity)?,
            partial: gpu.tensor("partial", &AttendDense::partial_shape(heads), Element::F32)?,
            cache: LayerCache {
                tokens,
                fine: gpu.tensor("fine", &shape(settings.kernel_stride), Element::F16)?,
                coarse: gpu.tensor("coarse", &shape(settings.block_size), Element::F16)?,
            },
        })
    }

    fn chunks(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.length).step_by(CHUNK).map(|start| (start, CHUNK.min(self.length - start)))
    }

    fn dense_args(&self, start: usize, tokens: usize) -> AttendDenseArgs<'_> {
        let cache = &self.cache.tokens;
        AttendDenseArgs {
            queries: &self.queries,
            cache,
            tiles: self.tiles.as_ref(),
            partial: &self.partial,
            out: (&self.out).into(),
            start,
            tokens,
        }
    }

    fn compress_args(&self, start: usize, tokens: usize) -> CompressKeysArgs<'_> {
        let LayerCache { tokens: cache, fine, coarse } = &self.cache;
        CompressKeysArgs { cache, fine, coarse, start, tokens }
    }

    fn score_args(&self, start: usize, tokens: usize) -> ScoreBlocksArgs<'_> {
        let (LayerCache { fine, coarse, .. }, SparseScratch { lse, scores, .. }) = (&self.cache, &self.scratch);
        ScoreBlocksArgs { q: &self.queries, fine, coarse, lse, scores, start, tokens }
    }

    fn select_args(&self, start: usize, tokens: usize) -> SelectBlocksArgs<'_> {
        let SparseScratch { scores, ids, marks, .. } = &self.scratch;
        SelectBlocksArgs { scores, ids, marks, marks_from: usize::MAX, start, tokens }
    }

    fn attend_args(&self, start: usize, tokens: usize) -> AttendSparseArgs<'_> {
        let (cache, SparseScratch { ids, partials, .. }) = (&self.cache.tokens, &self.scratch);
        let (q, tiles, out) = (&self.queries, self.tiles.as_ref(), (&self.out).into());
        AttendSparseArgs { q, cache, tiles, ids, partials, out, start, tokens }
    }

    /// A whole prompt, chunk by chunk.
    fn dense_prompt(&self, gpu: &Gpu) -> Result<Vec<OpTime>> {
        shortest_times(gpu, &mut |recorder| {
            self.chunks().try_for_each(|(start, tokens)| {
                self.dense.record_prefill(gpu, recorder, &self.dense_args(start, tokens))
            })
        })
    }

    fn sparse_prompt(&self, gpu: &Gpu) -> Result<Vec<OpTime>> {
        shortest_times(gpu, &mut |recorder| {
            self.chunks().try_for_each(|(start, tokens)| {
                self.sparse.compress.record(gpu, recorder, &self.compress_args(start, tokens))?;
                self.sparse.score.record_prefill(gpu, recorder, &self.score_args(start, tokens))?;
                self.sparse.select.record(gpu, recorder, &self.select_args(start, tokens))?;
                self.sparse.attend.record_prefill(gpu, recorder, &self.attend_args(start, tokens))
            })
        })
    }

    /// One token at the end.
    fn dense_token(&self, gpu: &Gpu, recorder: &mut Recorder) -> Result<()> {
        self.dense.record_decode(gpu, recorder, &self.dense_args(self.length - 1, 1))
    }

    fn sparse_token(&self, gpu: &Gpu, recorder: &mut Recorder) -> Result<()> {
        let at = self.length - 1;
        self.sparse.compress.record(gpu, recorder, &self.compress_args(at, 1))?;
        self.sparse.score.record_decode(gpu, recorder, &self.score_args(at, 1))?;
        self.sparse.select.record(gpu, recorder, &self.select_args(at, 1))?;
        self.sparse.attend.record_decode(gpu, recorder, &self.attend_args(at, 1))
    }
}

/// Roughly normal values with a deviation of one; as 8-bit integers, of 37.
fn fill(gpu: &Gpu, tensor: &Tensor, seed: u64) -> Result<()> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        // The sum of four bytes around zero.
        let sum: u64 = (0..4).map(|i| (bits >> (16 + 8 * i)) & 0xFF).sum();
        sum as f32 - 510.0
    };
    if tensor.element == Element::F16 {
        let data: Vec<half::f16> = (0..tensor.len()).map(|_| half::f16::from_f32(next() / 148.0)).collect();
        return gpu.write(tensor, 0, &data);
    }
    let data: Vec<i8> = (0..tensor.len() * 4).map(|_| (next() / 4.0) as i8).collect();
    gpu.write(tensor, 0, &data)
}
