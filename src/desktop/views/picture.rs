//! What the attention view draws, computed from the trace once and kept while nothing changes.
//!
//! Everything that is painted (ribbon, tints, matrix, waterfall) is taken from here; tests compare it with the trace.

use std::collections::HashMap;
use std::ops::Range;

use crate::desktop::attention::{
    BlockVotes, ReaderFilter, Reading, Shade, Span, block_passages, chance, heat, heat_step,
};
use crate::desktop::messages::MessageId;
use crate::desktop::store::{ChatId, Store};
use crate::desktop::trace_data::{Chosen, Mode, Source};

type Key = (ChatId, MessageId, usize, Span, ReaderFilter);

/// The picture of one reading over one span of tokens.
#[derive(Default)]
pub(crate) struct Picture {
    key: Option<Key>,
    /// Votes by block.
    pub(crate) shade: Shade,
    /// Tinted stretches of each source: bytes and heat step.
    pub(crate) tints: HashMap<Source, Vec<(Range<u32>, u8)>>,
    /// Of the block in focus, and of what it was computed from.
    card: Option<((u64, u32), Vec<f32>)>,
    /// What the tokens so far gave to the block in focus.
    voted: Option<((ChatId, MessageId, u32), BlockVotes)>,
    /// Rises with every change, for what is kept elsewhere.
    pub(crate) version: u64,
}

impl Picture {
    /// Brings the picture up to the store.
    pub(crate) fn update(&mut self, store: &Store) {
        let Some(reading) = store.reading() else {
            if self.key.take().is_some() {
                *self = Self { version: self.version + 1, ..Self::default() };
            }
            return;
        };
        self.draw(store, reading);
        let Some(block) = store.focus.block else {
            (self.card, self.voted) = (None, None);
            return;
        };
        let of = (self.version, block);
        let known = self.voted.take().filter(|(of, _)| *of == (store.current, reading.message, block));
        let mut voted = known.map(|(_, voted)| voted).unwrap_or_default();
        reading.count_votes(block, &mut voted);
        if self.card.as_ref().is_none_or(|(known, _)| *known != of) {
            let span = store.span(reading);
            let whole = matches!(&span, Span::Tokens(tokens) if tokens.len() == reading.written.len());
            let shares = if whole { voted.layer_shares() } else { reading.layer_shares(&span, block) };
            self.card = Some((of, shares));
        }
        self.voted = Some(((store.current, reading.message, block), voted));
    }

    /// For each layer how often its heads chose the block in focus during the tokens in focus.
    pub(crate) fn layer_shares(&self) -> &[f32] {
        self.card.as_ref().map_or(&[], |(_, shares)| shares)
    }

    /// Votes that each token of the answer in focus gave to the block in focus.
    pub(crate) fn votes_by_token(&self) -> &[u32] {
        self.voted.as_ref().map_or(&[], |(_, voted)| &voted.by_token)
    }

    fn draw(&mut self, store: &Store, reading: &Reading) {
        let span = store.span(reading);
        let key = (store.current, reading.message, reading.written.len(), span, store.focus.filter.clone());
        if self.key.as_ref() == Some(&key) {
            return;
        }
        self.shade = reading.shade(&key.3, &key.4);
        self.tints = tints(reading, &self.shade);
        self.key = Some(key);
        self.version += 1;
    }
}

fn tints(reading: &Reading, shade: &Shade) -> HashMap<Source, Vec<(Range<u32>, u8)>> {
    let mut tints: HashMap<Source, Vec<(Range<u32>, u8)>> = HashMap::new();
    for block in 0..reading.blocks() {
        let step = heat_step(shade.heat(block));
        if step == 0 {
            continue;
        }
        for passage in block_passages(&reading.map, reading.block_size(), block) {
            tints.entry(passage.source).or_default().push((passage.bytes, step));
        }
    }
    tints
}

/// Blocks under each of `columns` pixels when `view` is drawn over them: at least one each.
pub(crate) fn blocks_under(view: &Range<u32>, columns: usize, column: usize) -> Range<u32> {
    let count = u64::from(view.end.saturating_sub(view.start));
    let at = |column: usize| u32::try_from(count * column as u64 / columns.max(1) as u64).unwrap_or(u32::MAX);
    let (first, last) = (at(column), at(column + 1));
    let start = view.start.saturating_add(first);
    start..view.start.saturating_add(last).max(start.saturating_add(1)).min(view.end.max(start))
}

/// Heat of each block at one token.
pub(crate) fn token_heats(reading: &Reading, token: usize) -> Vec<f32> {
    let shade = reading.shade(&Span::Tokens(token..token + 1), &ReaderFilter::All);
    (0u32..).take(shade.votes.len()).map(|block| shade.heat(block)).collect()
}

