//! A scripted engine for tests and for work on the window without a model.
//!
//! It knows nothing: it quotes the sentence of the document that shares most words with the question, cuts text into
//! tokens of about four bytes, and lets its readers choose the block of that sentence more often than others. It is
//! never used for people's questions.

mod prompt;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use prompt::{answer_text, context_map, find_quote, model_name, pieces};

use super::engine::{EngineLoop, EngineSide};
use super::messages::{
    AttentionChoice, CacheForm, Command, DeviceInfo, EngineError, Event, FailureKind, FinishReason, GenerateRequest,
    LoadOptions, LoadStage, MemoryPlan, ModelChoice, ModelInfo, Part, PinRule, Source, Stats, Token, WeightForm,
    WorkId,
};
use super::trace_data::{ContextMap, StepTrace};

/// What goes wrong, for tests of the error cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Loading needs more memory than there is.
    LoadMemory,
    /// The prompt does not fit.
    ContextFull,
    /// The device is lost after this many tokens.
    LostAfter(u32),
    /// The device is lost after this many tokens and comes back by itself.
    RecoversAfter(u32),
    /// The engine panics after this many tokens.
    PanicAfter(u32),
}

/// How the scripted engine behaves.
#[derive(Debug, Clone)]
pub struct Script {
    /// Time for each of ten steps of a load.
    pub load_step: Duration,
    /// Time for 512 tokens of the prompt.
    pub prefill_step: Duration,
    /// Time for a token.
    pub token: Duration,
    /// Layers.
    pub layers: u32,
    /// KV heads in each.
    pub kv_heads: u32,
    /// Cache length from which it is sparse.
    pub sparse_from: u32,
    /// Blocks that each reader chooses.
    pub free: u32,
    /// Blocks of the local window.
    pub local: u32,
    /// What it always answers; none quotes the document.
    pub answer: Option<String>,
    /// What it says that a token takes, where pictures must not differ from run to run; none tells the truth.
    pub told: Option<Duration>,
    /// What goes wrong, once.
    pub trouble: Option<Trouble>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            load_step: Duration::from_millis(60),
            prefill_step: Duration::from_millis(60),
            token: Duration::from_millis(40),
            layers: 5,
            kv_heads: 2,
            sparse_from: 2048,
            free: 10,
            local: 5,
            answer: None,
            told: None,
            trouble: None,
        }
    }
}

impl Script {
    /// No waiting at all.
    pub fn instant() -> Self {
        Self { load_step: Duration::ZERO, prefill_step: Duration::ZERO, token: Duration::ZERO, ..Self::default() }
    }

    /// The loop for [`EngineHandle::spawn`](super::engine::EngineHandle::spawn).
    pub fn engine(self) -> EngineLoop {
        Arc::new(move |side| Fake { script: self.clone(), side }.run())
    }
}

const BLOCK: u32 = 64;
const CONTEXT: u32 = 131_072;

/// What the readers of an answer go to, must go to, and may not.
struct Wanted {
    hot: Option<Range<u32>>,
    pinned: BTreeSet<u32>,
    excluded: BTreeSet<u32>,
}

struct Fake {
    script: Script,
    side: EngineSide,
}

impl Fake {
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

    fn obey(&mut self, command: Command) {
        match command {
            Command::ListDevices => {
                let device = |name: &str, kind: &str, refused: Option<&str>| DeviceInfo {
                    name: name.into(),
                    kind: kind.into(),
                    refused: refused.map(Into::into),
                };
                self.say(Event::Devices(vec![
                    device("Scripted GPU", "Vulkan, integrated", None),
                    device("Old GPU", "Vulkan, discrete", Some("its driver offers no 16-bit storage")),
                    device("Processor", "CPU, slow", None),
                ]));
            }
            Command::Plan(choice, options) => self.plan(choice, &options),
            Command::Load(load, choice, _) => self.load(load, &choice),
            Command::Count(request, text) => {
                self.say(Event::Counted(request, u32::try_from(pieces(&text).count()).unwrap_or(u32::MAX)));
            }
            Command::Generate(request) => self.generate(&request),
            Command::Responsive(_) | Command::Shutdown => {}
        }
    }

