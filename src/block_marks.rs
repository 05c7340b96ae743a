//! Blocks that the user pins (always selected) or excludes (never selected, as long as there are others to fill the
//! budget with).
//!
//! Marks rule over the scores, nothing else: the first and the local blocks of a query are read as always, and while all
//! blocks fit the budget all of them are read. They hold for queries from one position on. What stands before it, as a
//! rule the document itself, was read without them, and later passages may carry some of what they read in an excluded
//! one.
//!
//! The kernel that obeys them is `shaders/select_blocks.wgsl`.

/// What the user says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockMark {
    /// Selected before all others. Beyond the places that scores are ranked for, the pinned ones with the highest scores.
    Pinned,
    /// Selected after all others, lower ones first.
    Excluded,
}

/// The marks of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMarks {
    from: usize,
    pinned: Vec<usize>,
    excluded: Vec<usize>,
}

impl Default for BlockMarks {
    fn default() -> Self {
        Self { from: usize::MAX, pinned: Vec::new(), excluded: Vec::new() }
    }
}

impl BlockMarks {
    /// Marks for queries from position `from` on. A block that is in both lists is excluded.
    pub fn new(from: usize, mut pinned: Vec<usize>, mut excluded: Vec<usize>) -> Self {
        excluded.sort_unstable();
        excluded.dedup();
        pinned.sort_unstable();
        pinned.dedup();
        pinned.retain(|block| excluded.binary_search(block).is_err());
        if pinned.is_empty() && excluded.is_empty() { Self::default() } else { Self { from, pinned, excluded } }
    }

    /// First position whose query obeys; far beyond any text where nothing is marked.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Whether the query at `position` obeys.
    pub fn hold_at(&self, position: usize) -> bool {
        position >= self.from
    }

    /// Pinned blocks, ascending.
    pub fn pinned(&self) -> &[usize] {
        &self.pinned
    }

    /// Excluded blocks, ascending.
    pub fn excluded(&self) -> &[usize] {
        &self.excluded
    }

    /// The mark that a query at `position` obeys for `block`.
    pub fn mark(&self, position: usize, block: usize) -> Option<BlockMark> {
        if !self.hold_at(position) {
            None
        } else if self.pinned.binary_search(&block).is_ok() {
            Some(BlockMark::Pinned)
        } else if self.excluded.binary_search(&block).is_ok() {
            Some(BlockMark::Excluded)
        } else {
            None
        }
    }

    /// For each of `blocks` what the kernel reads: 0, 1 if pinned, 2 if excluded.
    pub fn flags(&self, blocks: usize) -> Vec<u32> {
        let mut flags = vec![0; blocks];
        for (list, flag) in [(&self.pinned, 1), (&self.excluded, 2)] {
            for block in list {
                if let Some(place) = flags.get_mut(*block) {
                    *place = flag;
                }
            }
        }
        flags
    }
}
