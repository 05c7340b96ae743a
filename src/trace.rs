//! What one generated token read: the blocks that each layer and KV head selected, exactly as the attention kernel had them,
//! and the way from a block to the text it stands for.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::block_marks::BlockMarks;
use crate::conversation::{ContextToken, Source};
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

/// What one reader read, for other programs: what is read whatever the scores say, and what was chosen by score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReaderBlocks {
    /// Layer of the model.
    pub layer: usize,
    /// KV head of the layer.
    pub kv_head: usize,
    /// The beginning, the local window, what the user pinned; everything while all blocks fit.
    pub forced: Vec<u32>,
    /// Chosen by score.
    pub free: Vec<u32>,
}

impl StepTrace {
    /// Every reader's blocks, those read anyway and those chosen apart.
    pub fn by_reader(&self) -> Vec<ReaderBlocks> {
        let kv_heads = self.kv_heads.max(1);
        let split = |(reader, ids): (usize, &Vec<u32>)| {
            let free: Vec<u32> = self.free_blocks(reader).collect();
            let forced = ids.iter().copied().filter(|id| !free.contains(id)).collect();
            ReaderBlocks { layer: reader / kv_heads, kv_head: reader % kv_heads, forced, free }
        };
        self.readers.iter().enumerate().map(split).collect()
    }
}

/// Where the tokens of a block come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockSource {
    /// The block.
    pub block: usize,
    /// Positions in the context.
    pub tokens: Range<usize>,
    /// Its texts, in order.
    pub parts: Vec<BlockPart>,
}

/// Neighbouring tokens of a block that come from one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockPart {
    /// Positions in the context.
    pub tokens: Range<usize>,
    /// The text.
    pub source: Source,
    /// Bytes of that text; the template's own words have no place in any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Range<usize>>,
}

/// The sources of every block of `context`. What is generated after it is the answer.
pub fn block_sources(context: &[ContextToken], block_size: usize) -> Vec<BlockSource> {
    let block_size = block_size.max(1);
    let block = |(block, tokens): (usize, &[ContextToken])| {
        let first = block * block_size;
        let mut parts: Vec<BlockPart> = Vec::new();
        for run in tokens.chunk_by(|a, b| a.source == b.source) {
            let start = parts.last().map_or(first, |part| part.tokens.end);
            let first_byte = run.iter().map(|token| token.bytes.start).min().unwrap_or(0);
            let bytes = first_byte..run.iter().map(|token| token.bytes.end).max().unwrap_or(0);
            let source = run[0].source;
            let bytes = (source != Source::Template).then_some(bytes);
            parts.push(BlockPart { tokens: start..start + run.len(), source, bytes });
        }
        BlockSource { block, tokens: first..first + tokens.len(), parts }
    };
    context.chunks(block_size).enumerate().map(block).collect()
}

/// The tokens of `context` that lie in a block; fewer at the end, where generated tokens follow.
pub fn context_of<'a>(context: &'a [ContextToken], trace: &StepTrace, block: u32) -> &'a [ContextToken] {
    let range = trace.tokens_of(block);
    let end = range.end.min(context.len());
    &context[range.start.min(end)..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forced_and_free_blocks_are_apart_and_together_what_was_read() {
        let trace = StepTrace {
            mode: Mode::Sparse,
            position: 165,
            block_size: 16,
            readers: vec![vec![0, 3, 7, 9, 10], vec![0, 4, 5, 9, 10]],
            kv_heads: 2,
            init_blocks: 1,
            local_first: 9,
            pinned: vec![4],
            excluded: Vec::new(),
        };
        let [first, second] = &trace.by_reader()[..] else { panic!("two readers") };
        assert_eq!((&first.forced[..], &first.free[..]), (&[0, 9, 10][..], &[3, 7][..]));
        assert_eq!((second.layer, second.kv_head), (0, 1));
        assert_eq!((&second.forced[..], &second.free[..]), (&[0, 4, 9, 10][..], &[5][..]));
        // Nothing is chosen while all blocks fit.
        let all = StepTrace { position: 70, readers: vec![(0..5).collect()], ..trace };
        assert_eq!((all.by_reader()[0].forced.len(), all.by_reader()[0].free.len()), (5, 0));
    }

    #[test]
    fn blocks_lead_to_bytes_of_their_texts() {
        let token = |source, bytes: Range<usize>| ContextToken { id: 5, source, bytes };
        let document = Source::Document(0);
        let context = [
            token(Source::Template, 0..3),
            token(document, 0..4),
            token(document, 4..9),
            token(document, 9..12),
            token(Source::Turn(0), 0..2),
        ];
        let sources = block_sources(&context, 3);
        assert_eq!(sources.len(), 2);
        assert_eq!((sources[1].block, sources[1].tokens.clone()), (1, 3..5));
        let parts = |block: usize| -> Vec<_> {
            sources[block].parts.iter().map(|p| (p.tokens.clone(), p.source, p.bytes.clone())).collect()
        };
        assert_eq!(parts(0), [(0..1, Source::Template, None), (1..3, document, Some(0..9))]);
        assert_eq!(parts(1), [(3..4, document, Some(9..12)), (4..5, Source::Turn(0), Some(0..2))]);
    }
}