    fn plan(&self, choice: ModelChoice, options: &LoadOptions) {
        if let ModelChoice::Path(path) = &choice
            && !path.exists()
        {
            let message = format!(
                "cannot read {}: no such file or folder. Choose a model folder or a .gguf file",
                path.display()
            );
            return self.say(Event::Failed(None, EngineError { kind: FailureKind::File, message }));
        }
        let name = model_name(&choice);
        self.say(Event::Planned(MemoryPlan {
            choice,
            name,
            parts: vec![
                ("weights".into(), if options.weights == WeightForm::Plain { 18 } else { 9 }),
                ("cache".into(), if options.cache == CacheForm::F16 { 40 } else { 21 }),
                ("workspace".into(), 24),
            ],
            context: CONTEXT,
            device: "Scripted GPU".into(),
            available_mib: Some(4096),
            plain_weights: true,
        }));
    }

    fn load(&mut self, load: WorkId, choice: &ModelChoice) {
        if self.script.trouble == Some(Trouble::LoadMemory) {
            self.script.trouble = None;
            return self.say(Event::Failed(
                Some(load),
                EngineError {
                    kind: FailureKind::Memory { needed_mib: 6246, allowed_mib: 4506 },
                    message: "weights and cache need 6246 MiB, Scripted GPU allows 4506 MiB. Shorten the context to \
                              24,000 tokens"
                        .into(),
                },
            ));
        }
        for stage in [LoadStage::Reading, LoadStage::Weights, LoadStage::Pipelines, LoadStage::WarmUp] {
            for done in 1..=3 {
                std::thread::sleep(self.script.load_step);
                if self.side.stop.is_stopped(load) {
                    return;
                }
                self.say(Event::LoadProgress(load, stage, done, 3));
            }
        }
        self.say(Event::Loaded(
            load,
            ModelInfo {
                name: model_name(choice),
                detail: "scripted".into(),
                notice: None,
                device: "Scripted GPU".into(),
                context: CONTEXT,
                layers: self.script.layers,
                kv_heads: self.script.kv_heads,
                block_size: BLOCK,
                sparse_from: Some(self.script.sparse_from),
                sparse_experimental: false,
                can_think: true,
                can_pin: true,
            },
        ));
    }

    fn generate(&mut self, request: &GenerateRequest) {
        let generation = request.generation;
        let map = context_map(request);
        if self.script.trouble == Some(Trouble::ContextFull) {
            self.script.trouble = None;
            return self.say(Event::Failed(
                Some(generation),
                EngineError {
                    kind: FailureKind::ContextFull { needed: map.len(), capacity: 4096 },
                    message: format!("the prompt has {} tokens, the context holds 4096", map.len()),
                },
            ));
        }
        let start = Instant::now();
        let total = map.len();
        self.say(Event::Context(generation, Arc::new(map.clone())));
        let mut done = 0;
        while done < total {
            std::thread::sleep(self.script.prefill_step);
            if self.side.stop.is_stopped(generation) {
                return;
            }
            done = (done + 512).min(total);
            self.say(Event::PrefillProgress(generation, done, total, start.elapsed().as_secs_f32()));
        }
        self.write(request, &map, start);
    }

