//! Votes, chance, heat, coverage and the way from blocks to text, against plain counting and by properties.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use foveal::desktop::attention::{
    BlockVotes, ReaderFilter, Reading, Shade, Span, block_passages, blocks_of, chance, heat, heat_step, snap, tokens_of,
};
use foveal::desktop::messages::Part;
use foveal::desktop::theme::{Palette, contrast};
use foveal::desktop::trace_data::{ContextMap, Mode, Source, StepTrace};
use proptest::prelude::*;

const BLOCK: u32 = 64;

/// Selected ids of each reader, some of them padding beyond the cache.
fn picks() -> impl Strategy<Value = (u32, u32, u32, Vec<Vec<u32>>)> {
    (1u32..4, 1u32..3, 70u32..4000).prop_flat_map(|(layers, heads, length)| {
        let blocks = length.div_ceil(BLOCK);
        let reader =
            prop::collection::btree_set(0..blocks + 3, 0..12).prop_map(|set| set.into_iter().collect::<Vec<u32>>());
        (Just(layers), Just(heads), Just(length), prop::collection::vec(reader, (layers * heads) as usize))
    })
}

fn step(layers: u32, heads: u32, length: u32, picks: &[Vec<u32>]) -> StepTrace {
    let blocks = length.div_ceil(BLOCK);
    let forced = move |block: u32| block == 0 || block + 2 >= blocks;
    StepTrace::sparse(length, BLOCK, layers, heads, picks.iter().map(Vec::as_slice), forced)
}

