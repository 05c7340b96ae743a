//! Everything that is known about one answer: its context, its tokens, and what each of them was read from.
//!
//! Live heat is an exponential mean with a half-life of 8 tokens, computed from the last steps when it is asked for;
//! the sums over the whole answer are kept as tokens come, so that they outlive the steps (see
//! [`Reading::forget_oldest`]). On the disk is all but the steps.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::passages::{Passage, block_passages};
use super::votes::{BlockVotes, ReaderFilter, Shade, chance};
use crate::desktop::messages::{MessageId, Part};
use crate::desktop::trace_data::{ContextMap, Mode, Source, StepTrace};

/// Tokens after which a step counts half in the live heat.
pub const HALF_LIFE: f32 = 8.0;
/// Steps beyond this many half-lives are below a thousandth.
const LIVE_STEPS: usize = 80;
/// Passages named under an answer.
const HOTTEST: usize = 3;

/// One token of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes in the answer's or the thinking's text.
    pub bytes: Range<u32>,
    /// Which of the two.
    pub part: Part,
    /// What it was drawn from, while it is kept.
    #[serde(skip)]
    pub step: Option<Arc<StepTrace>>,
    /// 1 - Jaccard of the choices against those of the token before; 0 for the first.
    pub turnover: f32,
}

/// Which tokens a picture is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Span {
    /// The exponential mean up to this token.
    Live(usize),
    /// The plain mean over these tokens.
    Tokens(Range<usize>),
}

/// Sums over the answer for one block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    votes: f32,
    excess: f32,
    steps: u32,
    first: Option<u32>,
    peak: u32,
    closely: bool,
}

/// A passage that was read more than others.
#[derive(Debug, Clone, PartialEq)]
pub struct Hot {
    /// Its blocks.
    pub blocks: Range<u32>,
    /// Its hottest block.
    pub block: u32,
    /// Its text in the document.
    pub passage: Passage,
}

/// How a source was read during an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Share of its blocks that got more than twice the votes of chance, and at least two, at some token.
    pub closely: f32,
    /// The hottest passages, hottest first.
    pub hottest: Vec<Hot>,
    /// The longest stretch whose blocks did not get more votes over the answer than chance gives: that has no tint.
    pub skipped: Option<Passage>,
}

/// The trace of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The message that holds the answer.
    pub message: MessageId,
    /// Source of every token, the written ones included.
    pub map: ContextMap,
    /// Tokens of the answer.
    pub written: Vec<Written>,
    sums: Vec<Sum>,
    /// Sum over the sparse steps of the votes that chance would give; files from before it was kept have 0.
    #[serde(default)]
    chance: f32,
    sparse_steps: u32,
    /// Tokens at the beginning whose steps were dropped.
    forgotten: usize,
    prompt: u32,
    last: Option<Arc<StepTrace>>,
    /// Bytes of the steps that are kept, about.
    #[serde(skip)]
    step_bytes: usize,
}

impl Reading {
    /// Starts with the context of the prompt.
    pub fn new(message: MessageId, map: ContextMap) -> Self {
        let prompt = map.len();
        Self {
            message,
            map,
            written: Vec::new(),
            sums: Vec::new(),
            chance: 0.0,
            sparse_steps: 0,
            forgotten: 0,
            prompt,
            last: None,
            step_bytes: 0,
        }
    }

    /// As it comes from a file, where it can be true: no step is kept.
    pub fn restored(mut self) -> Option<Self> {
        self.forgotten = self.written.len();
        (self.map.is_sound() && self.prompt <= self.map.len()).then_some(self)
    }

    /// Adds a token.
    pub fn push(&mut self, part: Part, bytes: Range<u32>, step: Option<Arc<StepTrace>>) {
        let source = match part {
            Part::Thinking => Source::Thinking(self.message),
            Part::Answer => Source::Answer(self.message),
        };
        self.map.push(source, bytes.clone());
        let before = self.written.last().and_then(|written| written.step.as_deref());
        let turnover = match (before, step.as_deref()) {
            (Some(before), Some(now)) => turnover(before, now),
            _ => 0.0,
        };
        if let Some(step) = &step {
            self.add_sums(step);
            self.step_bytes += step.bytes();
            self.last = Some(Arc::clone(step));
        }
        self.written.push(Written { bytes, part, step, turnover });
    }

    fn add_sums(&mut self, step: &StepTrace) {
        if step.mode == Mode::Dense {
            return;
        }
        self.sparse_steps += 1;
        let shade = Shade::mean([(step, 1.0)], &ReaderFilter::All);
        self.chance += shade.chance;
        if self.sums.len() < shade.votes.len() {
            self.sums.resize(shade.votes.len(), Sum::default());
        }
        let token = u32::try_from(self.written.len()).unwrap_or(u32::MAX);
        for (sum, &votes) in self.sums.iter_mut().zip(&shade.votes) {
            if votes > 0.0 {
                sum.votes += votes;
                sum.excess += (votes - shade.chance).max(0.0);
                sum.steps += 1;
                sum.first = sum.first.or(Some(token));
                sum.peak = sum.peak.max(votes as u32);
                sum.closely |= votes > 2.0 * shade.chance && votes >= 2.0;
            }
        }
    }

