//! What happens when the device is lost: it is opened again, the model loaded again from where it came from, and what the
//! cache held computed again, step by step as it was computed the first time, so that the answer goes on as if nothing
//! had happened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::gpu_engine::GpuEngine;
use super::{Engine, Session};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuOptions};
use crate::model::{LoadOptions, Progress, Stage};
use crate::weights::Checkpoint;

/// Losses that one piece of work survives: a driver that fails on every attempt must not be asked for ever.
const MOST_LOSSES: u32 = 4;
/// A driver that resets a device may need a moment before it offers it again.
const PAUSE: Duration = Duration::from_millis(250);

/// Everything that loading again takes.
#[derive(Clone)]
pub(super) struct Origin {
    gpu: GpuOptions,
    checkpoint: PathBuf,
    options: LoadOptions,
    pub(super) budget: Duration,
    /// Tokens of the step that was next when the device was lost.
    chunk: Option<usize>,
}

/// What recovering is busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// The device is gone; the driver's words.
    Lost(String),
    /// The model is loaded again: stage, done, of how many.
    Loading(Stage, u64, u64),
    /// The conversation is computed again: tokens done, of how many.
    Recomputing(usize, usize),
    /// All is as it was before.
    Restored,
}

/// Hears of a recovery; an error ends it.
pub type RecoveryProgress<'a> = dyn FnMut(Recovery) -> Result<()> + 'a;

impl Origin {
    /// Loads onto `gpu`, and if that is lost meanwhile onto one that is opened in its place.
    pub(super) fn load(
        gpu: &Arc<Gpu>,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        budget: Duration,
        progress: &mut Progress<'_>,
    ) -> Result<(GpuEngine, Self)> {
        let mut loaded = GpuEngine::load(gpu, checkpoint, options, budget, progress);
        for _ in 0..MOST_LOSSES {
            let Err(Error::DeviceLost { detail }) = &loaded else { break };
            tracing::warn!("the device was lost while the model was loaded ({detail}); trying again");
            loaded = Gpu::open(&gpu.options)
                .and_then(|gpu| GpuEngine::load(&Arc::new(gpu), checkpoint, options, budget, progress));
        }
        let checkpoint = checkpoint.path().to_owned();
        Ok((loaded?, Self { gpu: gpu.options.clone(), checkpoint, options: options.clone(), budget, chunk: None }))
    }

    fn load_again(&self, report: &mut RecoveryProgress<'_>) -> Result<GpuEngine> {
        let gpu = Arc::new(Gpu::open(&self.gpu)?);
        let checkpoint = Checkpoint::open(&self.checkpoint)?;
        let mut progress = |stage, done, total| report(Recovery::Loading(stage, done, total));
        let mut engine = GpuEngine::load(&gpu, &checkpoint, &self.options, self.budget, &mut progress)?;
        engine.go_on_with(self.chunk);
        Ok(engine)
    }
}

impl Session {
    /// Runs `work`, and again after every loss of the device that can be made good. What `work` had changed in the
    /// cache before the loss is there again when it is run again.
    pub fn surviving<T>(
        &mut self,
        report: &mut RecoveryProgress<'_>,
        work: &mut dyn FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let mut result = work(self);
        for losses in 0..MOST_LOSSES {
            let detail = match &result {
                Err(Error::DeviceLost { detail }) if self.origin.is_some() => detail.clone(),
                _ => break,
            };
            tracing::warn!("the device was lost: {detail}");
            report(Recovery::Lost(detail))?;
            std::thread::sleep(PAUSE * losses);
            result = self.recover(report).and_then(|()| work(self));
        }
        result
    }

    /// Computes what `other` holds, each token in the way in which it was computed there, so that the two can be compared: with
    /// nothing that was in this session before.
    pub fn repeat(&mut self, other: &Self, report: &mut RecoveryProgress<'_>) -> Result<()> {
        self.truncate(0);
        self.set_marks(other.marks.clone())?;
        self.replay(&other.tokens, &other.how, report)
    }

    /// Opens the device again, loads the model and computes what the cache held. After a failure this can be tried again.
    fn recover(&mut self, report: &mut RecoveryProgress<'_>) -> Result<()> {
        let Some(mut origin) = self.origin.clone() else {
            return Err(Error::DeviceLost { detail: "this model cannot be loaded again".into() });
        };
        if let Engine::Gpu(engine) = &self.engine {
            origin.chunk = Some(engine.chunk);
            self.origin = Some(origin.clone());
        }
        // The memory of the old device must be free before the new one needs it.
        self.engine = Engine::Lost;
        let (tokens, how) = (self.tokens.clone(), self.how.clone());
        let restored = origin.load_again(report).and_then(|mut engine| {
            engine.model.set_marks(&self.marks)?;
            self.engine = Engine::Gpu(Box::new(engine));
            self.truncate(0);
            self.replay(&tokens, &how, report)
        });
        match restored {
            // What is not computed now will be when it is asked for.
            Ok(()) | Err(Error::Stopped) => {}
            Err(_) => {
                self.engine = Engine::Lost;
                (self.tokens, self.how) = (tokens, how);
            }
        }
        restored?;
        report(Recovery::Restored)
    }

    /// Computes `tokens` once more, in the steps in which they were computed before.
    fn replay(&mut self, tokens: &[u32], how: &[super::How], report: &mut RecoveryProgress<'_>) -> Result<()> {
        let most = match &self.engine {
            Engine::Gpu(engine) => engine.model.chunk(),
            Engine::Cpu(engine) => engine.chunk,
            Engine::Lost => 0,
        };
        while self.tokens.len() < tokens.len() {
            let start = self.tokens.len();
            report(Recovery::Recomputing(start, tokens.len()))?;
            let first = how[start];
            let whole = ((first.step - first.place) as usize).clamp(1, most.max(1));
            let same = |(place, other): (u32, &super::How)| *other == super::How { place, ..first };
            let kept = (first.place..).zip(&how[start..]).take(whole).take_while(|each| same(*each)).count();
            // The logits of the last step may be asked for.
            let last = start + kept == tokens.len();
            let mut ids = tokens[start..start + kept].to_vec();
            if !last {
                // What was cut off the step since is made up for: no token depends on those that follow it, but the choice
                // of kernels depends on how many there are.
                ids.resize(whole, tokens[start]);
            }
            self.step(&ids, start, first.mode, last, None)?;
            self.truncate(start + kept);
            self.how[start..].copy_from_slice(&how[start..start + kept]);
        }
        if let Engine::Gpu(engine) = &mut self.engine {
            engine.forget_times();
        }
        Ok(())
    }
}