proptest! {
    #[test]
    fn votes_equal_plain_counting((layers, heads, length, picks) in picks()) {
        let step = step(layers, heads, length, &picks);
        let blocks = length.div_ceil(BLOCK);
        let is_forced = |block: u32| block == 0 || block + 2 >= blocks;
        let shade = Shade::mean([(&step, 1.0)], &ReaderFilter::All);
        let mut total = 0;
        for block in 0..blocks {
            let readers = picks.iter().filter(|own| own.contains(&block)).count();
            let expected = if is_forced(block) { 0 } else { readers };
            total += expected;
            prop_assert_eq!(shade.votes[block as usize], expected as f32);
            prop_assert_eq!(shade.is_forced(block), is_forced(block) && readers > 0);
            prop_assert!((0.0..=1.0).contains(&shade.heat(block)));
        }
        let open = blocks as usize - step.forced.len();
        prop_assert_eq!(chance(&step, &ReaderFilter::All), if open == 0 { 0.0 } else { total as f32 / open as f32 });
        for (reader, own) in picks.iter().enumerate() {
            let expected: Vec<u32> = own.iter().copied().filter(|&block| block < blocks && !is_forced(block)).collect();
            prop_assert_eq!(step.free(reader).iter().collect::<Vec<_>>(), &expected[..]);
            let (layer, head) = (reader as u32 / heads, reader as u32 % heads);
            let one = Shade::mean([(&step, 1.0)], &ReaderFilter::One(layer, head));
            prop_assert_eq!(one.votes.iter().sum::<f32>(), expected.len() as f32);
        }
        prop_assert!(step.tokens_read() <= length);
    }

    /// The live mean is the recursion `heat = decay * heat + (1 - decay) * votes`, normalised, with half-life 8.
    #[test]
    fn live_heat_is_an_exponential_mean(all in prop::collection::vec(picks(), 1..30)) {
        let (layers, heads, length, _) = all[0].clone();
        let mut reading = Reading::new(0, ContextMap::default());
        let decay = 0.5_f64.powf(1.0 / 8.0);
        let mut mean = vec![0.0_f64; length.div_ceil(BLOCK) as usize];
        let mut weight = 0.0;
        for (at, (.., picks)) in (0u32..).zip(&all) {
            let mut picks: Vec<Vec<u32>> = picks.clone();
            picks.resize((layers * heads) as usize, Vec::new());
            let step = step(layers, heads, length, &picks);
            let votes = Shade::mean([(&step, 1.0)], &ReaderFilter::All).votes;
            weight = decay * weight + 1.0;
            for (mean, votes) in mean.iter_mut().zip(&votes) {
                *mean = decay * *mean + f64::from(*votes);
            }
            reading.push(Part::Answer, at..at + 1, Some(Arc::new(step)));
        }
        let shade = reading.shade(&Span::Live(all.len() - 1), &ReaderFilter::All);
        for (live, mean) in shade.votes.iter().zip(&mean) {
            prop_assert!((f64::from(*live) - mean / weight).abs() < 1e-3, "{live} {}", mean / weight);
        }
        let whole = reading.shade(&Span::Tokens(0..all.len()), &ReaderFilter::All);
        let steps = reading.written.iter().filter_map(|written| written.step.as_deref().map(|step| (step, 1.0)));
        let counted = Shade::mean(steps, &ReaderFilter::All);
        prop_assert!((whole.chance - counted.chance).abs() < 1e-3, "{} {}", whole.chance, counted.chance);
        prop_assert_eq!((whole.readers, whole.sparse, &whole.forced), (counted.readers, counted.sparse, &counted.forced));
        for (one, other) in whole.votes.iter().zip(&counted.votes) {
            prop_assert!((one - other).abs() < 1e-3);
        }
        for span in [Span::Live(all.len() - 1), Span::Tokens(0..all.len()), Span::Tokens(0..1)] {
            for block in 0..length.div_ceil(BLOCK) {
                let shares = reading.layer_shares(&span, block);
                for layer in 0..layers {
                    let shade = reading.shade(&span, &ReaderFilter::Layers(layer..layer + 1));
                    let expected = shade.votes.get(block as usize).copied().unwrap_or(0.0) / heads as f32;
                    prop_assert!((shares[layer as usize] - expected).abs() < 1e-3, "{block}, {layer}");
                }
            }
        }
        for block in 0..length.div_ceil(BLOCK) {
            let mut votes = BlockVotes::default();
            reading.count_votes(block, &mut votes);
            let shares = reading.layer_shares(&Span::Tokens(0..all.len()), block);
            for (one, other) in votes.layer_shares().iter().zip(&shares) {
                prop_assert!((one - other).abs() < 1e-3, "{block}: {one} {other}");
            }
            prop_assert_eq!(votes.by_token, reading.votes_for(block, 0));
        }
        // However many steps are dropped, the whole answer is as it was.
        let bytes = reading.step_bytes();
        let mut free = 0;
        while reading.has_steps() {
            free += reading.forget_oldest(1);
            prop_assert_eq!(free + reading.step_bytes(), bytes);
            let kept = reading.shade(&Span::Tokens(0..all.len()), &ReaderFilter::All);
            for (one, other) in whole.votes.iter().zip(&kept.votes) {
                prop_assert!((one - other).abs() < 1e-3);
            }
        }
    }

    /// Any cut of any text into tokens, even inside characters: every byte is found again, and all slices are text.
    #[test]
    fn blocks_lead_to_text_and_back(text in "[a-z 中文🎉é\n]{1,400}", cuts in prop::collection::vec(1u32..5, 1..400), block_size in 1u32..9) {
        let source = Source::Document(7);
        let mut map = ContextMap::default();
        for _ in 0..5 {
            map.push(Source::Template, 0..0);
        }
        let length = text.len() as u32;
        let mut at = 0;
        let mut cuts = cuts.iter().cycle();
        while at < length {
            let end = (at + cuts.next().unwrap()).min(length);
            map.push(source, at..end);
            at = end;
        }
        let mut covered = BTreeSet::new();
        for block in 0..map.len().div_ceil(block_size) {
            for passage in block_passages(&map, block_size, block) {
                prop_assert_eq!(passage.source, source);
                let snapped = snap(&text, &passage.bytes);
                prop_assert!(text.get(snapped.clone()).is_some());
                prop_assert!(snapped.start <= passage.bytes.start as usize && snapped.end >= passage.bytes.end as usize);
                covered.extend(snapped);
                let blocks: Range<u32> = blocks_of(&map, block_size, source, &passage.bytes);
                prop_assert!(blocks.contains(&block) && blocks.len() <= 2, "{block} {blocks:?}");
            }
        }
        prop_assert_eq!(covered.len(), text.len());
        for byte in 0..length {
            let tokens = tokens_of(&map, source, &(byte..byte + 1));
            prop_assert_eq!(tokens.len(), 1);
            prop_assert!(map.bytes(tokens.start).unwrap().contains(&byte));
        }
    }

    #[test]
    fn snapping_never_leaves_the_text(text in "[a中🎉]{0,20}", start in 0u32..99, end in 0u32..99) {
        let snapped = snap(&text, &(start..end));
        prop_assert!(text.get(snapped).is_some());
    }
}

