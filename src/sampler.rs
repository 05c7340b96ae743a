//! Chooses the next token from logits. Pure and deterministic: the same logits, history and seed give the same token everywhere.
//!
//! The order of the steps is that of Hugging Face: repeat penalty, temperature, top-k, top-p, min-p. On tokens sorted by logit (lower
//! id first among equals) each filter keeps a prefix, so together they keep the shortest one:
//! - penalty: a logit l of a token among the last `repeat_last_n` becomes l / penalty where positive, l * penalty where negative
//! - temperature: all logits are divided by it; 0 takes the first token and stops
//! - top-k: the first k
//! - top-p: of those, the shortest prefix with at least top_p of their probability
//! - min-p: those with at least min_p times the probability of the first
//!
//! The GPU hands over its k best tokens and the log-sum-exp of the row. That is enough if the prefix provably ends inside the
//! candidates. Top-p needs the weight of all other tokens at the given temperature, which is only known within bounds; the answer
//! is [`Sampled::NeedFullRow`] unless both bounds give the same prefix. So the result never depends on which way was taken.

mod random;

use std::collections::HashSet;

use random::Pcg32;

use crate::error::{Error, Result};

/// Relative doubt about the row's sum of exponentials, which a GPU adds up in f32.
const SUM_TOLERANCE: f64 = 1e-4;

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerSettings {
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// 0 switches the filter off.
    pub top_k: usize,
    /// 1 switches the filter off.
    pub top_p: f32,
    /// 0 switches the filter off.
    pub min_p: f32,
    /// 1 switches it off; above 1 makes repetitions rarer.
    pub repeat_penalty: f32,
    /// How many of the last tokens the penalty looks at.
    pub repeat_last_n: usize,
    /// Start of the random sequence.
    pub seed: u64,
}

impl Default for SamplerSettings {
    /// What most models publish, without a penalty.
    fn default() -> Self {
        Self { temperature: 0.7, top_k: 0, top_p: 0.95, min_p: 0.0, repeat_penalty: 1.0, repeat_last_n: 64, seed: 0 }
    }
}

impl SamplerSettings {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: f32| {
            Err(Error::Usage { what: what.into(), expected: expected.into(), found: found.to_string() })
        };
        let Self { temperature, top_p, min_p, repeat_penalty, .. } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return wrong("temperature", "a number from 0 on", temperature);
        }
        if !(0.0..=1.0).contains(&top_p) {
            return wrong("top_p", "a number from 0 to 1", top_p);
        }
        if !(0.0..=1.0).contains(&min_p) {
            return wrong("min_p", "a number from 0 to 1", min_p);
        }
        if !(repeat_penalty.is_finite() && repeat_penalty > 0.0) {
            return wrong("repeat_penalty", "a number above 0", repeat_penalty);
        }
        Ok(())
    }
}

/// The best tokens of a row as the GPU picked them.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// Token and logit, descending; among equal logits the lower id is picked and stands first.
    pub best: &'a [(u32, f32)],
    /// ln of the sum of exp(logit) over the whole row.
    pub log_sum_exp: f32,
    /// Length of the row.
    pub vocabulary: usize,
}

/// What came of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// The chosen token.
    Token(u32),
    /// The candidates do not decide: read the row and call [`Sampler::sample_full`].
    NeedFullRow,
}

/// A token on its way through the filters.
#[derive(Clone, Copy)]
struct Choice {
    token: u32,
    logit: f64,
}

/// The weight (sum of exp) of the tokens that are not known: somewhere between two numbers.
#[derive(Clone, Copy)]
struct Rest {
    least: f64,
    most: f64,
}

/// Settings and the state of the random sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: SamplerSettings,
    random: Pcg32,
}

impl Sampler {
    /// Fails on settings that make no sense.
    pub fn new(settings: SamplerSettings) -> Result<Self> {
        settings.check()?;
        Ok(Self { settings, random: Pcg32::new(settings.seed) })
    }

    /// The settings.
    pub fn settings(&self) -> &SamplerSettings {
        &self.settings
    }

