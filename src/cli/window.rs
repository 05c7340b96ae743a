//! `foveal` without a command: the window, on the built-in model or the one named.

use std::process::ExitCode;

use super::chat::ChatArguments;
use crate::built_in;
use crate::desktop::messages::ModelChoice;
use crate::desktop::model_engine::{ModelEngineOptions, model_engine};
use crate::desktop::{self, DesktopOptions};
use crate::error::Result;

pub(super) fn run(arguments: &ChatArguments) -> Result<ExitCode> {
    let sample = built_in::samples()?.into_iter().find(|sample| sample.name == "memories");
    let question = |sample: &built_in::Sample| sample.questions.first().map(|about| about.question.clone());
    desktop::run(DesktopOptions {
        engine: model_engine(ModelEngineOptions {
            built_in: built_in::model_folder()?,
            pipeline_cache: Some(built_in::cache_folder().join("pipelines")),
        }),
        data_folder: built_in::data_folder(),
        model: arguments.model_path().map(|path| ModelChoice::Path(path.to_owned())),
        sample: sample.map(|sample| {
            let question = question(&sample).unwrap_or_default();
            (sample.name.to_owned(), sample.text.to_owned(), question)
        }),
        documents: arguments.document_paths().to_vec(),
    })?;
    Ok(ExitCode::SUCCESS)
}
