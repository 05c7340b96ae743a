//! What the op tests share: the device in each variant, random data from a seed, poisoned outputs, comparison.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foveal::gpu::{Element, Feature, Gpu, GpuOptions, Recorder, Tensor};
use half::f16;

/// The device with everything it offers, and once for each optional feature switched off, opened once for all tests.
/// Empty, with a loud line that CI fails on, where there is no adapter.
pub(crate) fn gpu_variants() -> &'static [(String, Arc<Gpu>)] {
    static GPUS: OnceLock<Vec<(String, Arc<Gpu>)>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let open = |without: &[Feature]| {
            let without: BTreeSet<_> = without.iter().copied().collect();
            let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
            Gpu::open(&GpuOptions { device, without, cache_folder: None }).map(Arc::new)
        };
        let all = match open(&[]) {
            Ok(gpu) => gpu,
            Err(error) => {
                eprintln!("skipped: no adapter ({error})");
                return Vec::new();
            }
        };
        let mut gpus = Vec::new();
        if all.features.subgroup {
            gpus.push(("without subgroup".to_owned(), open(&[Feature::Subgroup]).unwrap()));
        }
        if all.features.coop.is_some() {
            gpus.push(("without coop".to_owned(), open(&[Feature::Coop]).unwrap()));
        }
        gpus.insert(0, (format!("all of {}", all.features), all));
        gpus
    })
}

/// Runs `test` on every variant of the device.
pub(crate) fn on_each_gpu(test: impl Fn(&Gpu)) {
    for (variant, gpu) in gpu_variants() {
        eprintln!("variant: {variant}");
        test(gpu);
        gpu.check().unwrap_or_else(|error| panic!("{variant}: {error}"));
    }
}

/// A recorder without a pressing time budget.
pub(crate) fn recorder(gpu: &Gpu) -> Recorder {
    Recorder::new(gpu, Duration::from_secs(1)).unwrap()
}

/// Small generator for test data (xorshift64*): the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Roughly normal with mean 0 and deviation 1 (sum of twelve uniforms).
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// `count` normal values times `scale`, rounded to f16 so that both sides see the same data.
    pub(crate) fn halves(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| f16::from_f32(self.normal() * scale).to_f32()).collect()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

pub(crate) fn upload_f32(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Tensor {
    gpu.upload(label, shape, Element::F32, data).unwrap()
}

pub(crate) fn upload_f16(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Tensor {
    let halves: Vec<f16> = data.iter().map(|v| f16::from_f32(*v)).collect();
    gpu.upload(label, shape, Element::F16, &halves).unwrap()
}

/// An output filled with a value that no op produces, so that what is not written shows.
pub(crate) fn poisoned(gpu: &Gpu, label: &str, shape: &[usize], element: Element) -> Tensor {
    let tensor = gpu.tensor(label, shape, element).unwrap();
    let bytes = vec![0x7Bu8; tensor.bytes() as usize];
    gpu.write(&tensor, 0, &bytes_as(element, &bytes)).unwrap();
    tensor
}

fn bytes_as(element: Element, bytes: &[u8]) -> Vec<u8> {
    debug_assert!(bytes.len() % element.bytes() == 0);
    bytes.to_vec()
}

pub(crate) fn read_f32(gpu: &Gpu, recorder: &mut Recorder, tensor: &Tensor) -> Vec<f32> {
    match tensor.element {
        Element::F32 => recorder.read::<f32>(gpu, tensor).unwrap(),
        Element::F16 => recorder.read::<f16>(gpu, tensor).unwrap().into_iter().map(f16::to_f32).collect(),
        Element::U32 => panic!("{} holds integers", tensor.label),
    }
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
