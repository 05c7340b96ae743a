use foveal::block_marks::BlockMarks;
use foveal::gpu::{Element, Gpu};
use foveal::ops::SelectBlocks;
use foveal::ops::select_blocks::SelectBlocksArgs;
use foveal::reference::{self, NO_BLOCK};
use foveal::sparse_settings::{HeadShape, Lse, ScoreType, SparseSettings, Variant};

use super::sparse_chain::{medium, small};
use crate::harness::{Random, on_each_gpu, poisoned, recorder, upload_f32};

fn check(gpu: &Gpu, settings: SparseSettings, start: usize, tokens: usize, score: impl FnMut() -> f32) {
    check_marked(gpu, settings, (start, tokens), &BlockMarks::default(), score);
}

fn check_marked(
    gpu: &Gpu,
    settings: SparseSettings,
    (start, tokens): (usize, usize),
    marks: &BlockMarks,
    score: impl FnMut() -> f32,
) {
    let blocks = (start + tokens).div_ceil(settings.block_size) + 3;
    let scores: Vec<f32> = std::iter::repeat_with(score).take(2 * tokens * blocks).collect();
    let op = SelectBlocks::new(gpu, HeadShape::new(4, 2, 32).unwrap(), settings).unwrap();
    let ids = &poisoned(gpu, "ids", &op.ids_shape(tokens), Element::U32);
    let mut recorder = recorder(gpu);
    let scores_on_gpu = &upload_f32(gpu, "scores", &[2, tokens, blocks], &scores);
    let flags = &gpu.upload("marks", &[blocks], Element::U32, &marks.flags(blocks)).unwrap();
    let args = SelectBlocksArgs { scores: scores_on_gpu, ids, marks: flags, marks_from: marks.from(), start, tokens };
    op.record(gpu, &mut recorder, &args).unwrap();
    let got = recorder.read::<u32>(gpu, ids).unwrap();
    let expected = reference::select_blocks(&scores, 2, tokens, &settings, start, marks);
    for (row, (got, expected)) in got.chunks(settings.budget()).zip(expected.chunks(settings.budget())).enumerate() {
        assert_eq!(got, expected, "{settings:?}, position {}, KV head {}", start + row / 2, row % 2);
    }
}

#[test]
fn equals_twin_exactly() {
    on_each_gpu(|gpu| {
        for variant in [Variant::Local33, Variant::Local32] {
            let mut random = Random::new(11);
            check(gpu, small(variant, Lse::Coarse), 0, 400, || random.unit() * 20.0);
            // Few values, so that many blocks tie; zeros among them.
            check(gpu, small(variant, Lse::Coarse), 60, 400, || random.below(4) as f32);
            check(gpu, medium(variant, Lse::Coarse), 5000, 70, || random.unit().powi(20));
            for score_type in [ScoreType::Bf16, ScoreType::F32] {
                let published = SparseSettings { variant, score_type, ..SparseSettings::MINICPM4_1 };
                // Around the first position that leaves a block out, and at 20 000 tokens.
                check(gpu, published, 6080, 130, || random.unit());
                check(gpu, published, 20_000, 3, || random.unit() * 1e-30);
                // Below, within and above the values that the first search looks at, which are those of probabilities.
                check(gpu, published, 20_000, 5, || 10f32.powf(random.unit() * 60.0 - 30.0));
                check(gpu, published, 20_000, 3, || 1e4 * (1.0 + random.unit()));
                // So close together that only the last bits differ, and some bits more.
                check(gpu, published, 20_000, 3, || 0.25 + random.unit() * 1e-5);
                check(gpu, published, 20_000, 3, || 0.25 + random.unit() * 1e-2);
            }
        }
    });
}

