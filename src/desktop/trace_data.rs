//! What the engine reports about reading: which blocks each reader selected, and where every token comes from.
//!
//! A reader is one KV head of one layer. Block `b` holds the tokens `b * block_size ..`. Forced blocks (the first ones
//! and the local window) are the same for all readers of a step and are kept apart from the chosen ones, which are the
//! only ones that say something. Layout of the chosen ones: reader `layer * kv_heads + head` owns
//! `free[ends[reader - 1]..ends[reader]]`, ascending, in 16 bits where all numbers of blocks fit, which halves what an
//! answer keeps.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::messages::{DocumentId, MessageId};

/// How a step reads the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// All of it.
    Dense,
    /// Selected blocks.
    Sparse,
}

/// What one step was allowed to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTrace {
    /// Dense or sparse.
    pub mode: Mode,
    /// Tokens in the cache when the step ran, its own included.
    pub cache_length: u32,
    /// Tokens in a block.
    pub block_size: u32,
    /// Layers of the model.
    pub layers: u32,
    /// KV heads in each layer.
    pub kv_heads: u32,
    /// Blocks that every reader reads by rule, ascending. Empty when dense.
    pub forced: Vec<u32>,
    /// Blocks that the user pinned, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<u32>,
    /// Blocks that the user excluded, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    free: Vec<u16>,
    /// In the place of `free` where a number needs more than 16 bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    free_wide: Vec<u32>,
    ends: Vec<u32>,
}

/// Blocks that one reader chose, ascending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// One of the two is empty.
    short: &'a [u16],
    wide: &'a [u32],
}

impl<'a> Chosen<'a> {
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.short.iter().map(|&block| u32::from(block)).chain(self.wide.iter().copied())
    }

    /// Whether this block is among them.
    pub fn contains(self, block: u32) -> bool {
        let short = u16::try_from(block).is_ok_and(|block| self.short.binary_search(&block).is_ok());
        short || self.wide.binary_search(&block).is_ok()
    }

    /// How many of them the other chose too.
    pub fn shared(self, other: Self) -> usize {
        match (self.wide, other.wide) {
            ([], []) => shared(self.short, other.short),
            ([], _) | (_, []) => self.iter().filter(|&block| other.contains(block)).count(),
            (own, other) => shared(own, other),
        }
    }

    /// How many.
    pub fn len(self) -> usize {
        self.short.len() + self.wide.len()
    }

    /// True where it chose none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl StepTrace {
    /// A step that read everything.
    pub fn dense(cache_length: u32, block_size: u32, layers: u32, kv_heads: u32) -> Self {
        Self {
            mode: Mode::Dense,
            cache_length,
            block_size: block_size.max(1),
            layers,
            kv_heads,
            forced: Vec::new(),
            pinned: Vec::new(),
            excluded: Vec::new(),
            free: Vec::new(),
            free_wide: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// A sparse step. `selected` gives the block ids of each reader as the attention kernel used them, forced ones
    /// included; `is_forced` tells them apart. Ids beyond the cache are padding and are dropped.
    pub fn sparse<'a>(
        cache_length: u32,
        block_size: u32,
        layers: u32,
        kv_heads: u32,
        selected: impl IntoIterator<Item = &'a [u32]>,
        is_forced: impl Fn(u32) -> bool,
    ) -> Self {
        let mut step = Self { mode: Mode::Sparse, ..Self::dense(cache_length, block_size, layers, kv_heads) };
        let blocks = step.blocks();
        let mut free: Vec<u32> = Vec::new();
        for ids in selected.into_iter().take(step.readers()) {
            let start = free.len();
            for &block in ids {
                if block >= blocks {
                    continue;
                }
                if is_forced(block) {
                    step.forced.push(block);
                } else {
                    free.push(block);
                }
            }
            if let Some(own) = free.get_mut(start..) {
                own.sort_unstable();
            }
            step.ends.push(u32::try_from(free.len()).unwrap_or(u32::MAX));
        }
        match free.iter().map(|&block| u16::try_from(block)).collect() {
            Ok(short) => step.free = short,
            Err(_) => step.free_wide = free,
        }
        step.forced.sort_unstable();
        step.forced.dedup();
        step
    }

    /// The same with the user's marks, both ascending.
    pub fn with_marks(self, pinned: Vec<u32>, excluded: Vec<u32>) -> Self {
        Self { pinned, excluded, ..self }
    }

    /// Blocks in the cache, the last one perhaps not full.
    pub fn blocks(&self) -> u32 {
        self.cache_length.div_ceil(self.block_size.max(1))
    }

    /// Readers of the model.
    pub fn readers(&self) -> usize {
        (self.layers as usize).saturating_mul(self.kv_heads as usize)
    }

    /// Blocks that one reader chose; none when dense.
    pub fn free(&self, reader: usize) -> Chosen<'_> {
        let Some(&end) = self.ends.get(reader) else { return Chosen::default() };
        let start = reader.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let own = start as usize..end as usize;
        Chosen { short: self.free.get(own.clone()).unwrap_or(&[]), wide: self.free_wide.get(own).unwrap_or(&[]) }
    }

    /// Chosen blocks of all readers together.
    pub fn free_total(&self) -> usize {
        self.free.len() + self.free_wide.len()
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let lists = [&self.free_wide, &self.ends, &self.forced, &self.pinned, &self.excluded];
        size_of::<Self>() + 2 * self.free.len() + 4 * lists.iter().map(|list| list.len()).sum::<usize>()
    }

    /// Tokens that a reader reads, on average over the readers.
    pub fn tokens_read(&self) -> u32 {
        if self.mode == Mode::Dense {
            return self.cache_length;
        }
        let readers = self.readers().max(1);
        let chosen = (self.free_total() as u64 * u64::from(self.block_size)) / readers as u64;
        let forced: u64 = self.forced.iter().map(|&block| u64::from(self.tokens_in(block))).sum();
        u32::try_from(chosen + forced).unwrap_or(u32::MAX).min(self.cache_length)
    }

    fn tokens_in(&self, block: u32) -> u32 {
        let start = block.saturating_mul(self.block_size);
        self.cache_length.saturating_sub(start).min(self.block_size)
    }
}

