//! The loop: prompt, then token after token until something ends it. Tells of everything through events.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::Mode;
use crate::ops::top_logits::Top;
use crate::sampler::{Candidates, Sampled, Sampler, SamplerSettings};
use crate::session::{Recovery, Session};
use crate::tokenizer::{StreamDecoder, Tokenizer};
use crate::trace::StepTrace;

/// How to generate.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// How to choose tokens.
    pub sampler: SamplerSettings,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// Texts that end the answer and are left out of it.
    pub stop: Vec<String>,
}

/// What happens, as it happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Reading the prompt: tokens computed, of how many.
    Prefill {
        /// So far.
        done: usize,
        /// Of these.
        total: usize,
    },
    /// The device was lost; the answer goes on once everything is as it was before.
    DeviceLost {
        /// The driver's words.
        detail: String,
    },
    /// Getting back to where it was: tokens computed again, of how many.
    Recomputing {
        /// So far.
        done: usize,
        /// Of these.
        total: usize,
    },
    /// The device is back, and nothing is lost.
    DeviceRestored,
    /// A token of the answer.
    Token {
        /// The token.
        id: u32,
        /// The text that it completes; may be empty.
        text: String,
        /// How the step attended that chose it.
        mode: Mode,
        /// What that step read, where tracing is on.
        #[serde(skip_serializing_if = "Option::is_none")]
        trace: Option<Box<StepTrace>>,
    },
    /// Text that was held back and is no stop text after all, or a cut character: it follows the last token.
    Rest {
        /// The text.
        text: String,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model said so.
    EndOfAnswer,
    /// A stop text appeared.
    StopText,
    /// The number of tokens asked for.
    MaxTokens,
    /// No room left in the context.
    ContextFull,
    /// The user stopped it.
    Stopped,
}

/// An answer and its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The whole text.
    pub text: String,
    /// Its tokens, without the one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub reason: FinishReason,
    /// How the last step attended.
    pub mode: Mode,
    /// Tokens that each head of the last step read.
    pub tokens_read: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those that were in the cache already.
    pub cached_tokens: usize,
    /// Those that were computed: the others, unless it was stopped before.
    pub computed_tokens: usize,
    /// Seconds from the start to the first token, or to the end where there is none.
    pub first_token_seconds: f64,
    /// Seconds from the first token to the end.
    pub decode_seconds: f64,
}

impl Answer {
    /// Prompt tokens computed per second.
    pub fn prompt_speed(&self) -> f64 {
        self.computed_tokens as f64 / self.first_token_seconds.max(1e-9)
    }

    /// Tokens generated per second after the first.
    pub fn decode_speed(&self) -> f64 {
        self.tokens.len().saturating_sub(1) as f64 / self.decode_seconds.max(1e-9)
    }
}