    /// The next token after `history`, if the candidates are enough to tell. `NeedFullRow` uses up no random number.
    pub fn sample_candidates(&mut self, candidates: Candidates<'_>, history: &[u32]) -> Result<Sampled> {
        let Candidates { best, log_sum_exp, vocabulary } = candidates;
        let Some(&(_, floor)) = best.last() else { return Ok(Sampled::NeedFullRow) };
        check_finite(best.iter().map(|&(_, logit)| logit).chain([log_sum_exp]))?;
        if !best.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)) || best.len() > vocabulary {
            let expected = format!("at most {vocabulary} candidates, descending, lower ids first");
            return Err(Error::shape("sampler", expected, format!("{} in another order", best.len())));
        }
        let complete = best.len() == vocabulary;
        let recent = self.recent(history);
        if !complete && !recent.is_empty() && self.settings.repeat_penalty < 1.0 {
            // Tokens outside may be raised above any candidate.
            return Ok(Sampled::NeedFullRow);
        }

        // A token outside has at most the floor's logit, and a penalty only lowers it: what stays above the floor is in its final
        // order. What falls to it or below may come after tokens that nobody has seen.
        let floor = f64::from(floor);
        let mut known: Vec<Choice> =
            best.iter().map(|&(token, raw)| Choice { token, logit: self.penalised(token, raw, &recent) }).collect();
        sort(&mut known);
        let lowered_to = |choice: &Choice| recent.contains(&choice.token) && choice.logit <= floor;
        if let (false, Some(end)) = (complete, known.iter().position(lowered_to)) {
            let end = known.iter().position(|choice| choice.logit <= floor).unwrap_or(end);
            known.truncate(end);
        }
        let Some(&first) = known.first() else { return Ok(Sampled::NeedFullRow) };
        let rest = if complete {
            Some(Rest { least: 0.0, most: 0.0 })
        } else {
            self.rest(candidates, &known, first.logit, &recent)
        };
        let outside = vocabulary - known.len();
        Ok(match rest.and_then(|rest| self.kept(&known, rest, outside)) {
            Some(kept) => Sampled::Token(self.draw(&known[..kept])),
            None => Sampled::NeedFullRow,
        })
    }

    /// Bounds for the weight of all tokens but `known`, relative to a logit of `reference`, at the temperature.
    fn rest(
        &self,
        candidates: Candidates<'_>,
        known: &[Choice],
        reference: f64,
        recent: &HashSet<u32>,
    ) -> Option<Rest> {
        let Candidates { best, log_sum_exp, vocabulary } = candidates;
        let temperature = if self.settings.temperature == 0.0 { 1.0 } else { f64::from(self.settings.temperature) };
        let weight = |logit: f64| (logit - reference).exp();
        let sum = weight(f64::from(log_sum_exp));
        let inside: f64 = best.iter().map(|&(_, logit)| weight(f64::from(logit))).sum();
        let each = best.last().map_or(0.0, |&(_, floor)| weight(f64::from(floor)));
        let count = (vocabulary - best.len()) as f64;
        // Sums that overflow or vanish say nothing; logits hundreds apart are no language model's.
        if !(sum.is_finite() && inside.is_finite() && each > 1e-300) {
            return None;
        }
        let seen: HashSet<u32> = best.iter().map(|&(token, _)| token).collect();
        let lowered = recent.iter().filter(|token| !seen.contains(token)).count() as f64;
        let most = (sum * (1.0 + SUM_TOLERANCE) - inside).min(each * count).max(0.0);
        let least = (sum * (1.0 - SUM_TOLERANCE) - inside - each * lowered).min(most).max(0.0);
        // `count` weights, none above `each`, add up to `total`: then their powers add up least and most when the weights are all
        // equal, and when as many as possible are at `each`; which is which depends on the power.
        let power = 1.0 / temperature;
        let equal = |total: f64| count * (total / count).powf(power);
        let heaped = |total: f64| total * each.powf(power - 1.0);
        let (least, most) = if power >= 1.0 { (equal(least), heaped(most)) } else { (heaped(least), equal(most)) };
        // Candidates that are not known any more have a known weight.
        let known: HashSet<u32> = known.iter().map(|choice| choice.token).collect();
        let dropped: f64 = (best.iter().filter(|(token, _)| !known.contains(token)))
            .map(|&(token, raw)| ((self.penalised(token, raw, recent) - reference) / temperature).exp())
            .sum();
        Some(Rest { least: least + dropped, most: most + dropped })
    }

    /// The next token after `history` from a whole row: `logits[id]`.
    pub fn sample_full(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        check_finite(logits.iter().copied())?;
        let recent = self.recent(history);
        let mut choices: Vec<Choice> = (0u32..)
            .zip(logits)
            .map(|(token, &raw)| Choice { token, logit: self.penalised(token, raw, &recent) })
            .collect();
        sort(&mut choices);
        match self.kept(&choices, Rest { least: 0.0, most: 0.0 }, 0) {
            Some(kept) => Ok(self.draw(&choices[..kept])),
            None => Err(Error::shape("sampler", "a row of logits", "an empty one")),
        }
    }

    /// The tokens that the penalty concerns; none where it is off.
    fn recent(&self, history: &[u32]) -> HashSet<u32> {
        if self.settings.repeat_penalty == 1.0 {
            return HashSet::new();
        }
        history.iter().rev().take(self.settings.repeat_last_n).copied().collect()
    }

    fn penalised(&self, token: u32, logit: f32, recent: &HashSet<u32>) -> f64 {
        let (logit, penalty) = (f64::from(logit), f64::from(self.settings.repeat_penalty));
        match recent.contains(&token) {
            true if logit > 0.0 => logit / penalty,
            true => logit * penalty,
            false => logit,
        }
    }

    /// How many of the sorted `known` tokens the filters keep, if that is certain. None of the `outside` other tokens comes before a
    /// known one; `rest` is their weight, relative to the first known token's.
    fn kept(&self, known: &[Choice], rest: Rest, outside: usize) -> Option<usize> {
        let SamplerSettings { temperature, top_k, top_p, min_p, .. } = self.settings;
        let first = known.first()?;
        if temperature == 0.0 {
            return Some(1);
        }
        let weights: Vec<f64> = known.iter().map(|choice| self.weight(choice, first)).collect();
        // Where no filter ends the prefix among the known tokens, it is longer than they are.
        let open_end = if outside == 0 { known.len() } else { usize::MAX };
        let limit = if top_k == 0 { open_end } else { top_k.min(open_end) };
        let by_weight = weights.iter().position(|&weight| weight < f64::from(min_p)).unwrap_or(open_end);
        let by_share = |rest: f64| {
            if top_p >= 1.0 {
                return open_end;
            }
            let (counted, rest) = weights.get(..limit).map_or((&weights[..], rest), |counted| (counted, 0.0));
            let wanted = f64::from(top_p) * (counted.iter().sum::<f64>() + rest);
            let mut sum = 0.0;
            let reached = counted.iter().position(|weight| {
                sum += weight;
                sum >= wanted
            });
            reached.map_or(open_end, |last| last + 1)
        };
        // Top-k leaves an unknown part of the rest.
        let least = if limit == usize::MAX { rest.least } else { 0.0 };
        let shortest = |rest: f64| limit.min(by_weight).min(by_share(rest));
        let (kept, other) = (shortest(least), shortest(rest.most));
        (kept == other && kept <= known.len()).then_some(kept)
    }

    /// The probability relative to that of the first token.
    fn weight(&self, choice: &Choice, first: &Choice) -> f64 {
        ((choice.logit - first.logit) / f64::from(self.settings.temperature)).exp()
    }

    /// One of the tokens that are left, by their weights. A single one uses up no random number.
    fn draw(&mut self, kept: &[Choice]) -> u32 {
        let mut chosen = 0;
        if let [first, _, ..] = kept {
            let mut left = self.random.unit() * kept.iter().map(|choice| self.weight(choice, first)).sum::<f64>();
            for (index, choice) in kept.iter().enumerate() {
                chosen = index;
                left -= self.weight(choice, first);
                if left < 0.0 {
                    break;
                }
            }
        }
        kept.get(chosen).map_or(0, |choice| choice.token)
    }
}

/// Descending by logit, lower ids first among equals.
fn sort(choices: &mut [Choice]) {
    choices.sort_unstable_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
}

fn check_finite(logits: impl IntoIterator<Item = f32>) -> Result<()> {
    match logits.into_iter().find(|logit| !logit.is_finite()) {
        Some(logit) => Err(Error::gpu("logits", format!("one of them is {logit}, expected finite numbers"))),
        None => Ok(()),
    }
}
