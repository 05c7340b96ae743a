//! What the op tests share: the device in each variant, random data from a seed, poisoned outputs, comparison.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use foveal::gpu::{Element, Feature, Gpu, GpuOptions, Recorder, Tensor};
use foveal::ops::{CacheFormat, CachedTokens, HeadShape};
pub(crate) use foveal::selfcheck::Random;
use foveal::selfcheck::{self, Comparison};

/// The device with everything it offers, and once for each optional feature switched off, opened once for all tests.
/// Empty, with a loud line that CI fails on, where there is no adapter. `FOVEAL_TEST_VARIANTS` is how many at most, where compiling
/// is slow: 1 is the device with everything. `FOVEAL_TEST_WITHOUT` names a feature that none of them has.
pub(crate) fn gpu_variants() -> &'static [(String, Arc<Gpu>)] {
    static GPUS: OnceLock<Vec<(String, Arc<Gpu>)>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
        let most = std::env::var("FOVEAL_TEST_VARIANTS").map_or(usize::MAX, |count| count.parse().unwrap());
        let without = std::env::var("FOVEAL_TEST_WITHOUT").map(|name| name.parse().unwrap()).into_iter().collect();
        match selfcheck::variants(&GpuOptions { device, without, ..Default::default() }) {
            Ok(gpus) => gpus.into_iter().take(most).map(|(variant, gpu)| (variant, Arc::new(gpu))).collect(),
            Err(error) => {
                // Past the capture of passing tests: CI looks for this line.
                let _ = writeln!(std::io::stderr(), "skipped: no adapter ({error})");
                Vec::new()
            }
        }
    })
}

/// The device as one that multiplies the prompt's activations as integers: a graphics card without cooperative matrices does,
/// and a software driver can. `None` without an adapter.
pub(crate) fn gpu_in_integers() -> Option<Arc<Gpu>> {
    if gpu_variants().is_empty() {
        return None;
    }
    let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
    let without = [Feature::Coop].into();
    let mut gpu = Gpu::open(&GpuOptions { device, without, ..Default::default() }).unwrap();
    gpu.features.int8 = true;
    Some(Arc::new(gpu))
}

/// Runs `test` on every variant of the device.
pub(crate) fn on_each_gpu(test: impl Fn(&Gpu)) {
    for (variant, gpu) in gpu_variants() {
        eprintln!("variant: {variant}");
        test(gpu);
        gpu.check().unwrap_or_else(|error| panic!("{variant}: {error}"));
    }
}

/// Runs one of the checks that `foveal selfcheck` runs too, on every variant of the device.
pub(crate) fn check_on_each_gpu(check: impl Fn(&Gpu) -> foveal::error::Result<Comparison>) {
    on_each_gpu(|gpu| {
        let comparison = check(gpu).unwrap();
        assert!(comparison.is_right(), "{} ({} x the tolerance)", comparison.worst, comparison.share);
    });
}

pub(crate) fn recorder(gpu: &Gpu) -> Recorder {
    selfcheck::recorder(gpu).unwrap()
}

pub(crate) fn upload_f32(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Tensor {
    selfcheck::upload_f32(gpu, label, shape, data).unwrap()
}

pub(crate) fn upload_f16(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Tensor {
    selfcheck::upload_f16(gpu, label, shape, data).unwrap()
}

pub(crate) fn upload_cache(
    gpu: &Gpu,
    heads: HeadShape,
    format: CacheFormat,
    data: (&mut [f32], &mut [f32]),
) -> CachedTokens {
    selfcheck::upload_cache(gpu, heads, format, data).unwrap()
}

pub(crate) fn read_f32(gpu: &Gpu, recorder: &mut Recorder, tensor: &Tensor) -> Vec<f32> {
    selfcheck::read_f32(gpu, recorder, tensor).unwrap()
}

pub(crate) fn poisoned(gpu: &Gpu, label: &str, shape: &[usize], element: Element) -> Tensor {
    selfcheck::poisoned(gpu, label, shape, element).unwrap()
}

/// Largest |a - b| / (absolute + relative * |b|) must stay at most 1.
pub(crate) fn close(what: &str, got: &[f32], expected: &[f32], absolute: f32, relative: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let mut worst = (0.0f32, 0);
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(g.is_finite(), "{what}: [{i}] is {g}, expected {e}");
        let excess = (g - e).abs() / (absolute + relative * e.abs());
        if excess > worst.0 {
            worst = (excess, i);
        }
    }
    let (excess, i) = worst;
    assert!(excess <= 1.0, "{what}: [{i}] is {}, expected {} ({excess} x the tolerance)", got[i], expected[i]);
}
