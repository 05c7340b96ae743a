//! Faults on purpose: a lost device, no memory, a compiler that fails, numbers that overflow, and long use. After each the
//! engine must go on, and what it computes must be what it would have computed without the fault.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod complaints;
mod device_loss;
mod memory;
mod numbers;
mod soak;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveal::error::Result;
use foveal::gpu::{Faults, Gpu, GpuOptions};
use foveal::model::LoadOptions;
use foveal::session::Session;
use foveal::weights::Checkpoint;

/// Submits of the tests are cut so that a step has several.
const BUDGET: std::time::Duration = std::time::Duration::from_millis(5);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints").join(name)
}

fn options() -> LoadOptions {
    LoadOptions { context: Some(1024), chunk: Some(64), ..Default::default() }
}

/// Compiled kernels are shared by all devices of these tests, which open many.
fn cache_folder() -> PathBuf {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned()
}

/// The device of the tests with faults; nothing where there is none.
fn gpu_with(faults: &Faults) -> Option<Arc<Gpu>> {
    crate::harness::gpu_variants().first()?;
    let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
    let cache_folder = Some(cache_folder());
    let options = GpuOptions { device, cache_folder, faults: faults.clone(), ..Default::default() };
    Some(Arc::new(Gpu::open(&options).unwrap()))
}

fn load(gpu: &Arc<Gpu>, name: &str, options: &LoadOptions) -> Result<Session> {
    Session::on_gpu(gpu, &Checkpoint::open(&folder(name))?, options, BUDGET, &mut |_, _, _| Ok(()))
}

/// Some text of a vocabulary of 200 and more tokens, the same each time.
fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 7) % 190 + 3)
        .collect()
}
