//! What the engine reports, put into the state. Events of work that was stopped or replaced are dropped.

use std::sync::Arc;

use super::{ChatId, Counting, Effect, ModelState, Notice, Phase, PlanState, Store};
use crate::desktop::attention::Reading;
use crate::desktop::messages::{Command, EngineError, Event, FailureKind, Mode, ModelInfo, Part, Token, WorkId};
use crate::desktop::trace_data::ContextMap;

/// Bytes of steps kept in memory; older tokens keep only their part of the sums.
const TRACE_BYTES: usize = 96 << 20;
/// Tokens between two looks at that.
const BOUND_EVERY: usize = 64;
/// Tokens of contexts of which the sources are kept, 8 bytes each; the oldest answers lose their pictures.
const MAPPED_TOKENS: usize = 4 << 20;
/// Milliseconds between two times that an answer is written to the disk while it grows.
const SAVE_EVERY: u64 = 5_000;
/// Tokens over which the speed is measured.
const SPEED_TOKENS: usize = 48;

impl Store {
    /// Applies one event.
    pub fn event(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Devices(devices) => self.devices = devices,
            Event::Planned(plan) => {
                if matches!(&self.plan, PlanState::Waiting(choice) if *choice == plan.choice) {
                    self.plan = PlanState::Ready(plan);
                }
            }
            Event::LoadProgress(load, stage, done, total) => {
                if let ModelState::Loading(_, current, at, so_far, of) = &mut self.model
                    && *current == load
                {
                    (*at, *so_far, *of) = (stage, done, total);
                }
            }
            Event::Loaded(load, info) => return self.loaded(load, info),
            Event::Counted(request, tokens) => self.counted(request, tokens),
            Event::Context(generation, map) => self.context(generation, &map),
            Event::PrefillProgress(generation, done, total, seconds) => {
                if let Some(work) = self.work.as_mut().filter(|work| work.generation == generation) {
                    work.phase = Phase::Prefill(done, total, seconds);
                }
            }
            Event::ModeChanged(generation, mode, _) => self.mode_changed(generation, mode),
            Event::Token(token) => return self.token(token),
            Event::Rest(generation, text) => self.rest(generation, &text),
            Event::DeviceLost(generation, detail) => {
                if self.working_on(generation).is_some() {
                    let words = format!("{detail}. The model is loaded again and the answer goes on.");
                    self.tell(Notice::Problem(Notice::DEVICE_LOST.into(), words));
                }
            }
            Event::DeviceRestored(generation) => {
                self.notices.retain(|posted| !posted.notice.is_of(Notice::DEVICE_LOST));
                if self.working_on(generation).is_some() {
                    self.tell(Notice::Done("The graphics device is back, nothing was lost".into()));
                }
            }
            Event::Finished(generation, reason, stats) => {
                if let Some(work) = self.work.take_if(|work| work.generation == generation) {
                    let mut effects = self.finish(&work, reason, stats);
                    effects.extend(self.next_in_queue());
                    return effects;
                }
            }
            Event::Failed(work, error) => return self.failed(work, error),
        }
        Vec::new()
    }

    fn loaded(&mut self, load: WorkId, info: ModelInfo) -> Vec<Effect> {
        let ModelState::Loading(choice, current, ..) = &self.model else { return Vec::new() };
        if *current != load {
            return Vec::new();
        }
        let choice = choice.clone();
        self.settings.remember(&choice);
        self.model = ModelState::Ready(choice, info);
        // Another tokenizer counts differently.
        self.document_tokens.clear();
        let mut effects = vec![Effect::SaveSettings];
        let documents: Vec<_> = self.draft.documents.clone();
        effects.extend(documents.into_iter().filter_map(|id| self.count_document(id)));
        effects.extend(self.count_draft());
        effects
    }

    pub(super) fn count_document(&mut self, id: u64) -> Option<Effect> {
        let text = self.documents.get(&id)?.text.to_string();
        self.count(Counting::Document(id), text)
    }

    pub(super) fn count_draft(&mut self) -> Option<Effect> {
        self.counting.retain(|(_, what)| *what != Counting::Draft);
        self.draft.tokens = None;
        if self.draft.text.is_empty() {
            return None;
        }
        self.count(Counting::Draft, self.draft.text.clone())
    }

    fn count(&mut self, what: Counting, text: String) -> Option<Effect> {
        // While an answer is written the engine has no time to count; the window shows its own estimate.
        if self.model_info().is_none() || self.work.is_some() {
            return None;
        }
        let request = self.new_work();
        self.counting.push((request, what));
        Some(Effect::Send(Command::Count(request, text)))
    }

    fn counted(&mut self, request: WorkId, tokens: u32) {
        let Some(at) = self.counting.iter().position(|(asked, _)| *asked == request) else { return };
        match self.counting.remove(at).1 {
            Counting::Draft => self.draft.tokens = Some(tokens),
            Counting::Document(id) => {
                self.document_tokens.insert(id, tokens);
            }
        }
    }

    fn context(&mut self, generation: WorkId, map: &Arc<ContextMap>) {
        if let Some(work) = self.work.as_ref().filter(|work| work.generation == generation) {
            let (chat, message) = (work.chat, work.message);
            self.readings.retain(|(other, reading)| *other != chat || reading.message != message);
            self.readings.push((chat, Reading::new(message, ContextMap::clone(map))));
        }
    }

    fn mode_changed(&mut self, generation: WorkId, mode: Mode) {
        let Some((chat, message)) = self.working_on(generation) else { return };
        if let Some(message) = self.chat_mut(chat).and_then(|chat| chat.message_mut(message)) {
            let at = u32::try_from(message.text.len()).unwrap_or(u32::MAX);
            message.switches.push((at, mode));
        }
    }

    fn working_on(&self, generation: WorkId) -> Option<(u64, u32)> {
        let work = self.work.as_ref().filter(|work| work.generation == generation)?;
        Some((work.chat, work.message))
    }

    fn token(&mut self, token: Token) -> Vec<Effect> {
        let Some((chat_id, message_id)) = self.working_on(token.generation) else { return Vec::new() };
        let now = self.now;
        let mut effects = Vec::new();
        if let Some(work) = &mut self.work {
            work.phase = Phase::Writing;
            work.tokens = work.tokens.saturating_add(1);
            work.first_token.get_or_insert(token.seconds);
            work.times.push_back(token.seconds);
            if work.times.len() > SPEED_TOKENS {
                work.times.pop_front();
            }
            if now.saturating_sub(work.saved) >= SAVE_EVERY {
                work.saved = now;
                effects.push(Effect::SaveChat(chat_id));
            }
        }
        let mut bytes = 0..0;
        if let Some(message) = self.chat_mut(chat_id).and_then(|chat| chat.message_mut(message_id)) {
            let text = match token.part {
                Part::Thinking => &mut message.thinking,
                Part::Answer => &mut message.text,
            };
            message.mode = message.mode.or(token.step.as_deref().map(|step| step.mode));
            let start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            text.push_str(&token.text);
            bytes = start..u32::try_from(text.len()).unwrap_or(u32::MAX);
        }
        if let Some(reading) = self.reading_mut(chat_id, message_id) {
            reading.push(token.part, bytes, token.step);
            if reading.written.len().is_multiple_of(BOUND_EVERY) {
                self.bound_traces();
            }
        }
        effects
    }

    fn rest(&mut self, generation: WorkId, text: &str) {
        let Some((chat_id, message_id)) = self.working_on(generation) else { return };
        let part = self.reading_mut(chat_id, message_id).and_then(|reading| {
            let last = reading.written.last_mut()?;
            last.bytes.end = last.bytes.end.saturating_add(u32::try_from(text.len()).unwrap_or(0));
            Some(last.part)
        });
        if let Some(message) = self.chat_mut(chat_id).and_then(|chat| chat.message_mut(message_id)) {
            match part {
                Some(Part::Thinking) => message.thinking.push_str(text),
                Some(Part::Answer) | None => message.text.push_str(text),
            }
        }
    }

    pub(super) fn reading_mut(&mut self, chat: u64, message: u32) -> Option<&mut Reading> {
        let own = self.readings.iter_mut().rev().find(|(of, reading)| *of == chat && reading.message == message);
        own.map(|(_, reading)| reading)
    }

    fn failed(&mut self, failed: Option<WorkId>, error: EngineError) -> Vec<Effect> {
        let mut effects = Vec::new();
        let gone = matches!(error.kind, FailureKind::DeviceLost | FailureKind::Crashed);
        if let PlanState::Waiting(choice) = &self.plan
            && failed.is_none()
            && !gone
        {
            self.plan = PlanState::Failed(choice.clone(), error);
            return effects;
        }
        if let ModelState::Loading(choice, load, ..) = &self.model
            && (gone || failed == Some(*load))
        {
            self.model = ModelState::Failed(choice.clone(), error.clone());
        } else if failed.is_some() && self.work.as_ref().map(|work| work.generation) != failed {
            // Work that nobody waits for any more.
            return effects;
        } else if let Some(work) = self.work.take() {
            self.queue.clear();
            effects.extend(self.drop_answer(&work));
        }
        if gone && let ModelState::Ready(choice, _) = &self.model {
            self.model = ModelState::Failed(choice.clone(), error.clone());
        }
        if error.kind == FailureKind::Crashed {
            effects.push(Effect::Respawn);
        }
        let is_old = |notice: &Notice| matches!(notice, Notice::Failure(_)) || notice.is_of(Notice::DEVICE_LOST);
        self.notices.retain(|posted| !is_old(&posted.notice));
        self.tell(Notice::Failure(error));
        effects
    }

    /// What was written stays; an answer without a word goes, so that the question stands last and can be sent again.
    fn drop_answer(&mut self, work: &super::Work) -> Vec<Effect> {
        if let Some(chat) = self.chat_mut(work.chat)
            && chat.message(work.message).is_some_and(|message| message.text.is_empty() && message.thinking.is_empty())
        {
            chat.remove(work.message);
        }
        vec![Effect::SaveChat(work.chat)]
    }

    /// Takes in what an earlier run of the program knew of answers of a chat; what is known by itself is better.
    pub(super) fn traces_read(&mut self, chat: ChatId, readings: Vec<Reading>) {
        let there = |message| self.chat_by(chat).is_some_and(|chat| chat.message(message).is_some());
        let new = |reading: &Reading| there(reading.message) && self.reading_in(chat, reading.message).is_none();
        let found: Vec<_> = readings.into_iter().filter(new).map(|reading| (chat, reading)).collect();
        // The oldest go first where there are too many.
        self.readings.splice(0..0, found);
        self.bound_traces();
    }

    pub(super) fn bound_traces(&mut self) {
        let total: usize = self.readings.iter().map(|(_, reading)| reading.step_bytes()).sum();
        let mut over = total.saturating_sub(TRACE_BYTES);
        for (_, reading) in &mut self.readings {
            over = over.saturating_sub(reading.forget_oldest(over));
        }
        let mut tokens: usize = self.readings.iter().map(|(_, reading)| reading.map.len() as usize).sum();
        while tokens > MAPPED_TOKENS && self.readings.len() > 1 {
            tokens -= self.readings.remove(0).1.map.len() as usize;
        }
    }
}
