//! One conversation: a model, its cache, and the tokens that the cache holds.
//!
//! A new context is compared with what is cached: the common beginning is kept, the rest computed, so that a further turn
//! costs only its own tokens and an edit only what follows it. A lost device is replaced by [`Session::surviving`].

mod gpu_engine;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

pub use self::recovery::{Recovery, RecoveryProgress};

use self::gpu_engine::{GpuEngine, Wanted};
use self::recovery::Origin;
use crate::block_marks::BlockMarks;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, OpTime};
use crate::kv_cache::KvCache;
use crate::model::{Attention, Form, LoadOptions, MemoryPlan, Mode, Model, ModelConfig, Progress};
use crate::ops::top_logits::Top;
use crate::reference::{self, CpuCache, CpuModel};
use crate::trace::StepTrace;
use crate::weights::Checkpoint;

/// Where the model runs.
enum Engine {
    Gpu(Box<GpuEngine>),
    Cpu(Box<CpuEngine>),
    /// Nowhere, since the device was lost.
    Lost,
}

struct CpuEngine {
    model: CpuModel,
    cache: CpuCache,
    chunk: usize,
    logits: Vec<f32>,
    selected: Vec<Vec<u32>>,
}

/// A model with one conversation in its cache.
pub struct Session {
    engine: Engine,
    config: ModelConfig,
    /// What the engine can be made from again.
    origin: Option<Origin>,
    tokens: Vec<u32>,
    /// Of each cached token how it was computed.
    how: Vec<How>,
    attention: Attention,
    marks: BlockMarks,
    trace: bool,
    check_numbers: bool,
    context: usize,
}

/// How a token was computed: what must be done again to get the very same keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct How {
    /// Another mode gives other keys in the layers above.
    mode: Mode,
    /// Tokens of its step, and its place among them: kernels for many, few and one token round each in their own way.
    step: u32,
    place: u32,
}

/// What a step leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// Candidates for the next token.
    pub top: Top,
    /// How the step attended.
    pub mode: Mode,
    /// What it read, where tracing is on.
    pub trace: Option<StepTrace>,
}

/// Hears how many of the tokens to compute are done; an error stops the work.
pub type PrefillProgress<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

impl Session {
    /// Loads onto a device. `budget` bounds the time of one submit. If the device is lost, now or later, one that is opened
    /// in the same way takes its place, and the checkpoint is read again.
    pub fn on_gpu(
        gpu: &Arc<Gpu>,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        budget: Duration,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let (engine, origin) = Origin::load(gpu, checkpoint, options, budget, progress)?;
        Ok(Self { origin: Some(origin), ..Self::with_engine(engine) })
    }

    /// An empty conversation for a model that is on its device already. It is gone when the device is lost.
    pub fn with_model(model: Model, budget: Duration) -> Result<Self> {
        Ok(Self::with_engine(GpuEngine::new(model, budget)?))
    }

    fn with_engine(engine: GpuEngine) -> Self {
        let (config, context) = (engine.model.config.clone(), engine.model.memory.context);
        Self::new(Engine::Gpu(Box::new(engine)), config, context)
    }

    /// Fills the cache with random keys and values for `tokens` positions, as if that many had been read. For
    /// measurements at a depth; nothing sensible can be generated from it.
    pub fn pretend(&mut self, tokens: usize) -> Result<()> {
        self.check_room(tokens)?;
        if let Engine::Gpu(engine) = &mut self.engine {
            engine.cache.randomise(engine.model.gpu())?;
            engine.model.recompress(&mut engine.recorder, &engine.cache, tokens)?;
        }
        let mode = self.config().sparse.mode(self.attention, tokens);
        self.truncate(0);
        self.remember(&vec![0; tokens], mode);
        Ok(())
    }

