//! From the passages that the user holds in or keeps out to marks on the blocks of a context.
//!
//! Marks hold from the end of the documents on, for questions and answers: the documents themselves are not read again.
//! A block is marked when at least half of it lies in the passage, or most of the passage in it.

use std::ops::Range;

use crate::block_marks::BlockMarks;
use crate::desktop::attention::tokens_of;
use crate::desktop::messages::{Pin, PinRule, Source};
use crate::desktop::trace_data::ContextMap;

/// The marks of these pins in this context.
pub(super) fn marks(pins: &[Pin], map: &ContextMap, block_size: u32) -> BlockMarks {
    let documents = map.segments().iter().filter(|segment| matches!(segment.source, Source::Document(_)));
    let from = documents.map(|segment| segment.tokens.end).max().unwrap_or(0);
    let (mut pinned, mut excluded) = (Vec::new(), Vec::new());
    for pin in pins {
        let list = match pin.rule {
            PinRule::Require => &mut pinned,
            PinRule::Exclude => &mut excluded,
        };
        let tokens = tokens_of(map, Source::Document(pin.document), &pin.bytes);
        list.extend(blocks(&tokens, block_size.max(1)).into_iter().map(|block| block as usize));
    }
    BlockMarks::new(from as usize, pinned, excluded)
}

fn blocks(tokens: &Range<u32>, size: u32) -> Vec<u32> {
    let inside = |block: u32| {
        let (first, end) = (block.saturating_mul(size), block.saturating_add(1).saturating_mul(size));
        tokens.end.min(end).saturating_sub(tokens.start.max(first))
    };
    let touched = tokens.start / size..tokens.end.div_ceil(size);
    let mostly: Vec<u32> = touched.clone().filter(|&block| inside(block) * 2 >= size).collect();
    if mostly.is_empty() { touched.max_by_key(|&block| inside(block)).into_iter().collect() } else { mostly }
}

#[cfg(test)]
mod tests {
    use super::{blocks, marks};
    use crate::block_marks::{BlockMark, BlockMarks};
    use crate::desktop::messages::{Pin, PinRule, Source};
    use crate::desktop::trace_data::ContextMap;

    #[test]
    fn a_passage_is_the_blocks_that_it_fills() {
        assert_eq!(blocks(&(64..128), 64), [1]);
        // One token of the block before, whose last character was cut in two.
        assert_eq!(blocks(&(63..128), 64), [1]);
        assert_eq!(blocks(&(60..200), 64), [1, 2]);
        assert_eq!(blocks(&(70..80), 64), [1]);
        assert_eq!(blocks(&(60..80), 64), [1]);
        assert!(blocks(&(0..0), 64).is_empty());
    }

    #[test]
    fn pins_become_marks_after_the_documents() {
        let mut map = ContextMap::default();
        for token in 0..400u32 {
            let source = match token {
                0..10 => Source::Template,
                10..300 => Source::Document(7),
                _ => Source::Turn(1),
            };
            map.push(source, token * 4..token * 4 + 4);
        }
        let pin = |first: u32, end: u32, rule| Pin { document: 7, bytes: first * 4..end * 4, rule };
        let pins = [pin(64, 128, PinRule::Exclude), pin(128, 192, PinRule::Require)];
        let marks_of = |pins: &[Pin]| marks(pins, &map, 64);
        let found = marks_of(&pins);
        assert_eq!((found.from(), found.mark(300, 1), found.mark(299, 1)), (300, Some(BlockMark::Excluded), None));
        assert_eq!((found.mark(300, 2), found.mark(300, 3)), (Some(BlockMark::Pinned), None));
        assert_eq!(marks_of(&[]), BlockMarks::default());
        let elsewhere = Pin { document: 8, ..pins[0].clone() };
        assert_eq!(marks_of(&[elsewhere]), BlockMarks::default());
    }
}
