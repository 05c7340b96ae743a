//! A model on a device with its cache, and what a step needs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Gpu, Readback, Recorder};
use crate::kv_cache::KvCache;
use crate::model::{Form, LoadOptions, Mode, Model, Progress, Step};
use crate::ops::TopLogits;
use crate::ops::top_logits::{Top, WORDS};
use crate::weights::Checkpoint;

/// Chunks are not made shorter than this for the sake of a submit's length: it is the smallest tile of a matrix product, and
/// fewer tokens take as long as a whole one.
const LEAST_CHUNK: usize = 64;
/// A dispatch may take this many times the budget of a submit, which is cut only between dispatches.
const LONGEST_DISPATCH: f64 = 2.0;
/// Seconds that a dispatch of the first chunk may take by the first guess of the device's speed, which is a careful one.
const LONGEST_FIRST_DISPATCH: f64 = 1.0;
/// Seconds that a chunk may take, after which Stop is heard.
const LONGEST_CHUNK: f64 = 0.6;
/// The same of software, where shorter chunks cost more than they help.
const LONGEST_SOFTWARE_CHUNK: f64 = 6.0;

pub(super) struct GpuEngine {
    pub(super) model: Model,
    pub(super) cache: KvCache,
    pub(super) recorder: Recorder,
    readback: Readback,
    /// Tokens of the next prefill step.
    pub(super) chunk: usize,
    /// When the last one was recorded.
    chunk_began: Option<Instant>,
    /// The step of one token that the recorder has encoded, and whether it is traced.
    ahead: Option<(Step, bool)>,
}

/// What a step leaves beside keys and values.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The candidates for the next token.
    pub(super) logits: bool,
    /// The lists of blocks.
    pub(super) trace: bool,
    /// A search for numbers that are none.
    pub(super) check_numbers: bool,
    /// The mode of the step that will probably follow with one more token.
    pub(super) next: Option<Mode>,
}