#[test]
fn chance_of_the_published_model() {
    // 64 readers, 63 free choices each, 1,024 blocks of which 33 are forced.
    let all: Vec<u32> = (1..64).chain([0]).chain(992..1024).collect();
    let picks = vec![all; 64];
    let forced = |block: u32| block == 0 || block >= 992;
    let step = StepTrace::sparse(65_536, BLOCK, 32, 2, picks.iter().map(Vec::as_slice), forced);
    assert_eq!(step.forced.len(), 33);
    assert!((chance(&step, &ReaderFilter::All) - 64.0 * 63.0 / 991.0).abs() < 1e-4);
    assert_eq!(step.tokens_read(), 6_144);
}

#[test]
fn heat_starts_at_chance() {
    assert_eq!(heat(4.0, 4.0, 64.0), 0.0);
    assert_eq!(heat(0.0, 4.0, 64.0), 0.0);
    assert_eq!(heat(64.0, 4.0, 64.0), 1.0);
    assert!((heat(34.0, 4.0, 64.0) - 0.5_f32.sqrt()).abs() < 1e-6);
    assert_eq!(heat(5.0, 5.0, 5.0), 0.0, "where everybody must choose it, nothing was chosen");
    assert_eq!((heat_step(0.0), heat_step(0.13), heat_step(1.0)), (0, 1, 5));
}

#[test]
fn dense_has_no_heat() {
    let mut reading = Reading::new(0, ContextMap::default());
    reading.push(Part::Answer, 0..1, Some(Arc::new(StepTrace::dense(900, BLOCK, 4, 2))));
    let shade = reading.shade(&Span::Tokens(0..1), &ReaderFilter::All);
    assert!(!shade.sparse && shade.votes.iter().all(|&votes| votes == 0.0));
    assert!(reading.coverage(Source::Document(1)).is_none() && reading.ranking().is_empty());
    assert_eq!(reading.last_step().map(|step| (step.mode, step.tokens_read())), Some((Mode::Dense, 900)));
}

/// A document of 40 blocks of which 20 and 21 are read by everybody, 5 by two of four, 9 and 30 by one.
#[test]
fn coverage_names_what_was_read_and_what_was_not() {
    let mut map = ContextMap::default();
    for token in 0..40 * BLOCK {
        map.push(Source::Document(1), token * 4..token * 4 + 4);
    }
    let mut reading = Reading::new(3, map);
    let picks = [vec![0, 20, 21, 5], vec![0, 20, 21, 5], vec![0, 20, 21, 9], vec![0, 20, 21, 30]];
    for token in 0..6u32 {
        let step = StepTrace::sparse(40 * BLOCK, BLOCK, 2, 2, picks.iter().map(Vec::as_slice), |block| block == 0);
        reading.push(Part::Answer, token * 2..token * 2 + 2, Some(Arc::new(step)));
    }
    let coverage = reading.coverage(Source::Document(1)).unwrap();
    assert_eq!(coverage.hottest[0].blocks, 20..22);
    assert_eq!(coverage.hottest[1].blocks, 5..6);
    assert!((coverage.closely - 3.0 / 40.0).abs() < 1e-6, "{}", coverage.closely);
    // One vote is more than chance, which gives a third of one: 22 to 40 was not hardly read.
    assert_eq!(coverage.skipped.unwrap().bytes, 10 * 64 * 4..20 * 64 * 4);
    assert_eq!(reading.votes_for(5, 0), vec![2; 6]);
    assert_eq!(reading.votes_for(9, 4), vec![1; 2]);
    assert_eq!(reading.block_sums(20), (4.0, 6, Some(0), 4));
    assert!(reading.written.iter().all(|written| written.turnover == 0.0));
}

