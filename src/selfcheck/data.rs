//! Random data that is the same on every machine, and its way to the device and back.

use std::time::Duration;

use half::f16;

use crate::error::{Error, Result};
use crate::gpu::{Element, Gpu, Recorder, Tensor};
use crate::ops::{CacheFormat, CachedTokens, HeadShape};
use crate::reference;
use crate::weights::{Format, PackedMatrix};

/// Small generator of test data (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A sequence for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Roughly normal with mean 0 and deviation 1 (sum of twelve uniforms).
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// `count` normal values times `scale`, rounded to f16 so that both sides see the same data.
    pub fn halves(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| f16::from_f32(self.normal() * scale).to_f32()).collect()
    }

    /// A whole number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }
}

/// A random matrix in the packed layout.
pub fn random_matrix(random: &mut Random, rows: usize, cols: usize, format: Format) -> Result<PackedMatrix> {
    let values = random.halves(rows * cols, 0.5);
    PackedMatrix::quantize("w", rows, cols, &values, format)
}

/// A recorder without a pressing time budget.
pub fn recorder(gpu: &Gpu) -> Result<Recorder> {
    Recorder::new(gpu, Duration::from_secs(1))
}

/// A tensor of f32.
pub fn upload_f32(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Result<Tensor> {
    gpu.upload(label, shape, Element::F32, data)
}

/// A tensor of f16.
pub fn upload_f16(gpu: &Gpu, label: &str, shape: &[usize], data: &[f32]) -> Result<Tensor> {
    let halves: Vec<f16> = data.iter().map(|value| f16::from_f32(*value)).collect();
    gpu.upload(label, shape, Element::F16, &halves)
}

/// A cache that holds `keys` and `values`, (kv_heads, capacity, head_dim) each, which become what attention reads of them.
pub fn upload_cache(
    gpu: &Gpu,
    heads: HeadShape,
    format: CacheFormat,
    (keys, values): (&mut [f32], &mut [f32]),
) -> Result<CachedTokens> {
    let capacity = keys.len() / (heads.kv_heads * heads.head_dim);
    let cache = CachedTokens::new(gpu, "cache", heads, format, capacity)?;
    let mut both_scales = Vec::new();
    for (tensor, data) in [(&cache.keys, keys), (&cache.values, values)] {
        match format {
            CacheFormat::F16 => {
                let halves: Vec<f16> = data.iter().map(|value| f16::from_f32(*value)).collect();
                gpu.write(tensor, 0, &halves)?;
            }
            CacheFormat::Q8 => {
                let rows = data.chunks_exact(heads.head_dim).map(reference::quantise);
                let (integers, scales): (Vec<_>, Vec<_>) = rows.unzip();
                gpu.write(tensor, 0, &integers.concat())?;
                both_scales.push(scales);
            }
        }
        for row in data.chunks_exact_mut(heads.head_dim) {
            row.copy_from_slice(&reference::read_back(row, format));
        }
    }
    if let (Some(tensor), [of_keys, of_values]) = (&cache.scales, both_scales.as_slice()) {
        let scales: Vec<[f32; 2]> = of_keys.iter().zip(of_values).map(|(key, value)| [*key, *value]).collect();
        gpu.write(tensor, 0, &scales)?;
    }
    Ok(cache)
}

/// An output filled with a value that no op produces, so that what is not written shows.
pub fn poisoned(gpu: &Gpu, label: &str, shape: &[usize], element: Element) -> Result<Tensor> {
    let tensor = gpu.tensor(label, shape, element)?;
    gpu.write(&tensor, 0, &vec![0x7Bu8; tensor.bytes() as usize])?;
    Ok(tensor)
}

/// A float tensor's content.
pub fn read_f32(gpu: &Gpu, recorder: &mut Recorder, tensor: &Tensor) -> Result<Vec<f32>> {
    match tensor.element {
        Element::F32 => recorder.read::<f32>(gpu, tensor),
        Element::F16 => Ok(recorder.read::<f16>(gpu, tensor)?.into_iter().map(f16::to_f32).collect()),
        Element::U32 => Err(Error::shape(&tensor.label, "floats", "integers")),
    }
}
