//! Which graphics adapters there are, and which one to use.
//!
//! Order of preference: discrete, integrated, virtual, other, software. A software adapter is only chosen on its own
//! when nothing else is there. The same card seen through two backends is listed once for each.

use crate::error::{Error, Result};

/// What an adapter is, for choosing and for `foveal devices`.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Place in the list; `--device INDEX`.
    pub index: usize,
    /// The driver's name for the card.
    pub name: String,
    /// "discrete GPU", "integrated GPU", "software", ...
    pub kind: &'static str,
    /// "Vulkan", "Metal", "DX12".
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Runs on the processor.
    pub software: bool,
    /// Largest single buffer binding in bytes.
    pub max_binding: u64,
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Optional features as the adapter has them.
    pub features: super::Features,
}

/// The interfaces that have everything that the kernels need.
pub(super) const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// All adapters, best first.
pub fn list() -> Vec<AdapterSummary> {
    enumerate(&super::device::instance()).iter().enumerate().map(|(index, adapter)| summary(index, adapter)).collect()
}

/// The adapter that a name, a part of it or a number stands for, or the best one; none where there is none at all.
pub fn find(wanted: Option<&str>) -> Result<Option<AdapterSummary>> {
    let instance = super::device::instance();
    match choose(&instance, wanted) {
        Ok(adapter) => Ok(Some(summary(0, &adapter))),
        Err(Error::NoAdapter { .. }) if wanted.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance.enumerate_adapters(BACKENDS));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// The adapter asked for by name or number, or the best one.
pub(super) fn choose(instance: &wgpu::Instance, wanted: Option<&str>) -> Result<wgpu::Adapter> {
    let adapters = enumerate(instance);
    let names = || adapters.iter().map(|a| a.get_info().name).collect::<Vec<_>>().join(", ");
    if adapters.is_empty() {
        return Err(Error::NoAdapter {
            found: "no Vulkan, Metal or DX12 driver answered".into(),
            advice: "Install the card's Vulkan driver (Debian, Ubuntu: `apt install mesa-vulkan-drivers` also brings \
                     a software one), or use `--device cpu`"
                .into(),
        });
    }
    let Some(wanted) = wanted else {
        return adapters.into_iter().next().ok_or_else(|| Error::gpu("adapter", "list is empty"));
    };
    let found = match wanted.parse::<usize>() {
        Ok(index) => adapters.get(index),
        Err(_) => {
            let wanted = wanted.to_lowercase();
            adapters.iter().find(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted))
        }
    };
    found.cloned().ok_or_else(|| Error::NoAdapter {
        found: format!("no adapter is called \"{wanted}\"; there are: {}", names()),
        advice: "`foveal devices` lists them; --device takes a part of the name, its number, or cpu".into(),
    })
}

pub(super) fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    AdapterSummary {
        index,
        kind: kind(info.device_type),
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        features: super::Features::of(adapter, &Default::default()),
        name: info.name,
    }
}

fn kind(device: wgpu::DeviceType) -> &'static str {
    match device {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

fn rank(device: wgpu::DeviceType) -> u8 {
    match device {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}
