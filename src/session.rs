//! One conversation: a model, its cache, and the tokens that the cache holds.
//!
//! A new context is compared with what is cached: the common beginning is kept, the rest computed, so that a further turn
//! costs only its own tokens and an edit only what follows it.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, OpTime, Readback, Recorder};
use crate::kv_cache::KvCache;
use crate::model::{LoadOptions, Model, ModelConfig, Progress};
use crate::ops::TopLogits;
use crate::ops::top_logits::{Top, WORDS};
use crate::reference::{self, CpuCache, CpuModel};
use crate::weights::Checkpoint;

/// Tokens of a step on the processor.
const CPU_CHUNK: usize = 256;

/// Where the model runs.
enum Engine {
    Gpu(Box<GpuEngine>),
    Cpu(Box<CpuEngine>),
}

struct GpuEngine {
    model: Model,
    cache: KvCache,
    recorder: Recorder,
    readback: Readback,
}

struct CpuEngine {
    model: CpuModel,
    cache: CpuCache,
    chunk: usize,
    logits: Vec<f32>,
}

/// A model with one conversation in its cache.
pub struct Session {
    engine: Engine,
    tokens: Vec<u32>,
}

/// Hears how many of the tokens to compute are done; an error stops the work.
pub type PrefillProgress<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

impl Session {
    /// Loads onto a device. `budget` bounds the time of one submit.
    pub fn on_gpu(
        gpu: &Arc<Gpu>,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        budget: Duration,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        Self::with_model(Model::load(gpu, checkpoint, options, progress)?, budget)
    }

    /// An empty conversation for a model that is on its device already.
    pub fn with_model(model: Model, budget: Duration) -> Result<Self> {
        let gpu = Arc::clone(model.gpu());
        let engine = GpuEngine {
            cache: model.new_cache()?,
            recorder: Recorder::new(&gpu, budget)?,
            readback: Readback::new(&gpu, "candidates", (WORDS * 4) as u64)?,
            model,
        };
        Ok(Self { engine: Engine::Gpu(Box::new(engine)), tokens: Vec::new() })
    }

    /// Fills the cache with random keys and values for `tokens` positions, as if that many had been read. For
    /// measurements at a depth; nothing sensible can be generated from it.
    pub fn pretend(&mut self, tokens: usize) -> Result<()> {
        self.check_room(tokens)?;
        if let Engine::Gpu(engine) = &mut self.engine {
            engine.cache.randomise(engine.model.gpu())?;
        }
        self.tokens = vec![0; tokens];
        Ok(())
    }