    /// Forgets what follows the first `tokens` of the cache.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
        self.how.truncate(tokens);
    }

    /// Times every dispatch from now on; see [`Session::take_times`].
    pub fn profile(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.profile(engine.model.gpu()),
            Engine::Cpu(_) | Engine::Lost => Ok(()),
        }
    }

    /// Bytes of the cache that a step at `position` reads in all layers.
    pub fn cache_bytes_read(&self, position: usize) -> u64 {
        let config = self.config();
        let (heads, settings) = (config.heads, config.sparse.settings);
        let Some(kv) = self.memory().map(|memory| memory.kv) else { return 0 };
        let token = (heads.kv_heads * kv.token_bytes(heads.head_dim)) as u64;
        let read = match config.sparse.mode(self.attention, position + 1) {
            Mode::Dense => (position + 1) as u64 * token,
            Mode::Sparse => {
                let compressed = settings.fine_keys(position + 1) + settings.coarse_keys(position + 1);
                settings.tokens_read(position) as u64 * token
                    + (compressed * heads.kv_heads * heads.head_dim * 2) as u64
            }
        };
        read * config.layers as u64
    }

    /// What the device's memory was planned to hold; nothing on the processor.
    pub fn memory(&self) -> Option<MemoryPlan> {
        match &self.engine {
            Engine::Gpu(engine) => Some(engine.model.memory),
            Engine::Cpu(_) | Engine::Lost => None,
        }
    }

    /// The longest time that one submit has taken on the device since the last call.
    pub fn take_longest_submit(&mut self) -> Duration {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.take_longest_submit(),
            Engine::Cpu(_) | Engine::Lost => Duration::ZERO,
        }
    }

    /// GPU time by kernel since the last call.
    pub fn take_times(&mut self) -> Vec<OpTime> {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.take_times(),
            Engine::Cpu(_) | Engine::Lost => Vec::new(),
        }
    }

    /// Loads into main memory, for the twins.
    pub fn on_cpu(checkpoint: &Checkpoint, options: &LoadOptions, progress: &mut Progress<'_>) -> Result<Self> {
        let model = CpuModel::load(checkpoint, options, progress)?;
        let (config, context) = (model.config.clone(), options.context_for(&model.config));
        let chunk = CpuModel::chunk(options);
        let cache = model.new_cache(KvCache::capacity_for(context))?;
        let engine = CpuEngine { cache, model, chunk, logits: Vec::new(), selected: Vec::new() };
        Ok(Self::new(Engine::Cpu(Box::new(engine)), config, context))
    }

    fn new(engine: Engine, config: ModelConfig, context: usize) -> Self {
        let (tokens, how) = (Vec::new(), Vec::new());
        Self {
            engine,
            config,
            origin: None,
            tokens,
            how,
            attention: Attention::Auto,
            marks: BlockMarks::default(),
            trace: false,
            check_numbers: false,
            context,
        }
    }

    /// How to attend from the next step on. What is cached stays, unless it was computed in a mode that the new rule
    /// would not have used for it.
    pub fn set_attention(&mut self, attention: Attention) {
        self.attention = attention;
    }

    /// Which blocks are pinned and excluded from the next step on. What other marks were in force for is forgotten and
    /// will be computed again; what stands before it stays as it is.
    pub fn set_marks(&mut self, marks: BlockMarks) -> Result<()> {
        if marks == self.marks {
            return Ok(());
        }
        self.truncate(marks.from().min(self.marks.from()));
        let set = match &mut self.engine {
            Engine::Gpu(engine) => engine.model.set_marks(&marks),
            Engine::Cpu(engine) => {
                engine.model.marks = marks.clone();
                Ok(())
            }
            Engine::Lost => Ok(()),
        };
        match set {
            // The next step finds the same, and the recovery that follows sets them on the new device.
            Err(Error::DeviceLost { .. }) if self.origin.is_some() => {}
            set => set?,
        }
        self.marks = marks;
        Ok(())
    }

    /// Longest time that one submit may take from now on.
    pub fn set_submit_budget(&mut self, budget: Duration) {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.set_budget(budget),
            Engine::Cpu(_) | Engine::Lost => {}
        }
        if let Some(origin) = &mut self.origin {
            origin.budget = budget;
        }
    }

    /// Whether steps return what they read.
    pub fn set_trace(&mut self, trace: bool) {
        self.trace = trace;
    }

    /// Whether every layer of every step is searched for infinities and what is no number: slow, and only on a device.
    pub fn set_check_numbers(&mut self, check: bool) {
        self.check_numbers = check;
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tokens that the context holds at most, as was asked for; the cache itself is rounded up to whole blocks.
    pub fn capacity(&self) -> usize {
        self.context
    }

    /// What the cache holds now.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens that each head of a step reads whose query is the last cached token.
    pub fn tokens_read(&self, mode: Mode) -> usize {
        match (mode, self.tokens.len().checked_sub(1)) {
            (Mode::Sparse, Some(position)) => self.config().sparse.settings.tokens_read(position),
            _ => self.tokens.len(),
        }
    }

    /// Makes `context` the cache's content, computing what follows the common beginning, and returns what its last token
    /// gives. That token is always a step of its own: its logits, and what it reads, are wanted.
    pub fn feed(&mut self, context: &[u32], progress: &mut PrefillProgress<'_>) -> Result<Next> {
        let Some((last, before)) = context.split_last() else {
            return Err(Error::Usage { what: "prompt".into(), expected: "some text".into(), found: "nothing".into() });
        };
        self.check_room(context.len())?;
        self.check_tokens(context)?;
        let mode = self.config().sparse.mode(self.attention, context.len());
        self.keep_common(before, mode);
        let (first, total) = (self.tokens.len(), context.len() - self.tokens.len());
        progress(0, total)?;
        while self.tokens.len() < before.len() {
            let start = self.tokens.len();
            let ids = &before[start..self.chunk_end(start, before.len())?];
            self.step(ids, start, mode, false, None)?;
            progress(self.tokens.len() - first, total)?;
        }
        let next = self.advance(*last)?;
        progress(total, total)?;
        Ok(next)
    }

    /// Appends one token and returns what it gives.
    pub fn advance(&mut self, token: u32) -> Result<Next> {
        let start = self.tokens.len();
        self.check_room(start + 1)?;
        self.check_tokens(&[token])?;
        let mode = self.config().sparse.mode(self.attention, start + 1);
        let next = start + 2;
        let next = (next <= self.capacity()).then(|| self.config().sparse.mode(self.attention, next));
        self.step(&[token], start, mode, true, next)?;
        let next = self.next(start, mode);
        let next = self.distrusting(next);
        if next.is_err() {
            // So that the same call can be made again.
            self.truncate(start);
        }
        next
    }

    /// After an error forgets what was recorded for the step that failed, so that it cannot run with the next; after one of
    /// the driver all that is cached too. The driver tells late: any step since the last answer may be the one that failed.
    fn distrusting<T>(&mut self, done: Result<T>) -> Result<T> {
        if let (Err(error), Engine::Gpu(engine)) = (&done, &mut self.engine) {
            engine.recorder.forget();
            if matches!(error, Error::Gpu { .. } | Error::Memory { .. }) {
                self.truncate(0);
            }
        }
        done
    }

    /// Truncates the cache to what it shares with `context`. Tokens that were read dense where the whole prompt is to be
    /// sparse, or the other way round, count as different from the first position on where that matters: before it both
    /// modes read everything.
    fn keep_common(&mut self, context: &[u32], mode: Mode) {
        let alike = self.config().sparse.settings.first_choice();
        let same = |index: &usize| {
            self.tokens.get(*index) == context.get(*index) && (*index < alike || self.fits(*index, mode))
        };
        let common = (0..self.tokens.len().min(context.len())).take_while(same).count();
        self.truncate(common);
    }

    /// Whether what is cached at `index` may stand in a prompt that is read in `mode`. Auto keeps what it decided when the
    /// token was new: a conversation that became sparse does not read its beginning again.
    fn fits(&self, index: usize, mode: Mode) -> bool {
        self.attention == Attention::Auto || self.how.get(index).is_some_and(|how| how.mode == mode)
    }

    /// Logits of the whole vocabulary after the last step.
    pub fn logits(&mut self) -> Result<Vec<f32>> {
        let logits = match &mut self.engine {
            Engine::Gpu(engine) => engine.logits(),
            Engine::Cpu(engine) => Ok(engine.logits.clone()),
            Engine::Lost => Err(nowhere()),
        };
        self.distrusting(logits)
    }

    /// ln of the probability of every token of `tokens` after the first, each given those before it, read as one prompt.
    /// Replaces the cache's content.
    pub fn score(&mut self, tokens: &[u32], progress: &mut PrefillProgress<'_>) -> Result<Vec<f32>> {
        self.check_room(tokens.len())?;
        self.check_tokens(tokens)?;
        self.truncate(0);
        let mode = self.config().sparse.mode(self.attention, tokens.len());
        let total = tokens.len().saturating_sub(1);
        let mut scores = Vec::with_capacity(total);
        progress(0, total)?;
        while scores.len() < total {
            let start = scores.len();
            let end = self.chunk_end(start, total)?;
            let (ids, targets) = (&tokens[start..end], &tokens[start + 1..end + 1]);
            let scored = match &mut self.engine {
                Engine::Gpu(engine) => {
                    let GpuEngine { model, recorder, cache, .. } = &mut **engine;
                    let form = if self.check_numbers { Form::Checked } else { Form::Usual };
                    let recorded = model.record_layers(recorder, cache, ids, start, mode, form);
                    recorded.and_then(|()| model.score(recorder, targets, form))
                }
                Engine::Cpu(engine) => {
                    let states = engine.model.layers(&mut engine.cache, ids, start, mode)?.states;
                    Ok(engine.model.score(&states, targets))
                }
                Engine::Lost => return Err(nowhere()),
            };
            scores.extend(self.distrusting(scored)?);
            if let Some(index) = scores.iter().skip(start).position(|score| !score.is_finite()) {
                return Err(no_numbers(start + index, scores[start + index]));
            }
            self.remember(ids, mode);
            progress(scores.len(), total)?;
        }
        Ok(scores)
    }

    /// Where the next chunk of a prompt of `total` tokens ends. A token alone is computed by other kernels, which round in another
    /// way, so none is left over: the result must not hang on the device's speed, which the length of chunks follows.
    fn chunk_end(&mut self, start: usize, total: usize) -> Result<usize> {
        let chunk = match &mut self.engine {
            Engine::Gpu(engine) => engine.chunk(),
            Engine::Cpu(engine) => engine.chunk,
            Engine::Lost => return Err(nowhere()),
        };
        let end = (start + chunk).min(total);
        Ok(if end + 1 == total && chunk > 2 { end - 1 } else { end })
    }

    fn check_room(&self, needed: usize) -> Result<()> {
        let capacity = self.capacity();
        if needed > capacity {
            return Err(Error::ContextFull { needed, capacity, over: needed - capacity });
        }
        Ok(())
    }

    /// Kernels and twins look rows up without asking again.
    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocabulary = self.config.vocab_size;
        match tokens.iter().find(|token| **token as usize >= vocabulary) {
            None => Ok(()),
            Some(token) => Err(Error::Text {
                what: "tokenizer".into(),
                problem: format!("token {token} is beyond the model's vocabulary of {vocabulary}"),
                advice: "The tokenizer and the weights belong to different models".into(),
            }),
        }
    }

    /// Notes what a step has added to the cache.
    fn remember(&mut self, ids: &[u32], mode: Mode) {
        self.tokens.extend_from_slice(ids);
        let step = ids.len() as u32;
        self.how.extend((0..step).map(|place| How { mode, step, place }));
    }

    fn step(&mut self, ids: &[u32], start: usize, mode: Mode, logits: bool, next: Option<Mode>) -> Result<()> {
        match &mut self.engine {
            Engine::Gpu(engine) => {
                let (trace, check_numbers) = (self.trace, self.check_numbers);
                let done = engine.step(ids, start, mode, Wanted { logits, trace, check_numbers, next });
                self.distrusting(done)?;
            }
            Engine::Cpu(engine) => {
                let step = engine.model.layers(&mut engine.cache, ids, start, mode)?;
                engine.selected = step.selected;
                if logits {
                    let last = step.states.len() - engine.model.config.hidden_size;
                    engine.logits = engine.model.logits(&step.states[last..]);
                }
            }
            Engine::Lost => return Err(nowhere()),
        }
        self.remember(ids, mode);
        Ok(())
    }

    fn next(&mut self, position: usize, mode: Mode) -> Result<Next> {
        let (settings, kv_heads) = (self.config().sparse.settings, self.config().heads.kv_heads);
        let (top, words) = match &mut self.engine {
            Engine::Gpu(engine) => engine.result()?,
            Engine::Cpu(engine) => {
                (reference::top_logits(&engine.logits), engine.selected.iter().flatten().copied().collect())
            }
            Engine::Lost => return Err(nowhere()),
        };
        if !top.log_sum_exp.is_finite() {
            return Err(no_numbers(position, top.log_sum_exp));
        }
        let trace = self.trace.then(|| match mode {
            Mode::Dense => StepTrace::dense(position, &settings, kv_heads),
            Mode::Sparse => {
                let list = |ids: &[u32]| ids.iter().copied().filter(|id| *id != reference::NO_BLOCK).collect();
                let readers = words.chunks_exact(settings.budget()).map(list).collect();
                StepTrace::sparse(position, &settings, kv_heads, readers, mode).marked(&self.marks)
            }
        });
        Ok(Next { top, mode, trace })
    }
}

/// What is noticed at the end of a step. Which layer it was is found by looking at each.
fn no_numbers(position: usize, found: f32) -> Error {
    Error::Numbers {
        position,
        place: "the output".into(),
        found: found.to_string(),
        advice: "With --check-numbers the layer where it began is found".into(),
    }
}

/// What a step gets after a loss that could not be made good.
fn nowhere() -> Error {
    Error::DeviceLost { detail: "it could not be opened again".into() }
}