    /// The last step, for the mode pill and the size of blocks.
    pub fn last_step(&self) -> Option<&StepTrace> {
        self.last.as_deref()
    }

    /// Tokens in a block.
    pub fn block_size(&self) -> u32 {
        self.last.as_ref().map_or(64, |step| step.block_size.max(1))
    }

    /// Blocks of the context, the written ones included.
    pub fn blocks(&self) -> u32 {
        self.map.len().div_ceil(self.block_size())
    }

    /// Tokens of the prompt.
    pub fn prompt_tokens(&self) -> u32 {
        self.prompt
    }

    /// True once a token was drawn from selected blocks.
    pub fn was_sparse(&self) -> bool {
        self.sparse_steps > 0
    }

    /// True while the steps are kept.
    pub fn has_steps(&self) -> bool {
        self.written.iter().any(|written| written.step.is_some())
    }

    /// Bytes that the steps take, about.
    pub fn step_bytes(&self) -> usize {
        self.step_bytes
    }

    /// All but the steps, as it is written to the disk.
    pub fn without_steps(&self) -> Self {
        let written = |written: &Written| Written { step: None, bytes: written.bytes.clone(), ..*written };
        Self {
            map: self.map.clone(),
            written: self.written.iter().map(written).collect(),
            sums: self.sums.clone(),
            last: self.last.clone(),
            forgotten: self.written.len(),
            step_bytes: 0,
            ..*self
        }
    }

    /// Drops steps, oldest first, until so many bytes are free; the sums stay. Returns how many became free.
    pub fn forget_oldest(&mut self, bytes: usize) -> usize {
        let mut free = 0;
        while free < bytes
            && let Some(written) = self.written.get_mut(self.forgotten)
        {
            free += written.step.take().as_deref().map_or(0, StepTrace::bytes);
            self.forgotten += 1;
        }
        self.step_bytes = self.step_bytes.saturating_sub(free);
        free
    }

    /// The kept steps of a span, with their weights.
    fn steps_in(&self, span: &Span) -> Vec<(&StepTrace, f32)> {
        match span {
            Span::Live(until) => {
                let end = until.saturating_add(1).min(self.written.len());
                let start = end.saturating_sub(LIVE_STEPS);
                let tokens = self.written.get(start..end).unwrap_or(&[]);
                let decay = 0.5_f32.powf(1.0 / HALF_LIFE);
                let weighted = tokens.iter().enumerate().filter_map(|(index, written)| {
                    let age = i32::try_from(tokens.len() - 1 - index).unwrap_or(i32::MAX);
                    written.step.as_deref().map(|step| (step, decay.powi(age)))
                });
                weighted.collect()
            }
            Span::Tokens(range) => {
                let tokens = self.written.get(range.clone()).unwrap_or(&[]);
                tokens.iter().filter_map(|written| written.step.as_deref().map(|step| (step, 1.0))).collect()
            }
        }
    }

    /// Votes over a span of tokens.
    pub fn shade(&self, span: &Span, filter: &ReaderFilter) -> Shade {
        match span {
            // Counted as the tokens came: to count thousands of steps again would take longer than a frame.
            Span::Tokens(range) if range.len() == self.written.len() && *filter == ReaderFilter::All => {
                self.whole_answer()
            }
            _ => Shade::mean(self.steps_in(span), filter),
        }
    }

    /// For each layer the share of its heads that chose a block, on average over a span.
    pub fn layer_shares(&self, span: &Span, block: u32) -> Vec<f32> {
        let steps = self.steps_in(span);
        let steps = steps.iter().filter(|(step, _)| step.mode == Mode::Sparse);
        let mut shares = vec![0.0; self.last.as_ref().map_or(0, |step| step.layers as usize)];
        let mut weights = 0.0;
        for (step, weight) in steps {
            weights += weight;
            let heads = step.kv_heads.max(1) as usize;
            for reader in (0..step.readers()).filter(|&reader| step.free(reader).contains(block)) {
                if let Some(share) = shares.get_mut(reader / heads) {
                    *share += weight / heads as f32;
                }
            }
        }
        shares.iter_mut().for_each(|share| *share /= f32::max(weights, f32::MIN_POSITIVE));
        shares
    }

    /// Votes over the whole answer, from the sums.
    pub fn whole_answer(&self) -> Shade {
        let steps = self.sparse_steps.max(1) as f32;
        Shade {
            votes: self.sums.iter().map(|sum| sum.votes / steps).collect(),
            chance: match self.chance > 0.0 {
                true => self.chance / steps,
                false => self.last.as_deref().map_or(0.0, |step| chance(step, &ReaderFilter::All)),
            },
            readers: self.last.as_deref().map_or(0.0, |step| step.readers() as f32),
            forced: self.last.as_ref().map(|step| step.forced.clone()).unwrap_or_default(),
            pinned: self.last.as_ref().map(|step| step.pinned.clone()).unwrap_or_default(),
            excluded: self.last.as_ref().map(|step| step.excluded.clone()).unwrap_or_default(),
            sparse: self.sparse_steps > 0,
        }
    }

