//! `foveal bench`: prompt and generation speed at given depths, on random weights of a known shape or on a model.
//!
//! Every figure is the median of repetitions on a warm device, through the same session that the commands use. Depths
//! are reached by filling the cache with random keys and values, which costs seconds instead of a prompt of that length.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::built_in;
use crate::error::{Error, Result};
use crate::gpu::{Feature, Gpu, GpuOptions, OpTime};
use crate::model::{Attention, LoadOptions, Model, random};
use crate::ops::CacheFormat;
use crate::session::Session;
use crate::weights::{Checkpoint, Format};

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Random 4-bit weights of this shape: minicpm4.1-8b, minicpm4-0.5b or tiny
    #[arg(long, default_value = "minicpm4.1-8b", conflicts_with = "model")]
    shape: String,
    /// Model folder or .gguf file in place of random weights
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Tokens in the cache before each measurement
    #[arg(long, value_delimiter = ',', default_value = "0,8192,32768,131072")]
    depths: Vec<usize>,
    /// Tokens of a prompt
    #[arg(long, default_value_t = 2048)]
    prompt: usize,
    /// Tokens to generate
    #[arg(long, default_value_t = 128)]
    generate: usize,
    /// Measurements of each kind
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Bits of a weight, 4 or 8
    #[arg(long, default_value_t = 4)]
    bits: u32,
    /// Weights that share a scale
    #[arg(long, default_value_t = 64)]
    group: usize,
    /// Keys and values: f16 or q8
    #[arg(long, value_name = "f16|q8", default_value_t)]
    kv: CacheFormat,
    /// Tokens of a prefill step
    #[arg(long)]
    chunk: Option<usize>,
    /// auto, dense or sparse
    #[arg(long, default_value = "auto")]
    attention: Attention,
    /// Optional features to leave unused
    #[arg(long, value_delimiter = ',')]
    without: Vec<Feature>,
    /// Adapter by number or part of its name
    #[arg(long)]
    device: Option<String>,
    /// Copy what every token read with its result, as the window does
    #[arg(long)]
    trace: bool,
    /// Print GPU time by kernel for one step of each kind
    #[arg(long)]
    profile: bool,
    /// Measure single ops instead
    #[arg(long)]
    ops: bool,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["profile", "ops"])]
    json: bool,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    test: &'static str,
    depth: usize,
    attention: Attention,
    /// The median.
    tokens_per_second: f64,
    /// Largest less smallest sample, of the median.
    spread: f64,
    samples: Vec<f64>,
    longest_submit_ms: f64,
    /// Bytes of weights and cache that a generated token must read, times its rate, of what a copy moves.
    share_of_copy_bandwidth: Option<f64>,
}

/// Runs the measurements and prints them.
pub fn run(args: &BenchArgs) -> Result<()> {
    let options = GpuOptions {
        device: args.device.clone(),
        without: args.without.iter().copied().collect(),
        cache_folder: Some(built_in::cache_folder().join("pipelines")),
        ..Default::default()
    };
    let gpu = Arc::new(Gpu::open(&options)?);
    eprintln!("{} ({}, {}): {}", gpu.adapter.name, gpu.adapter.backend, gpu.adapter.driver, gpu.features);
    let format = Format::Affine { bits: args.bits, group: args.group };
    if args.ops {
        return super::bench_ops::run(&gpu, &random::shape(&args.shape)?, (format, args.kv), &args.depths);
    }
    let deepest = args.depths.iter().copied().max().unwrap_or(0);
    let load = LoadOptions {
        context: Some(deepest + args.prompt.max(args.generate) + 64),
        chunk: args.chunk,
        kv: args.kv,
        ..Default::default()
    };
    let started = Instant::now();
    let (model, name) = match &args.model {
        None => (Model::random(&gpu, random::shape(&args.shape)?, format, &load)?, args.shape.clone()),
        Some(path) => {
            let checkpoint = Checkpoint::open(path)?;
            (Model::load(&gpu, &checkpoint, &load, &mut |_, _, _| Ok(()))?, path.display().to_string())
        }
    };
    eprintln!("{name} in {:.1} s; {}", started.elapsed().as_secs_f64(), model.memory.describe());
    let (planned, held) = (model.memory.total() >> 20, gpu.allocated_bytes() >> 20);
    let token_bytes = model.bytes_per_token();
    let mut session = Session::with_model(model, Duration::from_millis(100))?;
    session.set_attention(args.attention);
    session.set_trace(args.trace);
    eprintln!("planned {planned} MiB, held {} MiB with the cache ({held} without)", gpu.allocated_bytes() >> 20);
    let copy = super::bandwidth::of_copies(&gpu)?;
    if let Some(copy) = copy {
        eprintln!("copying moves {:.0} GB/s (read and written)", copy / 1e9);
    }
    if !args.json {
        println!("| test | depth | attention | tok/s | spread | of copy bandwidth | longest submit |");
        println!("|---|---|---|---|---|---|---|");
    }
    let mut rows = Vec::new();
    for depth in &args.depths {
        session.pretend(*depth)?;
        for (test, count) in [("prompt", args.prompt), ("generation", args.generate)] {
            if count > 0 {
                let mut row = measure(&mut session, (test, args.attention), *depth, count, args.repetitions)?;
                if test == "generation" {
                    let read = token_bytes + session.cache_bytes_read(*depth + count / 2);
                    row.share_of_copy_bandwidth = copy.map(|copy| row.tokens_per_second * read as f64 / copy);
                }
                if !args.json {
                    println!("{}", row.markdown());
                }
                rows.push(row);
            }
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| Error::gpu("writing JSON", error))?;
        println!("{text}");
    }
    if args.profile {
        profile(&mut session, args)?;
    }
    Ok(())
}

