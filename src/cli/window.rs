//! `foveal` without a command: the window, on the built-in model or the one named.

use std::process::ExitCode;

use super::chat::ChatArguments;
use crate::built_in;
use crate::desktop::messages::{CacheForm, ModelChoice, WeightForm};
use crate::desktop::model_engine::{ModelEngineOptions, model_engine};
use crate::desktop::{self, DesktopOptions, PdfReader};
use crate::error::Result;
use crate::gpu::Faults;
use crate::ops::CacheFormat;

pub(super) fn run(arguments: &ChatArguments) -> Result<ExitCode> {
    let choice = arguments.model_path().map(|path| ModelChoice::Path(path.to_owned()));
    let name = arguments.sample_name().unwrap_or("memories");
    let sample = built_in::sample(name)?;
    let faults = Faults::from_environment()?;
    let question = sample.questions.first().map(|about| about.question.clone()).unwrap_or_default();
    let load = arguments.load_options();
    desktop::run(DesktopOptions {
        engine: model_engine(ModelEngineOptions {
            built_in: built_in::model_folder()?,
            pipeline_cache: Some(built_in::cache_folder().join("pipelines")),
            without: arguments.without(),
            stop: arguments.stop_texts(),
            load: load.clone(),
            named: Some(choice.clone().unwrap_or(ModelChoice::BuiltIn)),
            faults: faults.clone(),
        }),
        data_folder: built_in::data_folder(),
        model: choice,
        sample: Some((sample.name.to_owned(), sample.text.to_owned(), question)),
        documents: arguments.document_paths().to_vec(),
        // Whatever program this is, it knows the command.
        pdf: std::env::current_exe().ok().map(PdfReader::new),
        device: arguments.device_name().map(str::to_owned),
        context: load.context.and_then(|tokens| u32::try_from(tokens).ok()),
        weights: load.quantize.map(|recipe| if recipe.bits == 4 { WeightForm::Q4 } else { WeightForm::Q8 }),
        cache: (load.kv != CacheFormat::default()).then_some(CacheForm::Q8),
        chat: Some(arguments.chat_change()),
        reopened: None,
        faults,
    })?;
    Ok(ExitCode::SUCCESS)
}
