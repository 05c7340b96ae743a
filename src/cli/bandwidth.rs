//! How fast the device copies its own memory: the ceiling of everything that is bound by reading weights and keys.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Element, Gpu, Recorder};
use crate::ops::Copy;

/// Bytes of a copy, where the device allows it: more than any cache holds.
const BYTES: u64 = 512 << 20;
/// Copies of a run, and runs of which the shortest counts.
const COPIES: usize = 16;
const RUNS: usize = 3;

/// Bytes read and written per second while one tensor is copied to another; `None` for software.
pub(super) fn of_copies(gpu: &Gpu) -> Result<Option<f64>> {
    if gpu.adapter.software {
        return Ok(None);
    }
    let bytes = BYTES.min(gpu.max_binding_bytes() / 16 * 16);
    let tensor = |label| gpu.tensor(label, &[bytes as usize / 4], Element::U32);
    let (x, out, copy) = (tensor("copied")?, tensor("copy")?, Copy::new(gpu)?);
    let mut recorder = Recorder::new(gpu, Duration::from_secs(2))?;
    let mut shortest = f64::INFINITY;
    for _ in 0..=RUNS {
        for _ in 0..COPIES {
            copy.record(gpu, &mut recorder, &x, &out)?;
        }
        let started = Instant::now();
        recorder.finish(gpu)?;
        shortest = shortest.min(started.elapsed().as_secs_f64());
    }
    Ok(Some((2 * bytes * COPIES as u64) as f64 / shortest))
}
