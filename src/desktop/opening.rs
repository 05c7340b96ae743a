//! How a model is to be opened, and what it would take: what the picker and the settings are about.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which model to open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelChoice {
    /// The small model that comes with the program.
    BuiltIn,
    /// A model folder or a GGUF file.
    Path(PathBuf),
}

impl ModelChoice {
    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn => "Built-in model".into(),
            Self::Path(path) => {
                path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
        }
    }
}

/// What weights of plain numbers become when they are loaded; those that are integers already stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightForm {
    /// 16-bit floats.
    #[default]
    Plain,
    /// 8-bit integers: half of it.
    Q8,
    /// 4-bit integers: a bit more than a quarter.
    Q4,
}

/// How the context is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheForm {
    /// 16-bit floats.
    #[default]
    F16,
    /// 8-bit integers: about half of it.
    Q8,
}

/// How to open it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadOptions {
    /// Name of the device as [`DeviceInfo::name`](super::messages::DeviceInfo::name) gives it; none lets the engine choose.
    pub device: Option<String>,
    /// Tokens of context to make room for; none takes what the model and the memory allow.
    pub context: Option<u32>,
    /// What its weights become.
    pub weights: WeightForm,
    /// How the context is kept.
    pub cache: CacheForm,
    /// Short submits, so that the desktop stays smooth.
    pub responsive: bool,
}

/// What a model would need, before it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// The model that was looked at.
    pub choice: ModelChoice,
    /// Name of the model.
    pub name: String,
    /// Parts with their MiB: weights, cache, workspace.
    pub parts: Vec<(String, u64)>,
    /// Tokens of context in this plan.
    pub context: u32,
    /// The device it is for.
    pub device: String,
    /// MiB that the device offers, where it can be known.
    pub available_mib: Option<u64>,
    /// Its weights are plain numbers, which may become integers.
    pub plain_weights: bool,
}
