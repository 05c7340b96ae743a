//! From a block of the cache to the text it stands for, and back.
//!
//! Blocks are cut by count of tokens: they may start inside a word and, with byte-level tokens, inside a character.
//! Ranges are therefore widened to character boundaries before they touch a text.

use std::ops::Range;

use crate::desktop::trace_data::{ContextMap, Segment, Source};

/// A stretch of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Where it stands.
    pub source: Source,
    /// Bytes there, not yet snapped.
    pub bytes: Range<u32>,
}

/// The texts that a block holds, in order; marks of the chat template are left out.
pub fn block_passages(map: &ContextMap, block_size: u32, block: u32) -> Vec<Passage> {
    let start = block.saturating_mul(block_size);
    let end = start.saturating_add(block_size).min(map.len());
    let mut passages = Vec::new();
    let mut token = start;
    while token < end {
        let Some(segment) = map.segment_of(token) else { break };
        let last = segment.tokens.end.min(end);
        if segment.source != Source::Template
            && let (Some(first), Some(final_bytes)) = (map.bytes(token), map.bytes(last - 1))
        {
            passages.push(Passage { source: segment.source, bytes: first.start..final_bytes.end.max(first.start) });
        }
        token = last;
    }
    passages
}

/// Positions of the tokens that overlap these bytes of a source. A source stands in one run, or, when it was cut by
/// template marks, in several: the result spans them.
pub fn tokens_of(map: &ContextMap, source: Source, bytes: &Range<u32>) -> Range<u32> {
    let mut found: Option<Range<u32>> = None;
    for segment in map.segments().iter().filter(|segment| segment.source == source) {
        let first = first_token(map, segment, |token| token.end <= bytes.start);
        let last = first_token(map, segment, |token| token.start < bytes.end.max(bytes.start.saturating_add(1)));
        if first < last {
            found = Some(found.map_or(first..last, |so_far| so_far.start.min(first)..so_far.end.max(last)));
        }
    }
    found.unwrap_or(0..0)
}

/// Blocks that overlap these bytes of a source.
pub fn blocks_of(map: &ContextMap, block_size: u32, source: Source, bytes: &Range<u32>) -> Range<u32> {
    let tokens = tokens_of(map, source, bytes);
    if tokens.is_empty() { 0..0 } else { tokens.start / block_size.max(1)..tokens.end.div_ceil(block_size.max(1)) }
}

/// Widens a range to character boundaries of `text` and cuts it at the end of the text.
pub fn snap(text: &str, bytes: &Range<u32>) -> Range<usize> {
    let mut start = (bytes.start as usize).min(text.len());
    let mut end = (bytes.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// First position of the segment for which `before` is false; bytes ascend inside a segment.
fn first_token(map: &ContextMap, segment: &Segment, before: impl Fn(&Range<u32>) -> bool) -> u32 {
    let (mut low, mut high) = (segment.tokens.start, segment.tokens.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if map.bytes(middle).is_some_and(|bytes| before(&bytes)) { low = middle + 1 } else { high = middle }
    }
    low
}