    fn write(&mut self, request: &GenerateRequest, map: &ContextMap, start: Instant) {
        let generation = request.generation;
        let told = self.script.told;
        let seconds = |tokens: u32| told.map_or_else(|| start.elapsed(), |told| told * tokens).as_secs_f32();
        let first_token = told.unwrap_or(start.elapsed() + self.script.token).as_secs_f32();
        let quote = find_quote(request);
        let blocks_of = |document, bytes| super::attention::blocks_of(map, BLOCK, Source::Document(document), bytes);
        let marked = |rule: PinRule| {
            let own = request.pins.iter().filter(|pin| pin.rule == rule);
            own.flat_map(|pin| blocks_of(pin.document, &pin.bytes)).collect::<BTreeSet<u32>>()
        };
        let wanted = Wanted {
            hot: quote.as_ref().map(|quote| blocks_of(quote.document, &quote.bytes)),
            pinned: marked(PinRule::Require),
            excluded: marked(PinRule::Exclude),
        };
        let answer = self.script.answer.clone().unwrap_or_else(|| answer_text(request, quote.as_ref()));
        let mut parts: Vec<(Part, &str)> = Vec::new();
        if request.thinking {
            parts.extend(
                pieces("The question names a thing. I look for it in the text.").map(|piece| (Part::Thinking, piece)),
            );
        }
        parts.extend(pieces(&answer).map(|piece| (Part::Answer, piece)));
        let mut mode = None;
        let mut random = 0x9E37_79B9_7F4A_7C15 ^ u64::from(map.len());
        let mut reason = FinishReason::EndOfText;
        let mut written = 0;
        for (part, piece) in parts {
            std::thread::sleep(self.script.token);
            if self.side.stop.is_stopped(generation) {
                return;
            }
            match self.script.trouble {
                Some(Trouble::LostAfter(tokens)) if tokens == written => {
                    self.script.trouble = None;
                    let message = "the graphics device was lost: the driver was restarted. Load the model again; nothing of the conversation is lost";
                    let error = EngineError { kind: FailureKind::DeviceLost, message: message.into() };
                    return self.say(Event::Failed(Some(generation), error));
                }
                Some(Trouble::RecoversAfter(tokens)) if tokens == written => {
                    self.script.trouble = None;
                    self.say(Event::DeviceLost(generation, "the driver was restarted".into()));
                    for done in [0, map.len() / 2, map.len()] {
                        std::thread::sleep(10 * self.script.token);
                        let seconds = start.elapsed().as_secs_f32();
                        self.say(Event::PrefillProgress(generation, done, map.len(), seconds));
                    }
                    self.say(Event::DeviceRestored(generation));
                }
                // The panic hook would print; resuming does not, and arrives in the same place.
                Some(Trouble::PanicAfter(tokens)) if tokens == written => {
                    std::panic::resume_unwind(Box::new("scripted panic"))
                }
                _ => {}
            }
            let step = self.step(request, map.len() + written, &wanted, written, &mut random);
            if mode != Some(step.mode) {
                if mode.is_some() {
                    self.say(Event::ModeChanged(generation, step.mode, step.cache_length));
                }
                mode = Some(step.mode);
            }
            self.say(Event::Token(Token {
                generation,
                id: written,
                text: piece.to_owned(),
                part,
                seconds: seconds(written + 1),
                step: request.trace.then(|| Arc::new(step)),
            }));
            written += 1;
            if written >= request.sampling.max_tokens {
                reason = FinishReason::MaxTokens;
                break;
            }
        }
        let stats = Stats {
            prompt_tokens: map.len(),
            reused_tokens: 0,
            generated_tokens: written,
            first_token_seconds: first_token,
            decode_seconds: seconds(written) - first_token,
        };
        self.say(Event::Finished(generation, reason, stats));
    }

    /// Choices of one step: the quoted passage with many votes in the later layers, and a few wandering blocks.
    fn step(
        &self,
        request: &GenerateRequest,
        cache_length: u32,
        wanted: &Wanted,
        written: u32,
        random: &mut u64,
    ) -> StepTrace {
        let script = &self.script;
        let sparse = match request.attention {
            AttentionChoice::Auto => cache_length >= script.sparse_from,
            AttentionChoice::Dense => false,
            AttentionChoice::Sparse => true,
        };
        if !sparse {
            return StepTrace::dense(cache_length, BLOCK, script.layers, script.kv_heads);
        }
        let blocks = cache_length.div_ceil(BLOCK);
        let local = blocks.saturating_sub(script.local);
        let Wanted { hot, pinned, excluded } = wanted;
        let forced = |block: u32| block == 0 || block >= local || pinned.contains(&block);
        let readers = script.layers * script.kv_heads;
        let most = ((1 + script.local + script.free) as usize).min((blocks as usize).saturating_sub(excluded.len()));
        let selected: Vec<Vec<u32>> = (0..readers)
            .map(|reader| {
                let mut own: Vec<u32> = (0..blocks).filter(|block| forced(*block)).collect();
                let keen = (reader + written / 7) % 5 < 1 + 3 * reader / readers.max(1);
                if let Some(hot) = hot.clone().filter(|_| keen) {
                    own.extend(hot.filter(|block| !forced(*block) && !excluded.contains(block)));
                }
                while own.len() < most {
                    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // A few favourites for some tokens at a time, as real readers have.
                    let wander = (*random >> 33) as u32 % blocks;
                    let favourite = (written / 9 + reader * 17) * 31 % blocks;
                    let block = if *random & 3 == 0 { favourite } else { wander };
                    if !own.contains(&block) && !excluded.contains(&block) {
                        own.push(block);
                    }
                }
                own
            })
            .collect();
        let lists = selected.iter().map(Vec::as_slice);
        StepTrace::sparse(cache_length, BLOCK, script.layers, script.kv_heads, lists, forced)
            .with_marks(pinned.iter().copied().collect(), excluded.iter().copied().collect())
    }
}
