use foveal::block_marks::BlockMarks;
use foveal::gpu::{Element, Gpu};
use foveal::ops::attend_sparse::AttendSparseArgs;
use foveal::ops::{AttendSparse, CacheFormat};
use foveal::reference::{self, NO_BLOCK};
use foveal::selfcheck::tile_cache::poisoned_tiles;
use foveal::sparse_settings::{HeadShape, Lse, SparseSettings, Variant};

use super::sparse_chain::{Case, medium, small};
use crate::harness::{Random, close, on_each_gpu, poisoned, read_f32, recorder, upload_cache};

/// Random selections that obey the rules of select_blocks.
fn random_ids(case: &Case, start: usize, tokens: usize) -> Vec<u32> {
    let mut random = Random::new(start as u64 + 17);
    let blocks = case.capacity / case.settings.block_size;
    let scores: Vec<f32> = (0..case.shape.kv_heads * tokens * blocks).map(|_| random.unit()).collect();
    reference::select_blocks(&scores, case.shape.kv_heads, tokens, &case.settings, start, &BlockMarks::default())
}

fn check(gpu: &Gpu, op: &AttendSparse, case: &Case, start: usize, tokens: usize, decode: bool) {
    let ids = random_ids(case, start, tokens);
    let HeadShape { heads, head_dim, kv_heads } = case.shape;
    let out = &poisoned(gpu, "out", &[tokens, heads * head_dim], Element::F16);
    // Values after the query's token must not leak, whatever they are.
    let (mut keys, mut values) = (case.keys.clone(), case.values.clone());
    for head in 0..kv_heads {
        let unused = (head * case.capacity + start + tokens) * head_dim..(head + 1) * case.capacity * head_dim;
        keys[unused.clone()].fill(60_000.0);
        values[unused].fill(-60_000.0);
    }
    let ids_shape = [tokens, kv_heads, case.settings.budget()];
    let tiles = poisoned_tiles(gpu, case.shape, case.capacity).unwrap();
    let args = AttendSparseArgs {
        q: &case.upload_q(gpu, start, tokens),
        cache: &upload_cache(gpu, case.shape, case.cache, (&mut keys, &mut values)),
        tiles: tiles.as_ref(),
        ids: &gpu.upload("ids", &ids_shape, Element::U32, &ids).unwrap(),
        partials: &poisoned(gpu, "partials", &[op.partials_len(tokens)], Element::F32),
        out: out.into(),
        start,
        tokens,
    };
    let mut recorder = recorder(gpu);
    match decode {
        true => op.record_decode(gpu, &mut recorder, &args).unwrap(),
        false => op.record_prefill(gpu, &mut recorder, &args).unwrap(),
    }
    let got = read_f32(gpu, &mut recorder, out);
    close("out", &got, &case.attended(start, tokens, &ids), 2e-3, 2e-3);
}

#[test]
fn prefill_matches_twin() {
    on_each_gpu(|gpu| {
        for (i, group) in [1, 2, 3, 4, 8, 16, 20].into_iter().enumerate() {
            let shape = HeadShape::new(group * 2, 2, [32, 64, 96, 128][i % 4]).unwrap();
            for cache in CacheFormat::ALL {
                let case = Case::new(shape, small(Variant::Local33, Lse::Coarse), 200, group as u64).cached_in(cache);
                let op = &AttendSparse::new(gpu, case.shape, case.settings, cache, &[]).unwrap();
                check(gpu, op, &case, 0, 200, false);
                check(gpu, op, &case, 111, 3, false);
            }
        }
    });
}

#[test]
fn decode_matches_twin() {
    on_each_gpu(|gpu| {
        for (i, group) in [1, 2, 5, 8, 12, 16, 20, 64].into_iter().enumerate() {
            let shape = HeadShape::new(group * 2, 2, [128, 32, 96, 64][i % 4]).unwrap();
            for cache in CacheFormat::ALL {
                let case = Case::new(shape, small(Variant::Local32, Lse::Exact), 300, group as u64).cached_in(cache);
                let op = &AttendSparse::new(gpu, case.shape, case.settings, cache, &[]).unwrap();
                for position in [0, 15, 16, 63, 64, 79, 80, 111, 298] {
                    check(gpu, op, &case, position, 1, true);
                }
            }
        }
    });
}

#[test]
fn real_blocks_match_twin() {
    on_each_gpu(|gpu| {
        let shape = HeadShape::new(32, 2, 128).unwrap();
        let case = Case::new(shape, medium(Variant::Local33, Lse::Coarse), 1200, 3);
        let op = &AttendSparse::new(gpu, case.shape, case.settings, case.cache, &[]).unwrap();
        check(gpu, op, &case, 1100, 70, false);
        let case = Case::new(shape, SparseSettings::MINICPM4_1, 7000, 4).cached_in(CacheFormat::Q8);
        let op = &AttendSparse::new(gpu, case.shape, case.settings, case.cache, &[]).unwrap();
        for position in [6143, 6144, 6999] {
            check(gpu, op, &case, position, 1, true);
        }
    });
}

#[test]
fn large_scores_do_not_overflow() {
    on_each_gpu(|gpu| {
        let shape = HeadShape::new(16, 1, 64).unwrap();
        let mut case = Case::new(shape, small(Variant::Local33, Lse::Coarse), 200, 6);
        let op = &AttendSparse::new(gpu, case.shape, case.settings, case.cache, &[]).unwrap();
        case.q.iter_mut().for_each(|value| *value = value.abs().clamp(0.5, 4.0));
        // Scores of many hundreds that grow along the text, or fall: the running maximum moves in every tile of a kernel
        // that walks the text from its start, or from its end.
        for falling in [false, true] {
            for (token, key) in case.keys.chunks_mut(64).enumerate() {
                let height = if falling { 260 - token.min(260) } else { token };
                key.fill(height as f32 / 4.0);
            }
            check(gpu, op, &case, 190, 10, false);
            check(gpu, op, &case, 199, 1, true);
        }
    });
}

#[test]
fn twin_by_hand() {
    // Blocks of two tokens; the query at 5 reads blocks 0 and 2: tokens 0, 1, 4 and 5.
    let shape = HeadShape { heads: 1, kv_heads: 1, head_dim: 1 };
    let keys = [0.0, 2f32.ln(), 50.0, 50.0, 0.0, 0.0, 50.0, 50.0];
    let values = [1.0, 2.0, 100.0, 100.0, 3.0, 4.0, 100.0, 100.0];
    let out = reference::attend_sparse(&[1.0], &keys, &values, &[0, 2, NO_BLOCK], &shape, 2, 8, 5);
    // Weights 1, 2, 1, 1.
    close("by hand", &out, &[12.0 / 5.0], 0.0, 1e-5);
    let out = reference::attend_sparse(&[1.0], &keys, &values, &[0, 2, NO_BLOCK], &shape, 2, 8, 4);
    close("own token last", &out, &[8.0 / 4.0], 0.0, 1e-5);
}
