//! One answer: from the request to the tokens of the context, and from the generator's events to the window's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::open::OpenModel;
use super::pins;
use crate::chat_template::{Message, Role as TemplateRole};
use crate::conversation::{Conversation, Document, Source as ContextSource};
use crate::desktop::engine::EngineSide;
use crate::desktop::messages::{
    AttentionChoice, Event, FinishReason, GenerateRequest, Mode, Part, Role, Sampling, Source, Stats, Token,
};
use crate::desktop::trace_data::{ContextMap, StepTrace};
use crate::error::Result;
use crate::generate::{self, GenerateOptions};
use crate::model::{self, Attention};
use crate::sampler::SamplerSettings;
use crate::trace;

/// Writes one answer and reports it.
pub(super) fn write(
    model: &mut OpenModel,
    request: &GenerateRequest,
    stop_texts: &[String],
    side: &EngineSide,
) -> Result<()> {
    let (generation, started) = (request.generation, Instant::now());
    let conversation = conversation(request);
    let thinking = model.info.can_think.then_some(request.thinking);
    let context = conversation.tokens(&model.tokenizer, &model.template, thinking)?;
    let mut map = ContextMap::default();
    for token in &context {
        let small = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        map.push(source(request, token.source), small(token.bytes.start)..small(token.bytes.end));
    }
    let marks = pins::marks(&request.pins, &map, model.info.block_size);
    side.events.send(Event::Context(generation, Arc::new(map)));
    let prompt: Vec<u32> = context.iter().map(|token| token.id).collect();
    model.session.set_marks(marks)?;
    model.session.set_trace(request.trace);
    model.session.set_attention(match request.attention {
        AttentionChoice::Auto => Attention::Auto,
        AttentionChoice::Dense => Attention::Dense,
        AttentionChoice::Sparse => Attention::Sparse,
    });
    let layers = model.info.layers;
    let options = GenerateOptions {
        sampler: sampler(&request.sampling, generation),
        max_tokens: request.sampling.max_tokens as usize,
        stop: stop_texts.to_vec(),
    };
    let stop = AtomicBool::new(false);
    let mut parts = Parts::default();
    let mut mode = None;
    let mut length = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
    let answer = generate::generate(&mut model.session, &model.tokenizer, &prompt, &options, &stop, &mut |event| {
        stop.store(side.stop.is_stopped(generation), Ordering::Relaxed);
        match event {
            generate::Event::Prefill { done, total } => {
                let small = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
                let seconds = started.elapsed().as_secs_f32();
                side.events.send(Event::PrefillProgress(generation, small(done), small(total), seconds));
            }
            generate::Event::Recomputing { done, total } => {
                let small = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
                let seconds = started.elapsed().as_secs_f32();
                side.events.send(Event::PrefillProgress(generation, small(done), small(total), seconds));
            }
            generate::Event::DeviceLost { detail } => {
                side.events.send(Event::DeviceLost(generation, detail));
            }
            generate::Event::DeviceRestored => {
                side.events.send(Event::DeviceRestored(generation));
            }
            generate::Event::Rest { text } => {
                side.events.send(Event::Rest(generation, text));
            }
            generate::Event::Token { id, text, mode: read, trace } => {
                let read = mode_of(read);
                if mode.replace(read).is_some_and(|before| before != read) {
                    side.events.send(Event::ModeChanged(generation, read, length));
                }
                length = length.saturating_add(1);
                let (part, text) = parts.push(&text);
                let step = trace.map(|trace| Arc::new(step(&trace, layers)));
                let seconds = started.elapsed().as_secs_f32();
                side.events.send(Event::Token(Token { generation, id, text, part, seconds, step }));
            }
        }
        Ok(())
    })?;
    let small = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    let rest = parts.finish();
    if !rest.is_empty() {
        side.events.send(Event::Rest(generation, rest));
    }
    let reason = match answer.reason {
        generate::FinishReason::EndOfAnswer | generate::FinishReason::StopText => FinishReason::EndOfText,
        generate::FinishReason::MaxTokens => FinishReason::MaxTokens,
        generate::FinishReason::ContextFull => FinishReason::ContextFull,
        generate::FinishReason::Stopped => FinishReason::Stopped,
    };
    let stats = Stats {
        prompt_tokens: small(answer.prompt_tokens),
        reused_tokens: small(answer.cached_tokens),
        generated_tokens: small(answer.tokens.len()),
        first_token_seconds: answer.first_token_seconds as f32,
        decode_seconds: answer.decode_seconds as f32,
    };
    side.events.send(Event::Finished(generation, reason, stats));
    Ok(())
}

fn conversation(request: &GenerateRequest) -> Conversation {
    let documents = request.turns.iter().flat_map(|turn| &turn.documents);
    let turn = |turn: &crate::desktop::messages::Turn| Message {
        role: match turn.role {
            Role::User => TemplateRole::User,
            Role::Assistant => TemplateRole::Assistant,
        },
        content: turn.text.clone(),
    };
    Conversation {
        system: Some(request.system.clone()).filter(|system| !system.is_empty()),
        documents: documents.map(|own| Document { name: own.name.clone(), text: own.text.to_string() }).collect(),
        turns: request.turns.iter().map(turn).collect(),
    }
}

