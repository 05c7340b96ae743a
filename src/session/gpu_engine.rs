//! A model on a device with its cache, and what a step needs there.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::gpu::{Gpu, Readback, Recorder, Tensor};
use crate::kv_cache::KvCache;
use crate::model::{LoadOptions, Mode, Model, Progress};
use crate::ops::TopLogits;
use crate::ops::top_logits::{Top, WORDS};
use crate::weights::Checkpoint;

/// Chunks are not made shorter than this for the sake of a submit's length.
const LEAST_CHUNK: usize = 16;
/// A dispatch may take this many times the budget of a submit, which is cut only between dispatches.
const LONGEST_DISPATCH: f64 = 5.0;

pub(super) struct GpuEngine {
    pub(super) model: Model,
    pub(super) cache: KvCache,
    pub(super) recorder: Recorder,
    readback: Readback,
    /// Tokens of the next prefill step.
    chunk: usize,
}

impl GpuEngine {
    pub(super) fn load(
        gpu: &Arc<Gpu>,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        budget: Duration,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        Self::new(Model::load(gpu, checkpoint, options, progress)?, budget)
    }

    pub(super) fn new(model: Model, budget: Duration) -> Result<Self> {
        let gpu = Arc::clone(model.gpu());
        let bytes = (WORDS * 4) as u64 + model.selected().iter().map(Tensor::bytes).sum::<u64>();
        Ok(Self {
            cache: model.new_cache()?,
            recorder: Recorder::new(&gpu, budget)?,
            readback: Readback::new(&gpu, "candidates", bytes)?,
            chunk: model.chunk(),
            model,
        })
    }

    /// Tokens of the next prefill step: as many as the model was made for, fewer where a dispatch of so many has proved to
    /// take too long, as attention at great depth does on slow devices.
    pub(super) fn chunk(&mut self) -> usize {
        let budget = self.recorder.budget().as_secs_f64() * LONGEST_DISPATCH;
        let longest = self.recorder.take_longest_dispatch();
        if longest > budget {
            self.chunk = (self.chunk / 2).max(LEAST_CHUNK.min(self.model.chunk()));
        } else if longest > 0.0 && longest < budget / 4.0 {
            self.chunk = (self.chunk * 2).min(self.model.chunk());
        }
        self.chunk
    }

    pub(super) fn step(
        &mut self,
        ids: &[u32],
        start: usize,
        mode: Mode,
        (logits, traced): (bool, bool),
        check_numbers: bool,
    ) -> Result<()> {
        let Self { model, cache, recorder, readback, .. } = self;
        model.record_layers(recorder, cache, ids, start, mode, check_numbers)?;
        if logits {
            model.record_logits(recorder, ids.len() - 1)?;
            model.record_top(recorder)?;
            recorder.copy_out(model.best(), 0, (WORDS * 4) as u64, 0, readback)?;
        }
        if traced && ids.len() == 1 {
            let mut place = (WORDS * 4) as u64;
            for selected in model.selected() {
                recorder.copy_out(selected, 0, selected.bytes(), place, readback)?;
                place += selected.bytes();
            }
        }
        recorder.submit(model.gpu())
    }

    /// Candidates of the last step, and the lists of blocks behind them.
    pub(super) fn result(&mut self) -> Result<(Top, Vec<u32>)> {
        self.readback.request();
        let bytes = self.readback.wait(self.model.gpu())?;
        let mut words: Vec<u32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        let top = TopLogits::parse(&words, self.model.config.vocab_size)?;
        let lists: usize = self.model.selected().iter().map(Tensor::len).sum();
        words.drain(..WORDS);
        words.truncate(lists);
        Ok((top, words))
    }

    /// Logits of the whole vocabulary after the last step.
    pub(super) fn logits(&mut self) -> Result<Vec<f32>> {
        let gpu = Arc::clone(self.model.gpu());
        let mut rows: Vec<f32> = self.recorder.read(&gpu, self.model.logits())?;
        rows.truncate(self.model.config.vocab_size);
        Ok(rows)
    }
}
