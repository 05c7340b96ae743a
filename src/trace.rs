//! What one generated token read: the blocks that each layer and KV head selected, exactly as the attention kernel had them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::block_marks::BlockMarks;
use crate::conversation::ContextToken;
use crate::model::Mode;
use crate::sparse_settings::SparseSettings;

/// One step's selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTrace {
    /// What the step did.
    pub mode: Mode,
    /// Position of the query: the last token of the cache at this step.
    pub position: usize,
    /// Tokens of a block.
    pub block_size: usize,
    /// Ascending block ids of every reader, layer by layer, KV head by KV head. Empty for a dense step.
    pub readers: Vec<Vec<u32>>,
    /// KV heads of a layer: reader `r` is layer `r / kv_heads`, head `r % kv_heads`.
    pub kv_heads: usize,
    /// Blocks before this one, and from `local_first` on, are read whatever the scores say.
    pub init_blocks: usize,
    /// First of the local blocks.
    pub local_first: usize,
    /// Blocks that the user pinned, in force at this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<u32>,
    /// Blocks that the user excluded, in force at this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<u32>,
}

impl StepTrace {
    /// A step that read everything.
    pub fn dense(position: usize, settings: &SparseSettings, kv_heads: usize) -> Self {
        Self::sparse(position, settings, kv_heads, Vec::new(), Mode::Dense)
    }

    /// A step with a selection.
    pub(crate) fn sparse(
        position: usize,
        settings: &SparseSettings,
        kv_heads: usize,
        readers: Vec<Vec<u32>>,
        mode: Mode,
    ) -> Self {
        let local_first = settings.free_end(position).max(settings.init_blocks);
        let (block_size, init_blocks) = (settings.block_size, settings.init_blocks);
        let (pinned, excluded) = (Vec::new(), Vec::new());
        Self { mode, position, block_size, readers, kv_heads, init_blocks, local_first, pinned, excluded }
    }

    /// The same with the marks that were in force.
    pub(crate) fn marked(mut self, marks: &BlockMarks) -> Self {
        if marks.hold_at(self.position) {
            let small = |blocks: &[usize]| blocks.iter().filter_map(|block| u32::try_from(*block).ok()).collect();
            self.pinned = small(marks.pinned());
            self.excluded = small(marks.excluded());
        }
        self
    }

    /// Whether a block is read without having been chosen: the beginning, the local window, what the user pinned.
    pub fn is_forced(&self, block: u32) -> bool {
        let place = block as usize;
        place < self.init_blocks || place >= self.local_first || self.pinned.contains(&block)
    }

    /// Blocks that a reader chose by score. While all blocks fit nothing is chosen.
    pub fn free_blocks(&self, reader: usize) -> impl Iterator<Item = u32> + '_ {
        let all_fit = self.readers.get(reader).is_none_or(|ids| ids.len() == self.position / self.block_size + 1);
        let ids = self.readers.get(reader).into_iter().flatten().copied();
        ids.filter(move |block| !all_fit && !self.is_forced(*block))
    }

    /// Tokens that one reader attends to.
    pub fn tokens_read(&self) -> usize {
        let all = self.position + 1;
        match self.readers.first() {
            Some(ids) if self.mode == Mode::Sparse && !ids.is_empty() => {
                (ids.len() - 1) * self.block_size + self.position % self.block_size + 1
            }
            _ => all,
        }
    }

    /// For each block how many readers chose it by score.
    pub fn votes(&self) -> Vec<u32> {
        let mut votes = vec![0; self.position / self.block_size + 1];
        for reader in 0..self.readers.len() {
            for block in self.free_blocks(reader) {
                if let Some(count) = votes.get_mut(block as usize) {
                    *count += 1;
                }
            }
        }
        votes
    }

    /// Positions of a block.
    pub fn tokens_of(&self, block: u32) -> Range<usize> {
        let first = block as usize * self.block_size;
        first..(first + self.block_size).min(self.position + 1)
    }
}

/// The tokens of `context` that lie in a block; fewer at the end, where generated tokens follow.
pub fn context_of<'a>(context: &'a [ContextToken], trace: &StepTrace, block: u32) -> &'a [ContextToken] {
    let range = trace.tokens_of(block);
    let end = range.end.min(context.len());
    &context[range.start.min(end)..end]
}
