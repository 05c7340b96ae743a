//! Compiled pipelines on disk, where the backend has them (Vulkan). One file per adapter, driver and version of foveal.
//!
//! A damaged file costs time, never correctness: wgpu checks that it is of this adapter and driver, but not the content, so
//! the file begins with a hash of it, and one that does not fit is left aside.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{Features, adapter::AdapterSummary};

/// The cache object that pipelines are created with, and its file.
pub(super) struct DiskCache {
    pub(super) cache: Option<wgpu::PipelineCache>,
    file: Option<PathBuf>,
}

impl DiskCache {
    pub(super) fn open(
        device: &wgpu::Device,
        features: &Features,
        adapter: &AdapterSummary,
        folder: Option<&Path>,
    ) -> Self {
        if !features.pipeline_cache {
            return Self { cache: None, file: None };
        }
        let file = folder.map(|folder| folder.join(file_name(adapter, "pipelines", "bin")));
        let content = file.as_deref().and_then(|file| std::fs::read(file).ok());
        let data = content.as_deref().and_then(unseal);
        if content.is_some() && data.is_none() {
            tracing::debug!("the pipeline cache is damaged: compiling anew");
        }
        Self { cache: Some(create(device, data)), file }
    }

    /// Writes what the driver has compiled so far. Failing to is no error: the next start compiles again.
    pub(super) fn save(&self) {
        let (Some(cache), Some(file)) = (&self.cache, &self.file) else { return };
        let Some(data) = cache.get_data().map(|data| seal(&data)) else { return };
        let part = file.with_extension(format!("part{}", std::process::id()));
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&part, data))
            .and_then(|()| std::fs::rename(&part, file));
        if let Err(error) = written {
            tracing::debug!("pipeline cache not kept: {error}");
        }
    }
}

#[expect(unsafe_code, reason = "wgpu asks for trust in the bytes of a pipeline cache")]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("foveal"), data, fallback: true };
    // SAFETY: the bytes come from `PipelineCache::get_data` of an earlier run in a folder of the user's, unchanged since by
    // their hash; wgpu checks adapter and driver in its own header, and `fallback` starts empty when they differ.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// The content of the file: a hash, and what was hashed. Another version of Rust may hash otherwise, and compiles anew.
fn seal(data: &[u8]) -> Vec<u8> {
    [&hash(data).to_le_bytes(), data].concat()
}

/// What was sealed, if it is that still.
fn unseal(content: &[u8]) -> Option<&[u8]> {
    let (sealed, data) = content.split_first_chunk()?;
    (u64::from_le_bytes(*sealed) == hash(data)).then_some(data)
}

fn hash(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// The name of a file that belongs to one adapter, driver and version.
pub(super) fn file_name(adapter: &AdapterSummary, kind: &str, ending: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (&adapter.name, &adapter.driver, &adapter.backend, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    format!("{kind}-{:016x}.{ending}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_or_a_missing_end_is_noticed() {
        let data: Vec<u8> = (0..200).map(|index| (index * 37) as u8).collect();
        let sealed = seal(&data);
        assert_eq!(unseal(&sealed), Some(&data[..]));
        assert_eq!(unseal(&seal(&[])), Some(&[][..]));
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 0x10;
            assert_eq!(unseal(&damaged), None, "byte {index}");
            assert_eq!(unseal(&sealed[..index]), None, "cut at {index}");
        }
    }
}
