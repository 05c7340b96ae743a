//! Opening a model: plan, device, weights, tokenizer, template.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{ModelEngineOptions, PROCESSOR};
use crate::chat_template::ChatTemplate;
use crate::desktop::messages::{LoadOptions, LoadStage, MemoryPlan, ModelChoice, ModelInfo};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuOptions, adapter};
use crate::model::{self, Source, SourceList, SparseOrigin, Stage};
use crate::ops::CacheFormat;
use crate::session::Session;
use crate::tokenizer::{Settings, Tokenizer};
use crate::weights::Checkpoint;

/// Longest submit while the desktop must stay smooth, and otherwise.
const SMOOTH: Duration = Duration::from_millis(20);
const FAST: Duration = Duration::from_millis(200);
/// What helps where there is no graphics card to compute with.
const DRIVER: &str = "The processor computes, which is slow and suits the built-in model only. If there is a graphics card, \
                      install its Vulkan driver; on Debian and Ubuntu mesa-vulkan-drivers has those of AMD and Intel";
/// Chunk for the plan, when no device has been opened that could choose one.
const PLANNED_CHUNK: usize = 512;

/// A model that answers.
pub(super) struct OpenModel {
    pub(super) session: Session,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: ChatTemplate,
    pub(super) info: ModelInfo,
}

/// Hears of progress; an error ends the loading.
pub(super) type Progress<'a> = dyn FnMut(LoadStage, u64, u64) -> Result<()> + 'a;

/// Longest submit.
pub(super) fn submit_budget(responsive: bool) -> Duration {
    if responsive { SMOOTH } else { FAST }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a model would need, from its headers alone.
pub(super) fn plan(
    path: &Path,
    choice: ModelChoice,
    options: &LoadOptions,
    given: &ModelEngineOptions,
) -> Result<MemoryPlan> {
    let checkpoint = Checkpoint::open(path)?;
    let asked = given.load_options(&choice, options);
    let config = asked.config(&checkpoint)?;
    let sources = SourceList::find(&checkpoint, &config, asked.quantize.as_ref())?;
    let context = asked.context_for(&config);
    let plan = model::MemoryPlan::new(&config, sources.bytes(), (asked.kv, context), PLANNED_CHUNK);
    let numbers = |source: &Source| source.rows as u64 * source.cols as u64;
    let plain = sources.all().filter(|source| checkpoint.stored_format(&source.name).is_none());
    let plain_weights = 2 * plain.map(numbers).sum::<u64>() > sources.all().map(numbers).sum();
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let adapter = match options.device.as_deref() {
        Some(PROCESSOR) => None,
        wanted => adapter::find(wanted)?,
    };
    let available = model::available_memory(adapter.as_ref());
    Ok(MemoryPlan {
        name: name(path, &choice),
        choice,
        parts: vec![
            (format!("weights ({})", checkpoint.kind()), mib(plan.weights)),
            ("cache".into(), mib(plan.kv_cache)),
            ("workspace".into(), mib(plan.scratch)),
        ],
        context: small(context),
        device: adapter.map_or_else(|| "the processor".into(), |adapter| adapter.name),
        available_mib: available.map(|bytes| bytes >> 20),
        plain_weights,
    })
}

fn name(path: &Path, choice: &ModelChoice) -> String {
    match choice {
        ModelChoice::BuiltIn => "Built-in model".into(),
        ModelChoice::Path(_) => {
            path.file_stem().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
        }
    }
}

impl OpenModel {
    pub(super) fn open(
        path: &Path,
        choice: &ModelChoice,
        options: &LoadOptions,
        given: &ModelEngineOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        progress(LoadStage::Reading, 0, 1)?;
        let checkpoint = Checkpoint::open(path)?;
        let tokenizer = tokenizer(&checkpoint)?;
        let template = ChatTemplate::for_tokenizer(&tokenizer)?;
        let mut heard = |stage: Stage, done, total| {
            let stage = match stage {
                Stage::Compiling => LoadStage::Pipelines,
                Stage::Uploading => LoadStage::Weights,
            };
            progress(stage, done, total)
        };
        let budget = submit_budget(options.responsive);
        let model_options = given.load_options(choice, options);
        let mut notice = None;
        let gpu = match options.device.as_deref() {
            Some(PROCESSOR) => None,
            device => match Gpu::open(&GpuOptions {
                device: device.map(Into::into),
                without: given.without.clone(),
                cache_folder: given.pipeline_cache.clone(),
                faults: given.faults.clone(),
                ..GpuOptions::default()
            }) {
                // Kernels made for graphics cards, emulated on the processor, take twice the time of its own plain loops.
                Ok(gpu) if gpu.adapter.software && device.is_none() => {
                    notice =
                        Some(format!("The only graphics adapter is a software one ({}). {DRIVER}", gpu.adapter.name));
                    None
                }
                Ok(gpu) => Some(Arc::new(gpu)),
                // Without any driver the processor runs the model, and the name of the device says so.
                Err(Error::NoAdapter { .. }) if device.is_none() => {
                    notice = Some(format!("No graphics adapter was found. {DRIVER}"));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        let (session, device) = match gpu {
            Some(gpu) => {
                let session = Session::on_gpu(&gpu, &checkpoint, &model_options, budget, &mut heard)?;
                (session, gpu.adapter.name.clone())
            }
            None => (Session::on_cpu(&checkpoint, &model_options, &mut heard)?, "processor, slow".into()),
        };
        tokenizer.check_vocabulary(session.config().vocab_size)?;
        let mut info = info(&session, &checkpoint, &template, (name(path, choice), device), &model_options);
        info.notice = notice;
        Ok(Self { session, tokenizer, template, info })
    }
}

fn info(
    session: &Session,
    checkpoint: &Checkpoint,
    template: &ChatTemplate,
    (name, device): (String, String),
    options: &model::LoadOptions,
) -> ModelInfo {
    let config = session.config();
    let experimental = config.sparse.origin == SparseOrigin::Experimental;
    let mut detail = format!("{:.1} million parameters, {}", checkpoint.parameters() as f64 / 1e6, checkpoint.kind());
    if let Some(recipe) = &options.quantize {
        detail += &format!(", loaded in {} bits", recipe.bits);
    }
    if options.kv == CacheFormat::Q8 {
        detail += ", context in 8 bits";
    }
    ModelInfo {
        name,
        detail,
        notice: None,
        device,
        context: small(session.capacity()),
        layers: small(config.layers),
        kv_heads: small(config.heads.kv_heads),
        block_size: small(config.sparse.settings.block_size),
        sparse_from: (!experimental).then_some(small(config.sparse.dense_len)),
        sparse_experimental: experimental,
        can_think: template.can_switch_thinking(),
        can_pin: true,
    }
}

fn tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    match checkpoint.gguf_text()? {
        None => Tokenizer::from_folder(checkpoint.path()),
        Some(text) => {
            let settings =
                Settings { bos: text.bos, eos: text.eos, add_bos: text.add_bos, chat_template: text.chat_template };
            Tokenizer::from_parts(text.tokenizer, settings)
        }
    }
}