    /// Mean votes of a block over the answer, tokens it was read during, the first of them, its most votes.
    pub fn block_sums(&self, block: u32) -> (f32, u32, Option<u32>, u32) {
        let sum = self.sums.get(block as usize).copied().unwrap_or_default();
        (sum.votes / self.sparse_steps.max(1) as f32, sum.steps, sum.first, sum.peak)
    }

    /// Blocks by how far they stood out over the answer, hottest first; forced-only and unread ones are left out.
    pub fn ranking(&self) -> Vec<u32> {
        let mut ranked: Vec<(f32, u32)> = (0u32..).zip(&self.sums).map(|(block, sum)| (sum.excess, block)).collect();
        ranked.retain(|(excess, _)| *excess > 0.0);
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        ranked.into_iter().map(|(_, block)| block).collect()
    }

    /// Votes that the tokens from `first` on gave to a block.
    pub fn votes_for(&self, block: u32, first: usize) -> Vec<u32> {
        let mut votes = BlockVotes::default();
        self.written.iter().skip(first).for_each(|written| votes.add(written.step.as_deref(), block));
        votes.by_token
    }

    /// Counts the votes of the tokens that came since they were last counted.
    pub fn count_votes(&self, block: u32, votes: &mut BlockVotes) {
        if votes.by_token.len() > self.written.len() {
            *votes = BlockVotes::default();
        }
        let new = self.written.get(votes.by_token.len()..).unwrap_or(&[]);
        new.iter().for_each(|written| votes.add(written.step.as_deref(), block));
    }

    /// How a source was read. None when nothing was selected.
    pub fn coverage(&self, source: Source) -> Option<Coverage> {
        if self.sparse_steps == 0 {
            return None;
        }
        let size = self.block_size();
        let blocks: Vec<u32> = self
            .map
            .segments()
            .iter()
            .filter(|segment| segment.source == source)
            .flat_map(|segment| segment.tokens.start / size..segment.tokens.end.div_ceil(size))
            .collect();
        let (first, last) = (*blocks.first()?, *blocks.last()?);
        let closely = |block: u32| self.sums.get(block as usize).is_some_and(|sum| sum.closely);
        // Where there are few blocks chance is so high that nearly nothing is read closely, and much is read all the same.
        let hardly = |block: u32| match self.sums.get(block as usize) {
            Some(sum) if self.chance > 0.0 => sum.votes <= self.chance,
            Some(sum) => !sum.closely,
            None => true,
        };
        let passage = |range: Range<u32>| {
            let inside = |block| block_passages(&self.map, size, block).into_iter().find(|p| p.source == source);
            let (start, end) = (inside(range.start)?, inside(range.end.checked_sub(1)?)?);
            Some(Passage { source, bytes: start.bytes.start..end.bytes.end })
        };
        let mut hottest: Vec<Hot> = Vec::new();
        for block in self.ranking().into_iter().filter(|block| (first..=last).contains(block)) {
            if let Some(near) = hottest.iter_mut().find(|hot| hot.blocks.end == block || block + 1 == hot.blocks.start)
            {
                near.blocks = near.blocks.start.min(block)..near.blocks.end.max(block + 1);
            } else if hottest.len() < HOTTEST {
                let Some(passage) = passage(block..block + 1) else { continue };
                hottest.push(Hot { blocks: block..block + 1, block, passage });
            } else {
                break;
            }
        }
        Some(Coverage {
            closely: blocks.iter().filter(|&&block| closely(block)).count() as f32 / blocks.len() as f32,
            hottest,
            skipped: longest_run(&blocks, hardly).and_then(passage),
        })
    }
}

fn longest_run(blocks: &[u32], wanted: impl Fn(u32) -> bool) -> Option<Range<u32>> {
    let mut best: Option<Range<u32>> = None;
    let mut run: Option<Range<u32>> = None;
    for &block in blocks {
        run = match run {
            _ if !wanted(block) => None,
            Some(open) if open.end == block => Some(open.start..block + 1),
            _ => Some(block..block + 1),
        };
        if let Some(open) = &run
            && best.as_ref().is_none_or(|best| open.len() > best.len())
        {
            best = Some(open.clone());
        }
    }
    best
}

/// How much the choices changed from one step to the next.
fn turnover(before: &StepTrace, now: &StepTrace) -> f32 {
    let (mut shared, mut total) = (0usize, 0usize);
    for reader in 0..now.readers().max(before.readers()) {
        let (left, right) = (before.free(reader), now.free(reader));
        let both = left.shared(right);
        shared += both;
        total += left.len() + right.len() - both;
    }
    if total == 0 { 0.0 } else { 1.0 - shared as f32 / total as f32 }
}
