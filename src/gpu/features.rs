//! Optional abilities of an adapter. Each has a plain twin, so each can be switched off by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// An optional ability. The names are those of `--without`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Sums over a subgroup without workgroup memory.
    Subgroup,
    /// 16-bit floats as a shader type. Only the cooperative-matrix kernels need it: all others unpack to f32.
    F16,
    /// Cooperative (tensor core) matrix multiplication.
    Coop,
    /// Single tokens by weights as whole numbers, with the token's activations rounded to 8 bits.
    Int8,
    /// Prompts by kernels made for drivers that run shaders on the processor.
    Processor,
    /// Time stamps inside a pass, for profiles.
    Timestamp,
    /// Compiled pipelines kept on disk.
    PipelineCache,
}

impl Feature {
    /// All of them, in the order `foveal devices` prints.
    pub const ALL: [Self; 7] =
        [Self::Subgroup, Self::F16, Self::Coop, Self::Int8, Self::Processor, Self::Timestamp, Self::PipelineCache];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subgroup => "subgroup",
            Self::F16 => "f16",
            Self::Coop => "coop",
            Self::Int8 => "int8",
            Self::Processor => "processor",
            Self::Timestamp => "timestamp",
            Self::PipelineCache => "pipeline-cache",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == text).ok_or_else(|| Error::Usage {
            what: "--without".into(),
            expected: Self::ALL.map(Self::name).join(", "),
            found: format!("\"{text}\""),
        })
    }
}

/// Size of the cooperative matrices that the adapter multiplies (f16 inputs, f32 sums): rows = columns = depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoopShape {
    /// 8 x 8 x 8 (Apple, recent lavapipe).
    Eight,
    /// 16 x 16 x 16 (NVIDIA, AMD).
    Sixteen,
}

impl CoopShape {
    /// Rows, columns and depth.
    pub fn side(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

/// What the device in use can do, after `--without`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// See [`Feature::Subgroup`].
    pub subgroup: bool,
    /// See [`Feature::F16`].
    pub f16: bool,
    /// See [`Feature::Coop`]; `None` without it, and where [`Self::processor`] is some: such drivers have no units for it.
    pub coop: Option<CoopShape>,
    /// Lanes of a subgroup where that is one number; cooperative kernels need to know it when they are compiled.
    ///
    /// Where the driver chooses among several (AMD: 32 or 64, Intel: 8 to 32) there is none, and so no [`Self::coop`]. WGSL cannot
    /// ask for one, wgpu leaves the choice to the driver in every pipeline, and the driver chooses for each kernel by what it
    /// finds there (registers, the size of the workgroup): a probe kernel would tell the size of the probe. A kernel compiled
    /// for 32 lanes that gets 64 would leave rows out without a word.
    pub subgroup_size: Option<u32>,
    /// See [`Feature::Int8`]. Processors gain nothing by it.
    pub int8: bool,
    /// See [`Feature::Processor`]: lanes of a subgroup, which is a vector register of the processor.
    pub processor: Option<u32>,
    /// See [`Feature::Timestamp`].
    pub timestamp: bool,
    /// See [`Feature::PipelineCache`].
    pub pipeline_cache: bool,
}

impl Features {
    /// What `adapter` offers, less what the user switched off.
    pub(super) fn of(adapter: &wgpu::Adapter, without: &BTreeSet<Feature>) -> Self {
        let has =
            |feature: wgpu::Features, name: Feature| adapter.features().contains(feature) && !without.contains(&name);
        let f16 = has(wgpu::Features::SHADER_F16, Feature::F16);
        let info = adapter.get_info();
        let subgroup_size = Some(info.subgroup_min_size).filter(|size| *size == info.subgroup_max_size);
        let subgroup = has(wgpu::Features::SUBGROUP, Feature::Subgroup);
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let lanes = subgroup_size.filter(|lanes| [4, 8, 16].contains(lanes));
        let processor = lanes.filter(|_| software && subgroup && !without.contains(&Feature::Processor));
        let coop = f16
            && subgroup
            && processor.is_none()
            && subgroup_size.is_some()
            && has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, Feature::Coop);
        Self {
            subgroup,
            subgroup_size,
            f16,
            int8: !software && !without.contains(&Feature::Int8),
            processor,
            coop: if coop { coop_shape(adapter) } else { None },
            timestamp: has(
                wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES,
                Feature::Timestamp,
            ),
            pipeline_cache: has(wgpu::Features::PIPELINE_CACHE, Feature::PipelineCache),
        }
    }

    /// The wgpu features to ask for.
    pub(super) fn request(&self) -> wgpu::Features {
        let mut request = wgpu::Features::empty();
        request.set(wgpu::Features::SUBGROUP, self.subgroup);
        request.set(wgpu::Features::SHADER_F16, self.f16);
        request.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, self.coop.is_some());
        request.set(
            wgpu::Features::TIMESTAMP_QUERY
                | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
                | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES,
            self.timestamp,
        );
        request.set(wgpu::Features::PIPELINE_CACHE, self.pipeline_cache);
        request
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coop = match self.coop {
            Some(CoopShape::Eight) => "coop 8x8x8",
            Some(CoopShape::Sixteen) => "coop 16x16x16",
            None => "",
        };
        let names = [
            if self.subgroup { "subgroup" } else { "" },
            if self.f16 { "f16" } else { "" },
            coop,
            if self.int8 { "int8" } else { "" },
            if self.processor.is_some() { "processor" } else { "" },
            if self.timestamp { "timestamp" } else { "" },
            if self.pipeline_cache { "pipeline-cache" } else { "" },
        ];
        let present: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
        f.write_str(if present.is_empty() { "none" } else { "" })?;
        f.write_str(&present.join(", "))
    }
}

/// wgpu accepts any shape in a shader; the adapter only runs those it lists.
fn coop_shape(adapter: &wgpu::Adapter) -> Option<CoopShape> {
    let shapes = adapter.cooperative_matrix_properties();
    let offers = |size: u32| {
        shapes.iter().any(|shape| {
            (shape.m_size, shape.n_size, shape.k_size) == (size, size, size)
                && shape.ab_type == wgpu::CooperativeScalarType::F16
                && shape.cr_type == wgpu::CooperativeScalarType::F32
        })
    };
    if offers(16) {
        Some(CoopShape::Sixteen)
    } else if offers(8) {
        Some(CoopShape::Eight)
    } else {
        None
    }
}
