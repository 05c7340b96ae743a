use foveal::gpu::{Element, Gpu, Tensor};
use foveal::ops::compress_keys::CompressKeysArgs;
use foveal::ops::{CacheFormat, CompressKeys};
use foveal::reference;
use foveal::sparse_settings::{HeadShape, Lse, ScoreType, SparseSettings, Variant};

use super::sparse_chain::{Case, small};
use crate::harness::{close, on_each_gpu, poisoned, read_f32, recorder};

/// What `poisoned` leaves in f16.
const POISON: f32 = 61280.0;

/// Half a unit in the last place of an f16 result, and of a bf16.
const TOLERANCE: f32 = 1e-3;
const TOLERANCE_BF16: f32 = 1.001 / 256.0;

fn compressed(gpu: &Gpu, case: &Case, stride: usize) -> Tensor {
    let HeadShape { kv_heads, head_dim, .. } = case.shape;
    poisoned(gpu, "compressed", &[kv_heads, case.capacity / stride, head_dim], Element::F16)
}

/// Complete windows equal the twin's, all others were never written.
fn check(what: &str, got: &[f32], case: &Case, length: usize, stride: usize) {
    let HeadShape { kv_heads, head_dim, .. } = case.shape;
    let expected = reference::compress_keys(&case.keys, kv_heads, case.capacity, head_dim, length, stride);
    let (slots, windows) = (case.capacity / stride, (length / stride).saturating_sub(1));
    for (row, (got, expected)) in got.chunks(head_dim).zip(expected.chunks(head_dim)).enumerate() {
        if row % slots < windows {
            match case.settings.score_type {
                ScoreType::F32 => close(what, got, expected, 1e-4, TOLERANCE),
                ScoreType::Bf16 => {
                    assert!(got.iter().all(|v| v.to_bits() & 0xFFFF == 0), "{what}: {got:?} are bf16");
                    close(what, got, expected, 1e-6, TOLERANCE_BF16);
                }
            }
        } else {
            assert!(got.iter().all(|v| *v == POISON), "{what}: window {} at length {length}", row % slots);
        }
    }
}

#[test]
fn matches_twin_in_chunks_of_any_size() {
    on_each_gpu(|gpu| {
        let published = SparseSettings::MINICPM4_1;
        // Lengths around the first fine (32, 48) and coarse (128, 192) windows, and one step that completes both.
        let published_chunks: &[usize] = &[31, 1, 15, 1, 79, 1, 63, 1, 200];
        let small_chunks: &[usize] = &[7, 1, 3, 1, 19, 1, 15, 1, 100];
        let exact = SparseSettings { score_type: ScoreType::F32, ..published };
        let settings = [
            (published, published_chunks),
            (exact, published_chunks),
            (small(Variant::Local33, Lse::Coarse), small_chunks),
        ];
        for (settings, chunks) in settings {
            let sizes = [32, 64, 96, 128].into_iter();
            for (head_dim, format) in sizes.flat_map(|size| CacheFormat::ALL.map(|format| (size, format))) {
                let shape = HeadShape::new(6, 3, head_dim).unwrap();
                let case = Case::new(shape, settings, chunks.iter().sum(), head_dim as u64).cached_in(format);
                let op = CompressKeys::new(gpu, shape, settings, case.cache).unwrap();
                let cache = &case.upload_tokens(gpu);
                let fine = &compressed(gpu, &case, settings.kernel_stride);
                let coarse = &compressed(gpu, &case, settings.block_size);
                let mut recorder = recorder(gpu);
                let mut start = 0;
                for tokens in chunks.iter().copied() {
                    op.record(gpu, &mut recorder, &CompressKeysArgs { cache, fine, coarse, start, tokens }).unwrap();
                    start += tokens;
                    let got = read_f32(gpu, &mut recorder, fine);
                    check("fine", &got, &case, start, settings.kernel_stride);
                    let got = read_f32(gpu, &mut recorder, coarse);
                    check("coarse", &got, &case, start, settings.block_size);
                }
            }
        }
    });
}

#[test]
fn windows_are_written_again_after_a_cut() {
    on_each_gpu(|gpu| {
        let settings = SparseSettings::MINICPM4_1;
        let shape = HeadShape::new(2, 1, 64).unwrap();
        let mut case = Case::new(shape, settings, 320, 3);
        let op = CompressKeys::new(gpu, shape, settings, case.cache).unwrap();
        let fine = &compressed(gpu, &case, settings.kernel_stride);
        let coarse = &compressed(gpu, &case, settings.block_size);
        let mut recorder = recorder(gpu);
        let cache = &case.upload_tokens(gpu);
        op.record(gpu, &mut recorder, &CompressKeysArgs { cache, fine, coarse, start: 0, tokens: 320 }).unwrap();
        // The cache is cut back to 150 tokens and other keys are appended, one more window than before.
        let other = Case::new(shape, settings, 320, 4);
        let cut = 150 * shape.head_dim;
        case.keys[cut..].copy_from_slice(&other.keys[cut..]);
        let cache = &case.upload_tokens(gpu);
        for (start, tokens) in [(150, 9), (159, 1), (160, 160)] {
            op.record(gpu, &mut recorder, &CompressKeysArgs { cache, fine, coarse, start, tokens }).unwrap();
        }
        check("fine", &read_f32(gpu, &mut recorder, fine), &case, 320, settings.kernel_stride);
        check("coarse", &read_f32(gpu, &mut recorder, coarse), &case, 320, settings.block_size);
    });
}

#[test]
fn twin_by_hand() {
    // Two heads of one value, stride 2: windows of four tokens at 0, 2 and 4; ten slots hold eight tokens.
    let keys: Vec<f32> = (0..10).map(|t| t as f32).chain((0..10).map(|t| 10.0 * t as f32)).collect();
    let means = reference::compress_keys(&keys, 2, 10, 1, 8, 2);
    assert_eq!(means, [1.5, 3.5, 5.5, 0.0, 0.0, 15.0, 35.0, 55.0, 0.0, 0.0]);
    assert_eq!(reference::compress_keys(&keys, 2, 10, 1, 3, 2), [0.0; 10]);
}

#[test]
fn a_cache_too_small_is_an_error() {
    on_each_gpu(|gpu| {
        let shape = HeadShape::new(2, 1, 32).unwrap();
        let case = Case::new(shape, SparseSettings::MINICPM4_1, 64, 1);
        let op = CompressKeys::new(gpu, shape, case.settings, case.cache).unwrap();
        let cache = &case.upload_tokens(gpu);
        let (fine, coarse) = (&compressed(gpu, &case, 16), &compressed(gpu, &case, 64));
        let args = CompressKeysArgs { cache, fine, coarse, start: 100, tokens: 29 };
        let error = op.record(gpu, &mut recorder(gpu), &args).unwrap_err().to_string();
        assert!(error.contains("room for 129 tokens"), "{error}");
    });
}