/// One row of the waterfall from its heats: the strongest block where several share a pixel.
pub(crate) fn row_of(heats: &[f32], view: &Range<u32>, columns: usize) -> Vec<f32> {
    let heat = |block: u32| heats.get(block as usize).copied().unwrap_or(0.0);
    (0..columns).map(|column| blocks_under(view, columns, column).map(heat).fold(0.0, f32::max)).collect()
}

/// The matrix: for each reader the share of the span's steps in which it chose the blocks of each column, as heat above
/// its own chance, so that scattered choices stay dark.
pub(crate) fn reader_rows(reading: &Reading, span: &Span, view: &Range<u32>, columns: usize) -> Vec<Vec<f32>> {
    let tokens = match span {
        Span::Live(until) => until.saturating_sub(31)..(until + 1).min(reading.written.len()),
        Span::Tokens(tokens) => tokens.clone(),
    };
    // A long answer is sampled: more rows than this would not show in the shades.
    let stride = tokens.len().div_ceil(64).max(1);
    let steps: Vec<_> = reading
        .written
        .get(tokens)
        .unwrap_or(&[])
        .iter()
        .step_by(stride)
        .filter_map(|written| written.step.as_deref())
        .filter(|step| step.mode == Mode::Sparse)
        .collect();
    let readers = reading.last_step().map_or(0, |step| step.readers());
    let count = view.end.saturating_sub(view.start).max(1);
    let mut rows = vec![vec![0.0; columns]; readers];
    let under: Vec<_> = (0..columns)
        .map(|column| blocks_under(&(0..count), columns, column))
        .map(|blocks| blocks.start as usize..blocks.end as usize)
        .collect();
    let heads = reading.last_step().map_or(1, |step| step.kv_heads.max(1) as usize);
    for (reader, row) in rows.iter_mut().enumerate() {
        let own = ReaderFilter::One((reader / heads) as u32, (reader % heads) as u32);
        let blind = reading.last_step().map_or(0.0, |step| chance(step, &own));
        let mut shares = vec![0.0_f32; count as usize];
        for step in &steps {
            for block in step.free(reader).iter() {
                if let Some(share) = block.checked_sub(view.start).and_then(|at| shares.get_mut(at as usize)) {
                    *share += 1.0 / steps.len() as f32;
                }
            }
        }
        for (cell, blocks) in row.iter_mut().zip(&under) {
            let own = shares.get(blocks.clone()).unwrap_or(&[]);
            // Heat rises with the share: one root for a column is enough.
            *cell = heat(own.iter().copied().fold(0.0, f32::max), blind, 1.0);
        }
    }
    rows
}

/// How far each reader agrees with the others: of its choices in the last step of the span, the share that got more
/// than twice the votes of chance.
pub(crate) fn agreement(reading: &Reading, span: &Span) -> Vec<f32> {
    let last = match span {
        Span::Live(until) => *until,
        Span::Tokens(tokens) => tokens.end.saturating_sub(1),
    };
    let Some(step) = reading.written.get(last).and_then(|written| written.step.as_deref()) else { return Vec::new() };
    let shade = Shade::mean([(step, 1.0)], &ReaderFilter::All);
    let is_shared =
        |block: &u32| shade.votes.get(*block as usize).is_some_and(|&votes| votes > 2.0 * shade.chance && votes >= 2.0);
    let share = |own: Chosen<'_>| own.iter().filter(is_shared).count() as f32 / own.len().max(1) as f32;
    (0..step.readers()).map(|reader| share(step.free(reader))).collect()
}

/// The first words of a block, for tooltips and lists.
pub(crate) fn excerpt(store: &Store, reading: &Reading, block: u32, letters: usize) -> (String, String) {
    let passages = block_passages(&reading.map, reading.block_size(), block);
    let longest = passages.iter().max_by_key(|passage| passage.bytes.len());
    let name = longest.map_or_else(|| "chat marks".into(), |passage| store.source_name(passage.source));
    let text = longest.and_then(|passage| store.passage_text(passage)).unwrap_or("");
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() > letters {
        words = words.chars().take(letters).collect::<String>() + "…";
    }
    (name, words)
}

#[cfg(test)]
mod tests {
    use super::blocks_under;

    #[test]
    fn every_block_lies_under_a_column() {
        for (count, columns) in [(1, 500), (7, 3), (1024, 1000), (2048, 333), (10, 10)] {
            let view = 5..5 + count;
            let mut seen = vec![false; count as usize];
            for column in 0..columns {
                let blocks = blocks_under(&view, columns, column);
                assert!(!blocks.is_empty() && blocks.end <= view.end, "{count} {columns} {column}");
                blocks.for_each(|block| seen[(block - 5) as usize] = true);
            }
            assert!(seen.iter().all(|&seen| seen));
        }
    }
}