/// Letters on the strongest tint, notes on every background, and the ramp's order, in both themes.
#[test]
fn colours_can_be_read() {
    for dark in [false, true] {
        let palette = Palette::for_dark(dark);
        for step in 1..=5 {
            assert!(contrast(palette.text, palette.tint(step).unwrap()) >= 4.5, "dark {dark}, step {step}");
        }
        for back in [palette.page, palette.side, palette.card] {
            assert!(contrast(palette.text, back) >= 7.0 && contrast(palette.weak, back) >= 4.5, "dark {dark}");
            assert!(contrast(palette.danger, back) >= 4.5, "dark {dark}");
        }
        assert!(contrast(palette.weak, palette.raised) >= 4.5, "dark {dark}");
        assert!(palette.code.iter().all(|color| contrast(*color, palette.side) >= 4.5), "dark {dark}");
        assert!(contrast(palette.accent, palette.accent_soft) >= 4.5, "dark {dark}");
        assert!(contrast(palette.on_accent, palette.accent) >= 4.5, "dark {dark}");
        let steps: Vec<f32> = (0..=20).map(|step| contrast(palette.heat(step as f32 / 20.0), palette.page)).collect();
        assert!(
            steps.windows(2).all(|pair| pair[1] >= pair[0]),
            "dark {dark}: more heat must stand out more: {steps:?}"
        );
    }
}

/// Numbers of blocks are kept in 16 bits while they fit; nobody who asks can tell.
#[test]
fn blocks_beyond_sixteen_bits_are_kept_too() {
    for last in [65_534, 65_535, 65_536, 70_000] {
        let ids = [3, last, 65_000];
        let step = StepTrace::sparse((last + 1) * BLOCK, BLOCK, 1, 2, [&ids[..1], &ids[..]], |_| false);
        let chosen = step.free(1);
        assert_eq!(chosen.iter().collect::<Vec<_>>(), [3, 65_000, last]);
        assert!(chosen.contains(last) && !chosen.contains(last - 1) && !chosen.contains(last + 65_536));
        assert_eq!((step.free(0).len(), chosen.len(), step.free(2).len()), (1, 3, 0));
        assert_eq!((chosen.shared(chosen), chosen.shared(step.free(0)), step.free(2).shared(chosen)), (3, 1, 0));
        let narrow = StepTrace::sparse(66_000 * BLOCK, BLOCK, 1, 1, [&[3, 4, 65_000][..]], |_| false);
        assert_eq!((chosen.shared(narrow.free(0)), narrow.free(0).shared(chosen)), (2, 2));
        assert_eq!(serde_json::from_str::<StepTrace>(&serde_json::to_string(&step).unwrap()).unwrap(), step);
        let shade = Shade::mean([(&step, 1.0)], &ReaderFilter::All);
        assert_eq!((shade.votes[3], shade.votes[last as usize]), (2.0, 1.0));
    }
    let many: Vec<u32> = (0..4000).collect();
    let step = StepTrace::sparse(4000 * BLOCK, BLOCK, 1, 1, [&many[..]], |_| false);
    assert!(step.bytes() < 2 * many.len() + 512, "{}", step.bytes());
}
