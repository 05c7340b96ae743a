//! Compiled pipelines on disk, where the backend has them (Vulkan). One file per adapter, driver and version of foveal.
//!
//! The driver checks the content itself and falls back to compiling, so a damaged file costs time, never correctness.

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
        let data = file.as_deref().and_then(|file| std::fs::read(file).ok());
        Self { cache: Some(create(device, data.as_deref())), file }
    }

    /// Writes what the driver has compiled so far. Failing to is no error: the next start compiles again.
    pub(super) fn save(&self) {
        let (Some(cache), Some(file)) = (&self.cache, &self.file) else { return };
        let Some(data) = cache.get_data() else { return };
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
    // SAFETY: the bytes come from `PipelineCache::get_data` of an earlier run in a folder of the user's; wgpu checks
    // its own header (adapter, driver, hash of the content) and `fallback` starts empty when that check fails.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// The name of a file that belongs to one adapter, driver and version.
pub(super) fn file_name(adapter: &AdapterSummary, kind: &str, ending: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (&adapter.name, &adapter.driver, &adapter.backend, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    format!("{kind}-{:016x}.{ending}", hasher.finish())
}
