//! From the path that a user gives to something that answers: checkpoint, tokenizer, chat template, published settings,
//! and a session on the device or, where there is none, on the processor.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::built_in;
use crate::chat_template::ChatTemplate;
use crate::error::{Error, Result};
use crate::gpu::{Faults, Feature, Gpu, GpuOptions};
use crate::model::{LoadOptions, ModelConfig, Progress};
use crate::sampler::SamplerSettings;
use crate::session::Session;
use crate::tokenizer::{Settings, Tokenizer};
use crate::weights::Checkpoint;

/// Longest that one submit may take when no window has to stay smooth: Stop is still answered at once.
const SUBMIT_BUDGET: Duration = Duration::from_millis(100);

/// All files of a model, opened and checked against each other.
pub struct ModelFiles {
    /// The weights.
    pub checkpoint: Checkpoint,
    /// What config.json says.
    pub config: ModelConfig,
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Messages to text.
    pub template: ChatTemplate,
    /// How its authors sample.
    pub sampler: SamplerSettings,
}

impl ModelFiles {
    /// Opens a model folder or a GGUF file; without a path the built-in model.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => Self::open_path(path),
            None => Self::open_path(&built_in::model_folder()?),
        }
    }

    fn open_path(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let config = ModelConfig::new(checkpoint.config())?;
        let tokenizer = open_tokenizer(&checkpoint)?;
        tokenizer.check_vocabulary(config.vocab_size)?;
        let template = ChatTemplate::for_tokenizer(&tokenizer)?;
        let sampler = published_sampling(path)?;
        Ok(Self { checkpoint, config, tokenizer, template, sampler })
    }
}

/// The tokenizer that belongs to a checkpoint.
pub fn open_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    let Some(text) = checkpoint.gguf_text()? else { return Tokenizer::from_folder(checkpoint.path()) };
    let settings = Settings { bos: text.bos, eos: text.eos, add_bos: text.add_bos, chat_template: text.chat_template };
    Tokenizer::from_parts(text.tokenizer, settings)
}

/// What generation_config.json says of sampling; the usual settings where there is none.
fn published_sampling(path: &Path) -> Result<SamplerSettings> {
    let path = path.join("generation_config.json");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(SamplerSettings::default()) };
    let config: Value = serde_json::from_str(&text).map_err(|error| Error::Format {
        path,
        what: "the file".into(),
        expected: "JSON".into(),
        found: error.to_string(),
        advice: "Fetch the file again, or delete it".into(),
    })?;
    if config.get("do_sample").and_then(Value::as_bool) == Some(false) {
        return Ok(SamplerSettings::greedy());
    }
    let mut settings = SamplerSettings::default();
    let number = |field: &str| config.get(field).and_then(Value::as_f64).map(|number| number as f32);
    let fields = [
        ("temperature", &mut settings.temperature),
        ("top_p", &mut settings.top_p),
        ("min_p", &mut settings.min_p),
        ("repetition_penalty", &mut settings.repeat_penalty),
    ];
    for (field, setting) in fields {
        if let Some(number) = number(field) {
            *setting = number;
        }
    }
    if let Some(top_k) = config.get("top_k").and_then(Value::as_u64) {
        settings.top_k = usize::try_from(top_k).unwrap_or(0);
    }
    Ok(settings)
}

/// Where to compute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Device {
    /// The best adapter, or the processor where there is none but a software one.
    #[default]
    Best,
    /// The adapter of this number or with this in its name.
    Adapter(String),
    /// The processor.
    Cpu,
}

/// A session and what it runs on.
pub struct OpenedSession {
    /// Ready to be fed.
    pub session: Session,
    /// The adapter's name, or "processor".
    pub device: String,
    /// What the user should know of the device; nothing where it is as expected.
    pub notice: Option<String>,
}

/// Opens an adapter with everything it has but `without`, and the user's folder for compiled pipelines.
pub fn open_gpu(device: &Device, without: &BTreeSet<Feature>) -> Result<Gpu> {
    let device = match device {
        Device::Adapter(name) => Some(name.clone()),
        Device::Best | Device::Cpu => None,
    };
    let cache_folder = Some(built_in::cache_folder().join("pipelines"));
    let faults = Faults::from_environment()?;
    Gpu::open(&GpuOptions { device, without: without.clone(), cache_folder, faults, ..Default::default() })
}

/// Loads a model where `device` says.
pub fn open_session(
    checkpoint: &Checkpoint,
    device: &Device,
    without: &BTreeSet<Feature>,
    options: &LoadOptions,
    progress: &mut Progress<'_>,
) -> Result<OpenedSession> {
    let on_cpu = |notice: Option<String>, progress: &mut Progress<'_>| {
        let session = Session::on_cpu(checkpoint, options, progress)?;
        Ok(OpenedSession { session, device: "processor".into(), notice })
    };
    if *device == Device::Cpu {
        return on_cpu(None, progress);
    }
    let gpu = match open_gpu(device, without) {
        // Kernels made for graphics cards, emulated on the processor, take twice the time of its own plain loops.
        Ok(gpu) if gpu.adapter.software && *device == Device::Best => {
            let notice = format!(
                "the only adapter is a software one ({name}): computing on the processor directly, which is faster; \
                 `--device {index}` takes the adapter nevertheless",
                name = gpu.adapter.name,
                index = gpu.adapter.index
            );
            return on_cpu(Some(notice), progress);
        }
        Ok(gpu) => Arc::new(gpu),
        Err(Error::NoAdapter { found, .. }) if *device == Device::Best => {
            let notice = format!(
                "no graphics adapter ({found}): computing on the processor, which is the slow path. Install the card's \
                 Vulkan driver; on Debian and Ubuntu `apt install mesa-vulkan-drivers` has those of AMD and Intel"
            );
            return on_cpu(Some(notice), progress);
        }
        Err(error) => return Err(error),
    };
    let session = Session::on_gpu(&gpu, checkpoint, options, SUBMIT_BUDGET, progress)?;
    Ok(OpenedSession { session, device: gpu.adapter.name.clone(), notice: None })
}