impl Wanted {
    fn form(self) -> Form {
        if self.check_numbers { Form::Checked } else { Form::Usual }
    }
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
        let bytes = (WORDS * 4) as u64 + model.selected().bytes();
        let recorder = Recorder::new(&gpu, budget)?;
        // Before the first chunk the speed is a guess: a slow device must not be given minutes of work.
        let widest = (model.config.hidden_size * 2 * model.config.intermediate_size) as u64;
        let mut chunk = model.chunk();
        while chunk > LEAST_CHUNK && recorder.seconds_of(chunk as u64 * widest) > LONGEST_FIRST_DISPATCH {
            chunk = (chunk / 2).max(LEAST_CHUNK);
        }
        Ok(Self {
            cache: model.new_cache()?,
            recorder,
            readback: Readback::new(&gpu, "candidates", bytes)?,
            chunk,
            chunk_began: None,
            ahead: None,
            model,
        })
    }

    /// Takes the place of an engine that was about to compute `chunk` tokens at a time.
    pub(super) fn go_on_with(&mut self, chunk: Option<usize>) {
        self.chunk = chunk.map_or(self.chunk, |chunk| chunk.min(self.model.chunk()));
    }

    /// Draws nothing from the time that steps have taken so far.
    pub(super) fn forget_times(&mut self) {
        self.recorder.take_longest_dispatch();
        self.chunk_began = None;
    }

    /// Tokens of the next prefill step: as many as the model was made for, fewer where so many, or a dispatch of them, have
    /// proved to take too long, as attention at great depth does.
    pub(super) fn chunk(&mut self) -> usize {
        let budget = self.recorder.budget().as_secs_f64() * LONGEST_DISPATCH;
        let longest = self.recorder.take_longest_dispatch();
        let limit = if self.model.gpu().adapter.software { LONGEST_SOFTWARE_CHUNK } else { LONGEST_CHUNK };
        let took = self.chunk_began.take().map_or(0.0, |began| began.elapsed().as_secs_f64());
        if longest > budget || took > limit {
            self.chunk = (self.chunk / 2).max(LEAST_CHUNK.min(self.model.chunk()));
        } else if longest > 0.0 && longest < budget / 4.0 && took < limit / 4.0 {
            self.chunk = (self.chunk * 2).min(self.model.chunk());
        }
        self.chunk
    }

    pub(super) fn step(&mut self, ids: &[u32], start: usize, mode: Mode, wanted: Wanted) -> Result<()> {
        let step = self.model.step(start, ids.len(), mode);
        self.chunk_began = (ids.len() > 1).then(Instant::now);
        if !self.submit_ahead(ids, step, wanted)? {
            let Self { model, cache, recorder, .. } = self;
            model.record_layers(recorder, cache, ids, start, mode, wanted.form())?;
            record_results(model, recorder, &self.readback, step, wanted)?;
            self.recorder.submit(self.model.gpu())?;
        }
        match wanted.next {
            Some(next) if !wanted.check_numbers => {
                self.encode_ahead(self.model.step(start + ids.len(), 1, next), wanted)
            }
            _ => Ok(()),
        }
    }

    /// Submits the step that was encoded while the one before it ran, if it is this one.
    fn submit_ahead(&mut self, ids: &[u32], step: Step, wanted: Wanted) -> Result<bool> {
        let known = self.ahead.take() == Some((step, wanted.trace));
        if !known || !wanted.logits || wanted.check_numbers {
            return Ok(false);
        }
        self.model.write_inputs(&self.cache, ids, step)?;
        self.recorder.submit_ahead(self.model.gpu())
    }

    fn encode_ahead(&mut self, step: Step, wanted: Wanted) -> Result<()> {
        let Self { model, cache, recorder, readback, .. } = self;
        recorder.encode_ahead(model.gpu(), &mut |recorder| {
            model.record_step(recorder, cache, step, Form::Usual)?;
            record_results(model, recorder, readback, step, wanted)
        })?;
        self.ahead = Some((step, wanted.trace));
        Ok(())
    }

    /// Candidates of the last step, and the lists of blocks behind them.
    pub(super) fn result(&mut self) -> Result<(Top, Vec<u32>)> {
        self.readback.request();
        let bytes = self.readback.wait(self.model.gpu())?;
        let mut words: Vec<u32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        let top = TopLogits::parse(&words, self.model.config.vocab_size)?;
        let selected = self.model.selected();
        words.truncate(WORDS + selected.len());
        let stride = selected.shape.last().copied().unwrap_or(1).max(1);
        let lists = words.split_off(WORDS);
        let list = |row: &[u32]| row.get(..self.model.list_len()).unwrap_or_default().to_vec();
        Ok((top, lists.chunks_exact(stride).flat_map(list).collect()))
    }

    /// Logits of the whole vocabulary after the last step.
    pub(super) fn logits(&mut self) -> Result<Vec<f32>> {
        let gpu = Arc::clone(self.model.gpu());
        let mut rows: Vec<f32> = self.recorder.read(&gpu, self.model.logits())?;
        rows.truncate(self.model.config.vocab_size);
        Ok(rows)
    }
}

/// What is to be copied to where the program can read it.
fn record_results(
    model: &Model,
    recorder: &mut Recorder,
    readback: &Readback,
    step: Step,
    wanted: Wanted,
) -> Result<()> {
    if wanted.logits {
        model.record_logits(recorder, step.tokens, wanted.form())?;
        model.record_top(recorder)?;
        recorder.copy_out(model.best(), 0, (WORDS * 4) as u64, 0, readback)?;
    }
    if wanted.trace && step.mode == Mode::Sparse && step.tokens == 1 {
        let selected = model.selected();
        recorder.copy_out(selected, 0, selected.bytes(), (WORDS * 4) as u64, readback)?;
    }
    Ok(())
}