#[test]
fn a_million_tokens() {
    on_each_gpu(|gpu| {
        let mut random = Random::new(12);
        let start = 16_384 * 64 - 2;
        check(gpu, SparseSettings::MINICPM4_1, start, 2, || random.unit());
        check(gpu, SparseSettings::MINICPM4_1, start, 2, || random.below(2) as f32);
        check(gpu, SparseSettings::MINICPM4_1, start, 1, || 0.25);
        let op = SelectBlocks::new(gpu, HeadShape::new(4, 2, 32).unwrap(), SparseSettings::MINICPM4_1).unwrap();
        let scores = &poisoned(gpu, "scores", &[2, 1, 32_769], Element::F32);
        let ids = &poisoned(gpu, "ids", &op.ids_shape(1), Element::U32);
        let marks = &poisoned(gpu, "marks", &[32_768], Element::U32);
        let start = 32_768 * 64;
        let args = SelectBlocksArgs { scores, ids, marks, marks_from: usize::MAX, start, tokens: 1 };
        let error = op.record(gpu, &mut recorder(gpu), &args).unwrap_err().to_string();
        assert!(error.contains("at most 32768"), "{error}");
        let marks = &poisoned(gpu, "marks", &[99], Element::U32);
        let args = SelectBlocksArgs { scores, ids, marks, marks_from: 0, start: 99 * 64, tokens: 1 };
        let error = op.record(gpu, &mut recorder(gpu), &args).unwrap_err().to_string();
        assert!(error.contains("block marks"), "{error}");
    });
}

#[test]
fn marks_rule_over_scores() {
    on_each_gpu(|gpu| {
        let settings = medium(Variant::Local33, Lse::Coarse);
        let mut random = Random::new(14);
        let every = |first: usize, step: usize| (first..700).step_by(step).collect::<Vec<_>>();
        // Few pinned ones, more than there are places, all excluded but a few, and marks on the blocks read anyway.
        for marks in [
            BlockMarks::new(5040, vec![3, 17, 250], vec![4, 90, 91, 5000]),
            BlockMarks::new(5040, every(0, 2), vec![]),
            BlockMarks::new(5039, every(1, 40), every(0, 1)),
            BlockMarks::new(0, vec![0], vec![1, 313, 314]),
        ] {
            // Scores of zero beside excluded ones, ties, and a chunk that the marks begin in.
            check_marked(gpu, settings, (5000, 70), &marks, || random.below(3) as f32);
            check_marked(gpu, settings, (5100, 1), &marks, || random.unit());
            check_marked(gpu, settings, (0, 70), &marks, || random.unit());
        }
    });
}

#[test]
fn no_free_blocks_and_no_init_blocks() {
    on_each_gpu(|gpu| {
        let mut random = Random::new(13);
        let none_free = SparseSettings { topk: 2, init_blocks: 1, ..small(Variant::Local33, Lse::Coarse) };
        assert_eq!(none_free.checked().unwrap().free_blocks(), 0);
        check(gpu, none_free, 0, 200, || random.unit());
        let no_init = SparseSettings { init_blocks: 0, ..small(Variant::Local32, Lse::Coarse) };
        check(gpu, no_init.checked().unwrap(), 0, 200, || random.unit());
        let many_init = SparseSettings { init_blocks: 7, topk: 11, ..small(Variant::Local32, Lse::Coarse) };
        check(gpu, many_init.checked().unwrap(), 150, 400, || random.unit());
    });
}