impl Row {
    fn markdown(&self) -> String {
        let share = self.share_of_copy_bandwidth.map_or("-".into(), |share| format!("{:.0} %", share * 100.0));
        format!(
            "| {} | {} | {} | {:.1} | {:.1} % | {share} | {:.0} ms |",
            self.test,
            self.depth,
            self.attention,
            self.tokens_per_second,
            self.spread * 100.0,
            self.longest_submit_ms
        )
    }
}

fn measure(
    session: &mut Session,
    (test, attention): (&'static str, Attention),
    depth: usize,
    count: usize,
    repetitions: usize,
) -> Result<Row> {
    let mut samples = Vec::new();
    // One more than counted: the first warms up.
    for repetition in 0..=repetitions {
        session.truncate(depth);
        let seconds = if test == "prompt" { prompt(session, depth, count)? } else { generation(session, count)? };
        if repetition > 0 {
            samples.push(count as f64 / seconds);
        } else {
            // Filling the cache at random is no step.
            session.take_longest_submit();
        }
    }
    let mut sorted = samples.clone();
    sorted.sort_by(f64::total_cmp);
    let tokens_per_second = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let longest_submit_ms = session.take_longest_submit().as_secs_f64() * 1e3;
    let range = sorted.last().zip(sorted.first()).map_or(0.0, |(most, least)| most - least);
    let spread = range / tokens_per_second.max(1e-9);
    let share_of_copy_bandwidth = None;
    Ok(Row { test, depth, attention, tokens_per_second, spread, samples, longest_submit_ms, share_of_copy_bandwidth })
}

fn prompt(session: &mut Session, depth: usize, count: usize) -> Result<f64> {
    let mut context = vec![0; depth];
    context.extend((0..count).map(|i| 1 + (i % 1000) as u32));
    let started = Instant::now();
    session.feed(&context, &mut |_, _| Ok(()))?;
    Ok(started.elapsed().as_secs_f64())
}

fn generation(session: &mut Session, count: usize) -> Result<f64> {
    // The first token of a kind of step compiles nothing but fills caches.
    let started = Instant::now();
    for index in 0..count {
        session.advance(1 + index as u32)?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn profile(session: &mut Session, args: &BenchArgs) -> Result<()> {
    session.profile()?;
    for depth in &args.depths {
        for (test, count) in [("prompt", args.prompt), ("generation", 1)] {
            session.pretend(*depth)?;
            session.take_times();
            if test == "prompt" {
                prompt(session, *depth, count)?
            } else {
                generation(session, count)?
            };
            let mut times = session.take_times();
            times.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
            let total: f64 = times.iter().map(|time| time.microseconds).sum();
            println!("{test} at {depth}: {:.3} ms on the device", total / 1000.0);
            for OpTime { label, count, microseconds } in times {
                let share = 100.0 * microseconds / total;
                println!("  {label:<28} {count:>5} x {:>10.1} us {share:>6.1} %", microseconds / count as f64);
            }
        }
    }
    Ok(())
}
