//! Votes: how many readers chose a block, against how many would by chance.
//!
//! With `R` readers that choose `k` blocks each among the `N - F` that are not forced, a block gets `R k / (N - F)`
//! votes by chance. Heat starts there: `sqrt(clamp((votes - chance) / (R - chance), 0, 1))`.

use std::ops::Range;

use crate::desktop::trace_data::{Mode, StepTrace};

/// Which readers count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum ReaderFilter {
    /// All of them.
    #[default]
    All,
    /// Some layers.
    Layers(Range<u32>),
    /// One KV head in every layer.
    Head(u32),
    /// One reader: layer and KV head.
    One(u32, u32),
}

impl ReaderFilter {
    /// Whether a reader of this layer and head counts.
    pub fn contains(&self, layer: u32, head: u32) -> bool {
        match self {
            Self::All => true,
            Self::Layers(layers) => layers.contains(&layer),
            Self::Head(wanted) => *wanted == head,
            Self::One(wanted_layer, wanted_head) => *wanted_layer == layer && *wanted_head == head,
        }
    }

    /// Numbers of the readers that count.
    pub fn readers(&self, step: &StepTrace) -> impl Iterator<Item = usize> {
        let heads = step.kv_heads.max(1) as usize;
        (0..step.readers()).filter(move |reader| {
            let layer = u32::try_from(reader / heads).unwrap_or(u32::MAX);
            let head = u32::try_from(reader % heads).unwrap_or(u32::MAX);
            self.contains(layer, head)
        })
    }
}

/// Votes for every block, as a mean over some steps, with what they are measured against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shade {
    /// Mean votes of each block.
    pub votes: Vec<f32>,
    /// Mean votes that chance would give.
    pub chance: f32,
    /// Readers that could vote.
    pub readers: f32,
    /// Blocks that are read by rule in the last of these steps.
    pub forced: Vec<u32>,
    /// Blocks that the user pinned, of the last of these steps.
    pub pinned: Vec<u32>,
    /// Blocks that the user excluded, of the last of these steps.
    pub excluded: Vec<u32>,
    /// False when every one of these steps was dense: then there is nothing to shade.
    pub sparse: bool,
}

impl Shade {
    /// Heat of a block, 0 to 1.
    pub fn heat(&self, block: u32) -> f32 {
        let votes = self.votes.get(block as usize).copied().unwrap_or(0.0);
        if self.sparse { heat(votes, self.chance, self.readers) } else { 0.0 }
    }

    /// True where the block is read by rule.
    pub fn is_forced(&self, block: u32) -> bool {
        self.forced.binary_search(&block).is_ok()
    }

    /// The weighted mean over steps; weights need not sum to one.
    pub fn mean<'a>(steps: impl IntoIterator<Item = (&'a StepTrace, f32)>, filter: &ReaderFilter) -> Self {
        let mut shade = Self::default();
        let mut weights = 0.0;
        for (step, weight) in steps {
            if step.mode == Mode::Dense {
                continue;
            }
            shade.sparse = true;
            shade.forced.clone_from(&step.forced);
            shade.pinned.clone_from(&step.pinned);
            shade.excluded.clone_from(&step.excluded);
            shade.chance += weight * chance(step, filter);
            weights += weight;
            if shade.votes.len() < step.blocks() as usize {
                shade.votes.resize(step.blocks() as usize, 0.0);
            }
            let mut readers = 0;
            for reader in filter.readers(step) {
                readers += 1;
                step.free(reader).iter().for_each(|block| {
                    if let Some(votes) = shade.votes.get_mut(block as usize) {
                        *votes += weight;
                    }
                });
            }
            shade.readers = readers as f32;
        }
        if weights > 0.0 {
            shade.chance /= weights;
            shade.votes.iter_mut().for_each(|votes| *votes /= weights);
        }
        shade
    }
}

/// Votes for one block over an answer that grows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockVotes {
    /// By token.
    pub by_token: Vec<u32>,
    by_layer: Vec<u32>,
    steps: u32,
    heads: usize,
}

impl BlockVotes {
    /// Adds the next token.
    pub(super) fn add(&mut self, step: Option<&StepTrace>, block: u32) {
        let mut own = 0;
        if let Some(step) = step.filter(|step| step.mode == Mode::Sparse) {
            self.steps += 1;
            self.heads = step.kv_heads.max(1) as usize;
            self.by_layer.resize(self.by_layer.len().max(step.layers as usize), 0);
            for reader in (0..step.readers()).filter(|&reader| step.free(reader).contains(block)) {
                own += 1;
                if let Some(layer) = self.by_layer.get_mut(reader / self.heads) {
                    *layer += 1;
                }
            }
        }
        self.by_token.push(own);
    }

    /// For each layer the share of its heads that chose the block, on average over the answer.
    pub fn layer_shares(&self) -> Vec<f32> {
        let all = (self.steps as f32 * self.heads as f32).max(1.0);
        self.by_layer.iter().map(|&votes| votes as f32 / all).collect()
    }
}

/// Votes that a block would get if the readers chose blindly.
pub fn chance(step: &StepTrace, filter: &ReaderFilter) -> f32 {
    let chosen: usize = filter.readers(step).map(|reader| step.free(reader).len()).sum();
    let open = (step.blocks() as usize).saturating_sub(step.forced.len());
    if open == 0 { 0.0 } else { chosen as f32 / open as f32 }
}

/// Heat from votes: 0 up to chance, 1 when all readers agree. Where chance alone makes all readers agree, nothing
/// was chosen and nothing is hot.
pub fn heat(votes: f32, chance: f32, readers: f32) -> f32 {
    let room = readers - chance;
    if room <= f32::EPSILON { 0.0 } else { ((votes - chance) / room).clamp(0.0, 1.0).sqrt() }
}

/// Heat in the five steps that tint text, so that it does not shimmer. 0 is no tint.
pub fn heat_step(heat: f32) -> u8 {
    if heat < 0.12 { 0 } else { (1 + (heat * 5.0) as u8).min(5) }
}
