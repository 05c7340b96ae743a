//! The engine's loop with a real model: owns device, weights, cache and tokenizer, and speaks in
//! [`messages`](super::messages). Nothing of it is shared with the window but the stop mark.

mod answer;
mod open;
mod pins;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::engine::{EngineLoop, EngineSide};
use super::messages::{
    CacheForm, Command, DeviceInfo, EngineError, Event, LoadOptions, ModelChoice, WeightForm, WorkId,
};
use crate::error::{Error, Result};
use crate::gpu::{Faults, Feature, adapter};
use crate::model;
use crate::ops::CacheFormat;
use crate::weights::quantize::Recipe;
use open::OpenModel;

/// What the engine needs to know from outside the window.
#[derive(Debug, Clone, Default)]
pub struct ModelEngineOptions {
    /// Folder of the built-in model.
    pub built_in: PathBuf,
    /// Folder for compiled pipelines; none keeps them in memory only.
    pub pipeline_cache: Option<PathBuf>,
    /// Abilities of the adapter to leave unused.
    pub without: BTreeSet<Feature>,
    /// Texts that end an answer and are left out of it.
    pub stop: Vec<String>,
    /// How to load where the window has no opinion.
    pub load: model::LoadOptions,
    /// The model that `load.sparse_config` is for.
    pub named: Option<ModelChoice>,
    /// Faults on purpose, for tests.
    pub faults: Faults,
}

impl ModelEngineOptions {
    /// What the window asks for, over what was given at the start.
    pub(super) fn load_options(&self, choice: &ModelChoice, asked: &LoadOptions) -> model::LoadOptions {
        let context = asked.context.map(|tokens| tokens as usize);
        let sparse_config = self.load.sparse_config.clone().filter(|_| self.named.as_ref() == Some(choice));
        let recipe = |bits| Recipe { bits, ..Recipe::default() };
        let quantize = match asked.weights {
            WeightForm::Plain => None,
            WeightForm::Q8 => Some(recipe(8)),
            WeightForm::Q4 => Some(recipe(4)),
        };
        let kv = match asked.cache {
            CacheForm::F16 => CacheFormat::F16,
            CacheForm::Q8 => CacheFormat::Q8,
        };
        model::LoadOptions { context, sparse_config, quantize, kv, ..self.load.clone() }
    }
}

/// Name of the processor in the list of devices.
pub(super) const PROCESSOR: &str = "cpu";

/// The loop for [`DesktopOptions`](super::DesktopOptions).
pub fn model_engine(options: ModelEngineOptions) -> EngineLoop {
    Arc::new(move |side| ModelEngine { side, options: options.clone(), model: None }.run())
}

struct ModelEngine {
    side: EngineSide,
    options: ModelEngineOptions,
    model: Option<OpenModel>,
}

impl ModelEngine {
    fn run(mut self) {
        loop {
            match self.side.commands.recv_timeout(Duration::from_secs(3600)) {
                Ok(Command::Shutdown) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn say(&self, event: Event) {
        self.side.events.send(event);
    }

    fn fail(&self, work: Option<WorkId>, error: &Error) {
        // Stopped work has been taken off the screen already.
        if !matches!(error, Error::Stopped) {
            self.say(Event::Failed(work, EngineError::from(error)));
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::ListDevices => self.say(Event::Devices(devices())),
            Command::Plan(choice, options) => match open::plan(&self.path(&choice), choice, &options, &self.options) {
                Ok(plan) => self.say(Event::Planned(plan)),
                Err(error) => self.fail(None, &error),
            },
            Command::Load(load, choice, options) => {
                if let Err(error) = self.load(load, &choice, &options) {
                    self.fail(Some(load), &error);
                }
            }
            Command::Count(request, text) => {
                if let Some(tokens) = self.model.as_ref().and_then(|model| model.tokenizer.encode_plain(&text).ok()) {
                    self.say(Event::Counted(request, u32::try_from(tokens.len()).unwrap_or(u32::MAX)));
                }
            }
            Command::Generate(request) => {
                let Some(model) = &mut self.model else {
                    let expected = "a model".into();
                    let error = Error::Usage { what: "answer".into(), expected, found: "none is open".into() };
                    return self.fail(Some(request.generation), &error);
                };
                if let Err(error) = answer::write(model, &request, &self.options.stop, &self.side) {
                    // Where it could not be replaced.
                    if matches!(error, Error::DeviceLost { .. }) {
                        self.model = None;
                    }
                    self.fail(Some(request.generation), &error);
                }
            }
            // An answer that is being written keeps its pace; the next one has the new.
            Command::Responsive(responsive) => {
                if let Some(model) = &mut self.model {
                    model.session.set_submit_budget(open::submit_budget(responsive));
                }
            }
            Command::Shutdown => {}
        }
    }

    fn path(&self, choice: &ModelChoice) -> PathBuf {
        match choice {
            ModelChoice::BuiltIn => self.options.built_in.clone(),
            ModelChoice::Path(path) => path.clone(),
        }
    }

    fn load(&mut self, load: WorkId, choice: &ModelChoice, options: &LoadOptions) -> Result<()> {
        // The old model goes first: both may not fit.
        self.model = None;
        let mut progress = |stage, done, total| {
            if self.side.stop.is_stopped(load) {
                return Err(Error::Stopped);
            }
            self.side.events.send(Event::LoadProgress(load, stage, done, total));
            Ok(())
        };
        let path = self.path(choice);
        let model = OpenModel::open(&path, choice, options, &self.options, &mut progress)?;
        self.say(Event::Loaded(load, model.info.clone()));
        self.model = Some(model);
        Ok(())
    }
}

/// All adapters, and the processor.
fn devices() -> Vec<DeviceInfo> {
    let mut devices: Vec<DeviceInfo> = adapter::list()
        .into_iter()
        .map(|found| DeviceInfo { name: found.name, kind: format!("{}, {}", found.backend, found.kind), refused: None })
        .collect();
    devices.push(DeviceInfo {
        name: PROCESSOR.into(),
        kind: "processor without graphics driver, slow".into(),
        refused: None,
    });
    devices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;
    use crate::desktop::messages::MemoryPlan;

    #[test]
    fn what_is_planned_is_what_is_asked_for() {
        let options = ModelEngineOptions { built_in: built_in::model_folder().unwrap(), ..Default::default() };
        let asked =
            |weights, cache| LoadOptions { weights, cache, device: Some(PROCESSOR.into()), ..Default::default() };
        let bits = |weights| options.load_options(&ModelChoice::BuiltIn, &asked(weights, CacheForm::F16)).quantize;
        assert_eq!(bits(WeightForm::Q4).unwrap().bits, 4);
        assert_eq!(bits(WeightForm::Q8).unwrap().bits, 8);
        assert!(bits(WeightForm::Plain).is_none());
        let plan = |weights, cache| {
            open::plan(&options.built_in, ModelChoice::BuiltIn, &asked(weights, cache), &options).unwrap()
        };
        let usual = plan(WeightForm::Plain, CacheForm::F16);
        let (fewer, short) = (plan(WeightForm::Q4, CacheForm::F16), plan(WeightForm::Plain, CacheForm::Q8));
        let mib = |plan: &MemoryPlan, at: usize| plan.parts[at].1;
        assert_eq!(usual.plain_weights, mib(&fewer, 0) < mib(&usual, 0), "integers stay as they are");
        assert!(10 * mib(&short, 1) < 7 * mib(&usual, 1), "{} of {}", mib(&short, 1), mib(&usual, 1));
    }
}