fn source(request: &GenerateRequest, source: ContextSource) -> Source {
    match source {
        ContextSource::Template => Source::Template,
        ContextSource::System => Source::System,
        ContextSource::Document(index) => {
            let document = request.turns.iter().flat_map(|turn| &turn.documents).nth(index);
            document.map_or(Source::Template, |document| Source::Document(document.id))
        }
        ContextSource::Turn(index) => {
            request.turns.get(index).map_or(Source::Template, |turn| Source::Turn(turn.message))
        }
    }
}

fn sampler(sampling: &Sampling, generation: u64) -> SamplerSettings {
    SamplerSettings {
        temperature: sampling.temperature,
        top_k: sampling.top_k as usize,
        top_p: sampling.top_p,
        min_p: sampling.min_p,
        repeat_penalty: sampling.repeat_penalty,
        seed: sampling.seed.unwrap_or_else(|| clock_seed(generation)),
        ..SamplerSettings::default()
    }
}

/// Another seed for each answer.
fn clock_seed(generation: u64) -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(generation, |since| since.as_nanos() as u64 ^ generation)
}

fn mode_of(mode: model::Mode) -> Mode {
    match mode {
        model::Mode::Dense => Mode::Dense,
        model::Mode::Sparse => Mode::Sparse,
    }
}

/// The engine's trace in the window's form: what nobody chose, because all blocks fit, counts as forced.
fn step(trace: &trace::StepTrace, layers: u32) -> StepTrace {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (length, block_size, kv_heads) =
        (small(trace.position.saturating_add(1)), small(trace.block_size), small(trace.kv_heads));
    if trace.mode == model::Mode::Dense {
        return StepTrace::dense(length, block_size, layers, kv_heads);
    }
    let blocks = trace.position / trace.block_size.max(1) + 1;
    let all_fit = trace.readers.iter().all(|ids| ids.len() == blocks);
    let readers = trace.readers.iter().map(Vec::as_slice);
    let is_forced = |block| all_fit || trace.is_forced(block);
    StepTrace::sparse(length, block_size, layers, kv_heads, readers, is_forced)
        .with_marks(trace.pinned.clone(), trace.excluded.clone())
}

/// Tells thinking from the answer by the marks that models write around it.
#[derive(Default)]
struct Parts {
    thinking: bool,
    held: String,
    begun: bool,
    /// Whether any thought was shown: the line breaks before the first are left out.
    thought: bool,
}

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

impl Parts {
    /// The part that a token belongs to and the text to show for it. Marks are left out; what may be the beginning of
    /// one is held until it is known.
    fn push(&mut self, text: &str) -> (Part, String) {
        self.held.push_str(text);
        let mark = if self.thinking { CLOSE } else { OPEN };
        // An answer may speak about the mark later on; only at its beginning it opens the thinking.
        let open_allowed = self.thinking || !self.begun;
        let part = if self.thinking { Part::Thinking } else { Part::Answer };
        let opens = |at: &usize| self.thinking || self.held.get(..*at).is_some_and(|before| before.trim().is_empty());
        if let Some(at) = self.held.find(mark).filter(|at| open_allowed && opens(at)) {
            let shown = self.held.get(..at).unwrap_or("").trim_end().to_owned();
            self.held = self.held.get(at + mark.len()..).unwrap_or("").trim_start().to_owned();
            self.thinking = !self.thinking;
            // After the closing mark no other thinking begins.
            self.begun |= !self.thinking;
            return (part, shown);
        }
        let keep = if open_allowed {
            (1..mark.len()).rev().find(|&length| self.held.ends_with(mark.get(..length).unwrap_or("\0"))).unwrap_or(0)
        } else {
            0
        };
        let rest = self.held.split_off(self.held.len() - keep);
        let mut shown = std::mem::replace(&mut self.held, rest);
        if self.thinking && !self.thought {
            shown = shown.trim_start().to_owned();
            self.thought = !shown.is_empty();
        }
        self.begun |= !self.thinking && !shown.trim().is_empty();
        (part, shown)
    }

    fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Parts};

    fn split(tokens: &[&str]) -> (String, String) {
        let mut parts = Parts::default();
        let (mut thinking, mut answer) = (String::new(), String::new());
        for token in tokens {
            match parts.push(token) {
                (Part::Thinking, text) => thinking.push_str(&text),
                (Part::Answer, text) => answer.push_str(&text),
            }
        }
        answer.push_str(&parts.finish());
        (thinking, answer)
    }

    #[test]
    fn thinking_is_told_from_the_answer() {
        assert_eq!(
            split(&["<think>", "\nso", " it is", "\n</think>", "\n\n", "42"]),
            ("so it is".into(), "\n\n42".into())
        );
        assert_eq!(split(&["<th", "ink>a<", "b</thi", "nk>c"]), ("a<b".into(), "c".into()));
        assert_eq!(split(&["The mark <think> ", "opens"]), (String::new(), "The mark <think> opens".into()));
        assert_eq!(split(&["a <th"]), (String::new(), "a <th".into()));
    }
}
