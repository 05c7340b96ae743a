use foveal::gpu::{Element, Gpu};
use foveal::ops::ScoreBlocks;
use foveal::ops::score_blocks::ScoreBlocksArgs;
use foveal::reference;
use foveal::sparse_settings::{HeadShape, Lse, ScoreType, SparseSettings, Variant};

use super::sparse_chain::{Case, KINDS, medium, small};
use crate::harness::{close, on_each_gpu, poisoned, read_f32, recorder};

/// The free blocks' scores against the twin; all other places must be untouched.
fn check(gpu: &Gpu, op: &ScoreBlocks, case: &Case, start: usize, tokens: usize, decode: bool) {
    let (fine, coarse) = case.compressed();
    let shape = op.scores_shape(tokens, case.capacity);
    let scores = &poisoned(gpu, "scores", &shape, Element::F32);
    let args = ScoreBlocksArgs {
        q: &case.upload_q(gpu, start, tokens),
        fine: &case.upload_compressed(gpu, "fine", &fine),
        coarse: &case.upload_compressed(gpu, "coarse", &coarse),
        lse: &poisoned(gpu, "lse", &[op.lse_len(tokens, case.capacity)], Element::F32),
        scores,
        start,
        tokens,
    };
    let mut recorder = recorder(gpu);
    match decode {
        true => op.record_decode(gpu, &mut recorder, &args).unwrap(),
        false => op.record_prefill(gpu, &mut recorder, &args).unwrap(),
    }
    let got = read_f32(gpu, &mut recorder, scores);
    let q = case.q_from(start, tokens);
    let expected = reference::score_blocks(q, &fine, &coarse, &case.shape, &case.settings, case.capacity, start);
    let poison = f32::from_bits(0x7B7B_7B7B);
    let settings = &case.settings;
    let mut ranked = 0;
    for (row, (got, expected)) in got.chunks(shape[2]).zip(expected.chunks(shape[2])).enumerate() {
        let position = start + row % tokens;
        let free = match position >= settings.first_choice() {
            true => settings.init_blocks..settings.free_end(position),
            false => 0..0,
        };
        close("scores", &got[free.clone()], &expected[free.clone()], 1e-20, 2e-3);
        assert!(got[free.clone()].iter().all(|score| *score >= 0.0));
        for (block, score) in got.iter().enumerate() {
            assert!(free.contains(&block) || *score == poison, "block {block} at {position} was written: {score}");
        }
        ranked += free.len();
    }
    assert_eq!(ranked > 0, start + tokens > settings.first_choice(), "the case must rank something");
}

#[test]
fn prefill_matches_twin() {
    on_each_gpu(|gpu| {
        for (i, group) in [1, 2, 3, 4, 8, 16, 20].into_iter().enumerate() {
            let (variant, lse) = KINDS[i % 4];
            let shape = HeadShape::new(group * 2, 2, [32, 64, 96, 128][i % 4]).unwrap();
            let case = Case::new(shape, small(variant, lse), 431, group as u64);
            let op = &ScoreBlocks::new(gpu, case.shape, case.settings).unwrap();
            check(gpu, op, &case, 0, 431, false);
            check(gpu, op, &case, 77, 5, false); // the first two that rank are the last two
            check(gpu, op, &case, 300, 131, false);
        }
    });
}

#[test]
fn decode_matches_twin() {
    on_each_gpu(|gpu| {
        for (i, group) in [1, 2, 5, 8, 12, 16, 20, 64].into_iter().enumerate() {
            let (variant, lse) = KINDS[i % 4];
            let shape = HeadShape::new(group * 2, 2, [128, 32, 96, 64][i % 4]).unwrap();
            // Several tiles of denominators and of blocks.
            let case = Case::new(shape, small(variant, lse), 1500, group as u64);
            let op = &ScoreBlocks::new(gpu, case.shape, case.settings).unwrap();
            for position in [78, 79, 80, 95, 96, 1023, 1498, 1499] {
                check(gpu, op, &case, position, 1, true);
            }
        }
    });
}

#[test]
fn real_blocks_match_twin() {
    on_each_gpu(|gpu| {
        for (variant, lse) in KINDS {
            let shape = HeadShape::new(32, 2, 128).unwrap();
            let case = Case::new(shape, medium(variant, lse), 2100, 3);
            let op = &ScoreBlocks::new(gpu, case.shape, case.settings).unwrap();
            check(gpu, op, &case, 2031, 69, false);
            check(gpu, op, &case, 2099, 1, true);
            check(gpu, op, &case, 2047, 1, true); // completes a fine and a coarse window at once
        }
    });
}

#[test]
fn a_key_far_above_its_denominator_does_not_overflow() {
    on_each_gpu(|gpu| {
        let shape = HeadShape::new(16, 1, 32).unwrap();
        let mut case = Case::new(shape, small(Variant::Local33, Lse::Coarse), 200, 8);
        let op = &ScoreBlocks::new(gpu, case.shape, case.settings).unwrap();
        // One fine window stands out by far more than its share of any coarse one.
        case.q.fill(30.0);
        for (token, key) in case.keys.chunks_mut(32).enumerate() {
            key.fill(if (60..68).contains(&token) { 8.0 } else { -1.0 });
        }
        check(gpu, op, &case, 180, 20, false);
        check(gpu, op, &case, 199, 1, true);
    });
}

#[test]
fn twin_by_hand() {
    // One head of one value, keys 0 but for token 4, which is 8: fine keys are means of two, coarse ones of eight.
    let settings = SparseSettings {
        kernel_size: 2,
        kernel_stride: 1,
        block_size: 4,
        init_blocks: 0,
        window_size: 4,
        topk: 1,
        variant: Variant::Local32,
        lse: Lse::Coarse,
        score_type: ScoreType::F32,
    };
    let shape = HeadShape { heads: 1, kv_heads: 1, head_dim: 1 };
    let mut keys = vec![0.0; 16];
    keys[4] = 8.0;
    let fine = reference::compress_keys(&keys, 1, 16, 1, 16, 1);
    let coarse = reference::compress_keys(&keys, 1, 16, 1, 16, 4);
    assert_eq!((&fine[3..6], &coarse[..]), (&[4.0, 4.0, 0.0][..], &[1.0, 1.0, 0.0, 0.0][..]));
    // Position 15 ranks blocks 0 to 2. Fine keys 3 and 4 touch blocks 0 and 1; block 2 has keys 7 to 11.
    let scores = reference::score_blocks(&[1.0], &fine, &coarse, &shape, &settings, 16, 15);
    let denominator = 2.0 * 1f32.exp() + 1.0;
    let high = 4f32.exp() / denominator;
    close("coarse", &scores, &[high, high, 1.0 / denominator, 0.0], 0.0, 1e-5);
    let exact = SparseSettings { lse: Lse::Exact, ..settings };
    let scores = reference::score_blocks(&[1.0], &fine, &coarse, &shape, &exact, 16, 15);
    // 15 fine keys, two of them 4.
    let denominator = 2.0 * 4f32.exp() + 13.0;
    close("exact", &scores, &[4f32.exp() / denominator, 4f32.exp() / denominator, 1.0 / denominator, 0.0], 0.0, 1e-5);
}