    /// Forgets what follows the first `tokens` of the cache.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
    }

    /// Times every dispatch from now on; see [`Session::take_times`].
    pub fn profile(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.profile(engine.model.gpu()),
            Engine::Cpu(_) => Ok(()),
        }
    }

    /// GPU time by kernel since the last call.
    pub fn take_times(&mut self) -> Vec<OpTime> {
        match &mut self.engine {
            Engine::Gpu(engine) => engine.recorder.take_times(),
            Engine::Cpu(_) => Vec::new(),
        }
    }

    /// Loads into main memory, for the twins.
    pub fn on_cpu(checkpoint: &Checkpoint, options: &LoadOptions, progress: &mut Progress<'_>) -> Result<Self> {
        let model = CpuModel::load(checkpoint, options, progress)?;
        let context = KvCache::capacity_for(options.context_for(&model.config));
        let chunk = options.chunk.unwrap_or(CPU_CHUNK).max(1);
        let engine = CpuEngine { cache: model.new_cache(context), model, chunk, logits: Vec::new() };
        Ok(Self { engine: Engine::Cpu(Box::new(engine)), tokens: Vec::new() })
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        match &self.engine {
            Engine::Gpu(engine) => &engine.model.config,
            Engine::Cpu(engine) => &engine.model.config,
        }
    }

    /// Tokens that the context holds at most.
    pub fn capacity(&self) -> usize {
        match &self.engine {
            Engine::Gpu(engine) => engine.cache.capacity,
            Engine::Cpu(engine) => engine.cache.capacity,
        }
    }

    /// What the cache holds now.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Makes `context` the cache's content, computing what follows the common beginning, and returns the candidates for
    /// the next token.
    pub fn feed(&mut self, context: &[u32], progress: &mut PrefillProgress<'_>) -> Result<Top> {
        if context.is_empty() {
            return Err(Error::Usage { what: "prompt".into(), expected: "some text".into(), found: "nothing".into() });
        }
        self.check_room(context.len())?;
        let common = self.tokens.iter().zip(context).take_while(|(a, b)| a == b).count();
        // The last token is always computed: its logits are wanted.
        self.tokens.truncate(common.min(context.len() - 1));
        let (first, total) = (self.tokens.len(), context.len() - self.tokens.len());
        progress(0, total)?;
        let chunk = self.chunk();
        while self.tokens.len() < context.len() {
            let start = self.tokens.len();
            let ids = &context[start..(start + chunk).min(context.len())];
            self.step(ids, start, start + ids.len() == context.len())?;
            self.tokens.extend_from_slice(ids);
            progress(self.tokens.len() - first, total)?;
        }
        self.candidates()
    }

    /// Appends one token and returns the candidates for the next.
    pub fn advance(&mut self, token: u32) -> Result<Top> {
        let start = self.tokens.len();
        self.check_room(start + 1)?;
        self.step(&[token], start, true)?;
        self.tokens.push(token);
        self.candidates()
    }

    /// Logits of the whole vocabulary after the last step.
    pub fn logits(&mut self) -> Result<Vec<f32>> {
        match &mut self.engine {
            Engine::Gpu(engine) => {
                let gpu = Arc::clone(engine.model.gpu());
                let mut rows: Vec<f32> = engine.recorder.read(&gpu, engine.model.logits())?;
                rows.truncate(engine.model.config.vocab_size);
                Ok(rows)
            }
            Engine::Cpu(engine) => Ok(engine.logits.clone()),
        }
    }

    /// ln of the probability of every token of `tokens` after the first, each given those before it. Replaces the
    /// cache's content.
    pub fn score(&mut self, tokens: &[u32], progress: &mut PrefillProgress<'_>) -> Result<Vec<f32>> {
        self.check_room(tokens.len())?;
        self.tokens.clear();
        let total = tokens.len().saturating_sub(1);
        let mut scores = Vec::with_capacity(total);
        let chunk = self.chunk();
        progress(0, total)?;
        while scores.len() < total {
            let start = scores.len();
            let end = (start + chunk).min(total);
            let (ids, targets) = (&tokens[start..end], &tokens[start + 1..end + 1]);
            match &mut self.engine {
                Engine::Gpu(engine) => {
                    engine.model.record_layers(&mut engine.recorder, &engine.cache, ids, start)?;
                    scores.extend(engine.model.score(&mut engine.recorder, targets)?);
                }
                Engine::Cpu(engine) => {
                    let states = engine.model.layers(&mut engine.cache, ids, start)?;
                    scores.extend(engine.model.score(&states, targets));
                }
            }
            self.tokens.extend_from_slice(ids);
            progress(scores.len(), total)?;
        }
        Ok(scores)
    }

    fn chunk(&self) -> usize {
        match &self.engine {
            Engine::Gpu(engine) => engine.model.chunk(),
            Engine::Cpu(engine) => engine.chunk,
        }
    }

    fn check_room(&self, needed: usize) -> Result<()> {
        let capacity = self.capacity();
        if needed > capacity {
            return Err(Error::ContextFull { needed, capacity, over: needed - capacity });
        }
        Ok(())
    }

    fn step(&mut self, ids: &[u32], start: usize, logits: bool) -> Result<()> {
        match &mut self.engine {
            Engine::Gpu(engine) => {
                let GpuEngine { model, cache, recorder, readback } = engine.as_mut();
                model.record_layers(recorder, cache, ids, start)?;
                if logits {
                    model.record_logits(recorder, ids.len() - 1)?;
                    model.record_top(recorder)?;
                    recorder.copy_out(model.best(), 0, (WORDS * 4) as u64, 0, readback)?;
                }
                recorder.submit(model.gpu())
            }
            Engine::Cpu(engine) => {
                let states = engine.model.layers(&mut engine.cache, ids, start)?;
                if logits {
                    let last = states.len() - engine.model.config.hidden_size;
                    engine.logits = engine.model.logits(&states[last..]);
                }
                Ok(())
            }
        }
    }

    fn candidates(&mut self) -> Result<Top> {
        match &mut self.engine {
            Engine::Gpu(engine) => {
                engine.readback.request();
                let bytes = engine.readback.wait(engine.model.gpu())?;
                let words: Vec<u32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
                TopLogits::parse(&words, engine.model.config.vocab_size)
            }
            Engine::Cpu(engine) => Ok(reference::top_logits(&engine.logits)),
        }
    }
}