/// Answers `prompt`. `stop` may be set from another thread; `on_event` may end it with an error.
pub fn generate(
    session: &mut Session,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    options: &GenerateOptions,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Answer> {
    let mut sampler = Sampler::new(options.sampler)?;
    let started = Instant::now();
    let (mut computed_tokens, mut missing_tokens) = (0, 0);
    let on_event = RefCell::new(on_event);
    let tell = |event| (on_event.borrow_mut())(event);
    let go_on = || if stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) };
    let mut recovering = |recovery| {
        match recovery {
            Recovery::Lost(detail) => tell(Event::DeviceLost { detail })?,
            Recovery::Loading(..) => {}
            Recovery::Recomputing(done, total) => tell(Event::Recomputing { done, total })?,
            Recovery::Restored => tell(Event::DeviceRestored)?,
        }
        go_on()
    };
    let fed = session.surviving(&mut recovering, &mut |session| {
        session.feed(prompt, &mut |done, total| {
            // After a loss what was computed before counts as cached.
            missing_tokens = missing_tokens.max(total);
            computed_tokens = missing_tokens - (total - done);
            tell(Event::Prefill { done, total })?;
            go_on()
        })
    });
    let mut answer = Answer {
        text: String::new(),
        tokens: Vec::new(),
        reason: FinishReason::Stopped,
        mode: Mode::Dense,
        tokens_read: 0,
        prompt_tokens: prompt.len(),
        cached_tokens: prompt.len() - missing_tokens,
        computed_tokens,
        first_token_seconds: seconds(started.elapsed()),
        decode_seconds: 0.0,
    };
    let mut next = match fed {
        Ok(next) => next,
        Err(Error::Stopped) => return Ok(answer),
        Err(error) => return Err(error),
    };
    let mut decoder = StreamDecoder::new(tokenizer);
    let mut filter = StopFilter::new(&options.stop);
    let mut history = prompt.to_vec();
    let mut first_token = None;
    let mut mode = next.mode;
    answer.reason = loop {
        if stop.load(Ordering::Relaxed) {
            break FinishReason::Stopped;
        }
        if answer.tokens.len() == options.max_tokens {
            break FinishReason::MaxTokens;
        }
        let chosen = session.surviving(&mut recovering, &mut |session| {
            // A second attempt must find the sampler as the first did.
            let mut attempt = sampler.clone();
            Ok((choose(session, &mut attempt, &next.top, &history)?, attempt))
        });
        let id = match chosen {
            Ok((id, used)) => {
                sampler = used;
                id
            }
            Err(Error::Stopped) => break FinishReason::Stopped,
            Err(error) => return Err(error),
        };
        first_token.get_or_insert_with(Instant::now);
        if tokenizer.is_eos(id) {
            break FinishReason::EndOfAnswer;
        }
        answer.tokens.push(id);
        history.push(id);
        let (text, stopped) = filter.push(&decoder.push(id));
        answer.text.push_str(&text);
        mode = next.mode;
        tell(Event::Token { id, text, mode, trace: next.trace.take().map(Box::new) })?;
        if stopped {
            break FinishReason::StopText;
        }
        if history.len() > session.capacity() {
            break FinishReason::ContextFull;
        }
        if answer.tokens.len() < options.max_tokens {
            next = match session.surviving(&mut recovering, &mut |session| session.advance(id)) {
                Ok(next) => next,
                Err(Error::Stopped) => break FinishReason::Stopped,
                Err(error) => return Err(error),
            };
        }
    };
    let rest = filter.finish(&decoder.finish(), answer.reason == FinishReason::StopText);
    if !rest.is_empty() {
        answer.text.push_str(&rest);
        tell(Event::Rest { text: rest })?;
    }
    answer.mode = mode;
    answer.tokens_read = session.tokens_read(mode);
    let ended = Instant::now();
    let first = first_token.unwrap_or(ended);
    answer.first_token_seconds = seconds(first - started);
    tracing::info!("first token after {:.0} ms", answer.first_token_seconds * 1e3);
    answer.decode_seconds = seconds(ended - first);
    Ok(answer)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn choose(session: &mut Session, sampler: &mut Sampler, top: &Top, history: &[u32]) -> Result<u32> {
    let vocabulary = session.config().vocab_size;
    let candidates = Candidates { best: &top.candidates, log_sum_exp: top.log_sum_exp, vocabulary };
    match sampler.sample_candidates(candidates, history)? {
        Sampled::Token(id) => Ok(id),
        Sampled::NeedFullRow => sampler.sample_full(&session.logits()?, history),
    }
}

/// Holds back text that may be the beginning of a stop text.
struct StopFilter<'a> {
    stops: &'a [String],
    held: String,
}

impl<'a> StopFilter<'a> {
    fn new(stops: &'a [String]) -> Self {
        Self { stops, held: String::new() }
    }

    /// What may be shown now, and whether a stop text was met.
    fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let met = self.stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| self.held.find(stop.as_str()));
        if let Some(place) = met.min() {
            self.held.truncate(place);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let shown = self.held.len() - keep;
        let rest = self.held.split_off(shown);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// The rest, when the answer ended otherwise.
    fn finish(mut self, text: &str, stopped: bool) -> String {
        if stopped {
            return String::new();
        }
        let (shown, met) = self.push(text);
        if met { shown } else { shown + &self.held }
    }
}

/// Length of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    let fits = |length: &usize| stop.is_char_boundary(*length) && text.ends_with(&stop[..*length]);
    (1..=longest).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_text_over_several_tokens_is_left_out() {
        let stops = vec!["<end>".to_owned(), "é!".to_owned()];
        let mut filter = StopFilter::new(&stops);
        assert_eq!(filter.push("a<e"), ("a".into(), false));
        assert_eq!(filter.push("b<en"), ("<eb".into(), false));
        assert_eq!(filter.push("d>more"), (String::new(), true));
        let mut filter = StopFilter::new(&stops);
        assert_eq!(filter.push("caf\u{e9}"), ("caf".into(), false));
        assert_eq!(filter.finish("s", false), "\u{e9}s");
    }
}