#[test]
fn twin_by_hand() {
    // Budget 5 of blocks of 16: block 0, three local ones in 4.1 and one free; two local ones and two free in 4.0.
    let scores = [9.0, 1.0, 3.0, 3.0, 2.0, 9.0, 9.0, 9.0, 9.0];
    let marked = |variant, position, marks: &BlockMarks| {
        reference::select_blocks(&scores, 1, 1, &small(variant, Lse::Coarse), position, marks)
    };
    let select = |variant, position| marked(variant, position, &BlockMarks::default());
    let marks = |from, pinned: &[usize], excluded: &[usize]| BlockMarks::new(from, pinned.to_vec(), excluded.to_vec());
    // Block 2 would be chosen; 3 and 1 are the next. Forced blocks and texts that fit do not care.
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(7 * 16, &[], &[2])), [0, 3, 5, 6, 7]);
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(7 * 16 + 1, &[], &[2])), [0, 2, 5, 6, 7]);
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(0, &[1], &[])), [0, 1, 5, 6, 7]);
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(0, &[1, 4], &[0, 7])), [0, 4, 5, 6, 7]);
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(0, &[2], &[2])), [0, 3, 5, 6, 7]);
    assert_eq!(marked(Variant::Local33, 79, &marks(0, &[], &[1, 2])), [0, 1, 2, 3, 4]);
    // With all of them excluded the first of the excluded ones fill the budget.
    assert_eq!(marked(Variant::Local33, 7 * 16, &marks(0, &[], &[1, 2, 3, 4])), [0, 1, 5, 6, 7]);
    assert_eq!(select(Variant::Local33, 7 * 16), [0, 2, 5, 6, 7]);
    assert_eq!(select(Variant::Local32, 7 * 16), [0, 2, 5, 6, 7]);
    assert_eq!(select(Variant::Local32, 7 * 16 - 1), [0, 2, 3, 5, 6]);
    assert_eq!(select(Variant::Local33, 7 * 16 - 1), [0, 2, 4, 5, 6]);
    assert_eq!(select(Variant::Local33, 79), [0, 1, 2, 3, 4]);
    assert_eq!(select(Variant::Local33, 47), [0, 1, 2, NO_BLOCK, NO_BLOCK]);
    // One and the same bf16, so the lower block; in f32 the higher one.
    let close = [9.0, 1.0, 1.001, 1.002, 1.003, 9.0, 9.0, 9.0, 9.0];
    let ranked = |score_type| {
        let settings = SparseSettings { score_type, ..small(Variant::Local33, Lse::Coarse) };
        reference::select_blocks(&close, 1, 1, &settings, 7 * 16, &BlockMarks::default())
    };
    assert_eq!((ranked(ScoreType::Bf16)[1], ranked(ScoreType::F32)[1]), (1, 4));
}

#[test]
fn published_counts() {
    let local33 = SparseSettings::MINICPM4_1.checked().unwrap();
    let local32 = SparseSettings { variant: Variant::Local32, ..local33 };
    assert_eq!((local33.budget(), local33.local_blocks(), local33.free_blocks()), (96, 33, 62));
    assert_eq!((local32.budget(), local32.local_blocks(), local32.free_blocks()), (96, 32, 63));
    assert_eq!((local33.count(6143), local33.count(6144), local33.count(63)), (96, 96, 1));
    assert_eq!([31, 32, 47, 48].map(|n| local33.fine_keys(n)), [0, 1, 1, 2]);
    assert_eq!([127, 128, 191, 192].map(|n| local33.coarse_keys(n)), [0, 1, 1, 2]);
}

#[test]
fn settings_that_do_not_fit_are_errors() {
    let good = SparseSettings::MINICPM4_1;
    let cases = [
        (SparseSettings { kernel_size: 48, ..good }, "kernel_size"),
        (SparseSettings { kernel_stride: 0, ..good }, "kernel_stride"),
        (SparseSettings { block_size: 128, ..good }, "block_size"),
        (SparseSettings { window_size: 2000, ..good }, "window_size"),
        (SparseSettings { window_size: usize::MAX - 63, ..good }, "window_size"),
        (SparseSettings { topk: 1, ..good }, "topk"),
        (SparseSettings { topk: usize::MAX, ..good }, "topk"),
        (SparseSettings { init_blocks: usize::MAX, ..good }, "topk"),
    ];
    for (settings, field) in cases {
        let error = settings.checked().unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    assert!(
        HeadShape::new(7, 2, 64).is_err() && HeadShape::new(8, 0, 64).is_err() && HeadShape::new(8, 2, 80).is_err()
    );
}
