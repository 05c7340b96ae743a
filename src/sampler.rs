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
//! Of what is kept, the token is taken at a random share of the weight, counted from the first. Every choice at a temperature above 0
//! uses up one random number.
//!
//! The GPU hands over its k best tokens and the log-sum-exp of the row. The weight of all other tokens at the given temperature
//! then is only known within bounds. More weight there moves the chosen token further back, so if both bounds choose the
//! same one, it is the one that the whole row would give; else the answer is [`Sampled::NeedFullRow`]. The result never depends on
//! which way was taken.

pub(crate) mod random;

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
        if !complete && known.iter().any(|choice| choice.logit <= floor && recent.contains(&choice.token)) {
            known.retain(|choice| choice.logit > floor);
        }
        let Some(&first) = known.first() else { return Ok(Sampled::NeedFullRow) };
        if self.settings.temperature == 0.0 {
            return Ok(Sampled::Token(first.token));
        }
        let rest = if complete {
            Some(Rest { least: 0.0, most: 0.0 })
        } else {
            self.rest(candidates, &known, first.logit, &recent)
        };
        let Some(Rest { least, most }) = rest else { return Ok(Sampled::NeedFullRow) };
        let weights = self.weights(&known);
        let mut random = self.random.clone();
        let unit = random.unit();
        let outside = vocabulary - known.len();
        let SamplerSettings { top_k, top_p, min_p, .. } = self.settings;
        let sum: f64 = weights.iter().sum();
        // What is kept in all, where the filters end among the others: top-p ends within one token behind its share. Of the
        // others top-k and min-p may leave nothing.
        let (least, least_kept) = match (top_k > known.len(), min_p > 0.0) {
            (true, _) => (0.0, sum),
            (false, true) => (least, sum),
            (false, false) => (least, sum.max(f64::from(top_p) * (sum + least))),
        };
        let last = weights.last().copied().unwrap_or(0.0);
        let most_kept = (sum + most).min(f64::from(top_p) * (sum + most) + last);
        let pick =
            |rest, open_sum| self.pick(&weights, rest, outside, open_sum, unit).and_then(|index| known.get(index));
        match (pick(least, least_kept), pick(most, most_kept)) {
            (Some(choice), Some(other)) if choice.token == other.token => {
                let token = choice.token;
                self.random = random;
                Ok(Sampled::Token(token))
            }
            _ => Ok(Sampled::NeedFullRow),
        }
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
        let temperature = f64::from(self.settings.temperature);
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
        let index = match self.settings.temperature {
            0.0 => Some(0),
            _ => self.pick(&self.weights(&choices), 0.0, 0, 0.0, self.random.clone().unit()),
        };
        let chosen = index.and_then(|index| choices.get(index));
        let Some(&Choice { token, .. }) = chosen else {
            return Err(Error::shape("sampler", "a row of logits", "an empty one"));
        };
        if self.settings.temperature > 0.0 {
            self.random.unit();
        }
        Ok(token)
    }

    /// The tokens that the penalty concerns; none where it is off.
    fn recent(&self, history: &[u32]) -> HashSet<u32> {
        if self.settings.repeat_penalty == 1.0 {
            return HashSet::new();
        }
        history.iter().rev().take(self.settings.repeat_last_n).copied().collect()
    }

    fn penalised(&self, token: u32, logit: f32, recent: &HashSet<u32>) -> f64 {
        // Adding zero makes a negative zero a positive one: they are equal, and the lower id has to win.
        let (logit, penalty) = (f64::from(logit) + 0.0, f64::from(self.settings.repeat_penalty));
        match recent.contains(&token) {
            true if logit > 0.0 => logit / penalty,
            true => logit * penalty,
            false => logit,
        }
    }

    /// Probabilities relative to that of the first.
    fn weights(&self, choices: &[Choice]) -> Vec<f64> {
        let first = choices.first().map_or(0.0, |choice| choice.logit);
        let temperature = f64::from(self.settings.temperature);
        choices.iter().map(|choice| ((choice.logit - first) / temperature).exp()).collect()
    }

    /// How many tokens the filters keep, of those with these sorted `weights` and `outside` others with the sum `rest`, none of
    /// which comes before a known one; [`usize::MAX`] where the filters end among the others.
    fn kept(&self, weights: &[f64], rest: f64, outside: usize) -> usize {
        let SamplerSettings { top_k, top_p, min_p, .. } = self.settings;
        let open_end = if outside == 0 { weights.len() } else { usize::MAX };
        let limit = if top_k == 0 { open_end } else { top_k.min(open_end) };
        let by_weight = weights.iter().position(|&weight| weight < f64::from(min_p)).unwrap_or(open_end);
        let by_share = if top_p >= 1.0 {
            open_end
        } else {
            let (counted, rest) = weights.get(..limit).map_or((weights, rest), |counted| (counted, 0.0));
            let wanted = f64::from(top_p) * (counted.iter().sum::<f64>() + rest);
            let mut sum = 0.0;
            let reached = counted.iter().position(|weight| {
                sum += weight;
                sum >= wanted
            });
            reached.map_or(open_end, |last| last + 1)
        };
        let kept = limit.min(by_weight).min(by_share);
        if kept <= weights.len() { kept } else { usize::MAX }
    }

    /// The token at the share `unit` of what the filters keep, if it is a known one. `open_sum` is the weight of what is kept where
    /// the filters end among the others. More weight never moves the choice forward.
    fn pick(&self, weights: &[f64], rest: f64, outside: usize, open_sum: f64, unit: f64) -> Option<usize> {
        let kept = self.kept(weights, rest, outside);
        let prefix = weights.get(..kept);
        let mut left = unit * prefix.map_or(open_sum, |prefix| prefix.iter().sum());
        let counted = prefix.unwrap_or(weights);
        let reached = counted.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a little behind the last token.
        reached.or(if kept == usize::MAX { None } else { kept.checked_sub(1) })
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