/// How many numbers two ascending lists share.
fn shared<T: Ord>(one: &[T], other: &[T]) -> usize {
    let (mut one, mut other, mut count) = (one.iter().peekable(), other.iter().peekable(), 0);
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        let order = left.cmp(right);
        count += usize::from(order.is_eq());
        if order.is_le() {
            one.next();
        }
        if order.is_ge() {
            other.next();
        }
    }
    count
}

/// Where a token of the context comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// Marks of the chat template.
    Template,
    /// The system prompt.
    System,
    /// A document.
    Document(DocumentId),
    /// What the user, or the model in an earlier turn, said.
    Turn(MessageId),
    /// The model's thinking in this answer.
    Thinking(MessageId),
    /// The answer.
    Answer(MessageId),
}

/// A run of tokens of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where they come from.
    pub source: Source,
    /// Their positions in the cache.
    pub tokens: Range<u32>,
}

/// The source of every token, with the bytes it stands for in the source's text.
///
/// Tokens may cut words and even characters: the bytes are those that the token overlaps, not character boundaries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextMap {
    segments: Vec<Segment>,
    #[serde(with = "distances")]
    bytes: Vec<(u32, u32)>,
}

/// Ranges of bytes as they are written: the way from the end of the one before, mostly 0, and the length. A quarter of
/// the text that plain numbers take.
mod distances {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[(u32, u32)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut end = 0_i64;
        serializer.collect_seq(bytes.iter().flat_map(|&(start, stop)| {
            let way = i64::from(start) - end;
            end = i64::from(stop);
            [way, end - i64::from(start)]
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u32, u32)>, D::Error> {
        let mut end = 0_i64;
        let range = |pair: &[i64]| {
            let start = end.checked_add(*pair.first()?)?;
            end = start.checked_add(*pair.get(1)?)?;
            Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
        };
        let ranges: Option<Vec<_>> = Vec::<i64>::deserialize(deserializer)?.chunks(2).map(range).collect();
        ranges.ok_or_else(|| serde::de::Error::custom("bytes of tokens that no text has"))
    }
}

impl ContextMap {
    /// Adds the next token.
    pub fn push(&mut self, source: Source, bytes: Range<u32>) {
        let position = self.len();
        match self.segments.last_mut() {
            Some(last) if last.source == source => last.tokens.end = position.saturating_add(1),
            _ => self.segments.push(Segment { source, tokens: position..position.saturating_add(1) }),
        }
        self.bytes.push((bytes.start, bytes.end.max(bytes.start)));
    }

    /// True where every token lies in one segment: so it is unless a file was damaged.
    pub fn is_sound(&self) -> bool {
        let mut next = 0;
        let ends = self.segments.iter().all(|segment| {
            let follows = segment.tokens.start == next && segment.tokens.end > next;
            next = segment.tokens.end;
            follows
        });
        ends && next == self.len()
    }

    /// Tokens in the map.
    pub fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// True before the first token.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Runs of tokens, in the order of the context.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of one token in its source.
    pub fn bytes(&self, token: u32) -> Option<Range<u32>> {
        self.bytes.get(token as usize).map(|&(start, end)| start..end)
    }

    /// The run that holds a token.
    pub fn segment_of(&self, token: u32) -> Option<&Segment> {
        let index = self.segments.partition_point(|segment| segment.tokens.end <= token);
        self.segments.get(index).filter(|segment| segment.tokens.contains(&token))
    }
}
