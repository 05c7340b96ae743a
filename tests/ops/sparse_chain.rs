//! The four sparse ops together, on the device and as twins, and the cases that their own tests share.

use foveal::block_marks::BlockMarks;
use foveal::gpu::{Element, Gpu, Recorder, Tensor};
use foveal::ops::attend_sparse::AttendSparseArgs;
use foveal::ops::compress_keys::CompressKeysArgs;
use foveal::ops::score_blocks::ScoreBlocksArgs;
use foveal::ops::select_blocks::SelectBlocksArgs;
use foveal::ops::{AttendSparse, CacheFormat, CacheTiles, CachedTokens, CompressKeys, ScoreBlocks, SelectBlocks};
use foveal::reference::{self, NO_BLOCK};
use foveal::selfcheck::tile_cache::poisoned_tiles;
use foveal::sparse_settings::{HeadShape, Lse, ScoreType, SparseSettings, Variant};
use half::f16;

use super::sparse_golden::jaccard;
use crate::harness::{
    Random, close, gpu_variants, on_each_gpu, poisoned, read_f32, recorder, upload_cache, upload_f16,
};

/// Both variants with both denominators.
pub(crate) const KINDS: [(Variant, Lse); 4] = [
    (Variant::Local33, Lse::Coarse),
    (Variant::Local33, Lse::Exact),
    (Variant::Local32, Lse::Coarse),
    (Variant::Local32, Lse::Exact),
];

/// Blocks of 16 tokens, five of them read, so that a short text really selects.
pub(crate) fn small(variant: Variant, lse: Lse) -> SparseSettings {
    let settings = SparseSettings {
        kernel_size: 8,
        kernel_stride: 4,
        block_size: 16,
        init_blocks: 1,
        window_size: 32,
        topk: 3,
        variant,
        lse,
        score_type: ScoreType::F32,
    };
    settings.checked().unwrap()
}

/// The real block size with six blocks read.
pub(crate) fn medium(variant: Variant, lse: Lse) -> SparseSettings {
    SparseSettings { window_size: 128, topk: 4, variant, lse, ..SparseSettings::MINICPM4_1 }.checked().unwrap()
}

/// Random queries, keys and values for a text of `length` tokens, all exact in the cache's format.
pub(crate) struct Case {
    pub(crate) shape: HeadShape,
    pub(crate) settings: SparseSettings,
    pub(crate) length: usize,
    pub(crate) capacity: usize,
    pub(crate) q: Vec<f32>,
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) cache: CacheFormat,
}

impl Case {
    pub(crate) fn new(shape: HeadShape, settings: SparseSettings, length: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let capacity = length.next_multiple_of(64) + 64;
        let cache = shape.kv_heads * capacity * shape.head_dim;
        Self {
            q: random.halves(length * shape.heads * shape.head_dim, 2.0),
            keys: random.halves(cache, 1.0),
            values: random.halves(cache, 1.0),
            shape,
            settings,
            length,
            capacity,
            cache: CacheFormat::F16,
        }
    }

    /// The same with keys and values as a cache of another format holds them.
    pub(crate) fn cached_in(mut self, cache: CacheFormat) -> Self {
        for row in self.keys.chunks_mut(self.shape.head_dim).chain(self.values.chunks_mut(self.shape.head_dim)) {
            row.copy_from_slice(&reference::read_back(row, cache));
        }
        Self { cache, ..self }
    }

    /// Fine and coarse keys by the twins, rounded as the device stores them.
    pub(crate) fn compressed(&self) -> (Vec<f32>, Vec<f32>) {
        let with = |stride| {
            let HeadShape { kv_heads, head_dim, .. } = self.shape;
            let means = reference::compress_keys(&self.keys, kv_heads, self.capacity, head_dim, self.length, stride);
            means.into_iter().map(|v| f16::from_f32(self.settings.score_type.round(v)).to_f32()).collect()
        };
        (with(self.settings.kernel_stride), with(self.settings.block_size))
    }

    pub(crate) fn q_from(&self, start: usize, tokens: usize) -> &[f32] {
        let row = self.shape.heads * self.shape.head_dim;
        &self.q[start * row..(start + tokens) * row]
    }

    pub(crate) fn upload_q(&self, gpu: &Gpu, start: usize, tokens: usize) -> Tensor {
        let HeadShape { heads, head_dim, .. } = self.shape;
        upload_f16(gpu, "q", &[tokens, heads, head_dim], self.q_from(start, tokens))
    }

    pub(crate) fn upload_tokens(&self, gpu: &Gpu) -> CachedTokens {
        upload_cache(gpu, self.shape, self.cache, (&mut self.keys.clone(), &mut self.values.clone()))
    }

    pub(crate) fn upload_compressed(&self, gpu: &Gpu, label: &str, data: &[f32]) -> Tensor {
        let HeadShape { kv_heads, head_dim, .. } = self.shape;
        let slots = data.len() / (kv_heads * head_dim);
        upload_f16(gpu, label, &[kv_heads, slots, head_dim], data)
    }

    /// Scores, selection and output of the twins for `tokens` queries from `start` on.
    pub(crate) fn expected(&self, start: usize, tokens: usize) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
        let (fine, coarse) = self.compressed();
        let q = self.q_from(start, tokens);
        let scores = reference::score_blocks(q, &fine, &coarse, &self.shape, &self.settings, self.capacity, start);
        let ids = reference::select_blocks(
            &scores,
            self.shape.kv_heads,
            tokens,
            &self.settings,
            start,
            &BlockMarks::default(),
        );
        let out = self.attended(start, tokens, &ids);
        (scores, ids, out)
    }

    /// Output of the twin with the given selection.
    pub(crate) fn attended(&self, start: usize, tokens: usize, ids: &[u32]) -> Vec<f32> {
        let q = self.q_from(start, tokens);
        let block = self.settings.block_size;
        reference::attend_sparse(q, &self.keys, &self.values, ids, &self.shape, block, self.capacity, start)
    }
}

/// The compiled ops and one layer's tensors.
pub(crate) struct Chain<'a> {
    gpu: &'a Gpu,
    case: &'a Case,
    compress: CompressKeys,
    score: ScoreBlocks,
    select: SelectBlocks,
    attend: AttendSparse,
    tokens: CachedTokens,
    tiles: Option<CacheTiles>,
    pub(crate) fine: Tensor,
    pub(crate) coarse: Tensor,
    lse: Tensor,
    partials: Tensor,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(gpu: &'a Gpu, case: &'a Case) -> Self {
        let Case { shape, settings, capacity, .. } = *case;
        let HeadShape { kv_heads, head_dim, .. } = shape;
        let score = ScoreBlocks::new(gpu, shape, settings).unwrap();
        let attend = AttendSparse::new(gpu, shape, settings, case.cache, &[]).unwrap();
        let compressed = |label, stride| poisoned(gpu, label, &[kv_heads, capacity / stride, head_dim], Element::F16);
        Self {
            compress: CompressKeys::new(gpu, shape, settings, case.cache).unwrap(),
            select: SelectBlocks::new(gpu, shape, settings).unwrap(),
            tokens: case.upload_tokens(gpu),
            tiles: poisoned_tiles(gpu, shape, capacity).unwrap(),
            fine: compressed("fine", settings.kernel_stride),
            coarse: compressed("coarse", settings.block_size),
            lse: poisoned(gpu, "lse", &[score.lse_len(case.length, capacity)], Element::F32),
            partials: poisoned(gpu, "partials", &[attend.partials_len(case.length)], Element::F32),
            gpu,
            case,
            score,
            attend,
        }
    }

    pub(crate) fn compress(&self, recorder: &mut Recorder, start: usize, tokens: usize) {
        let Self { tokens: cache, fine, coarse, .. } = self;
        let args = CompressKeysArgs { cache, fine, coarse, start, tokens };
        self.compress.record(self.gpu, recorder, &args).unwrap();
    }

    /// Attention of the query at `position` over the blocks of `list`.
    pub(crate) fn attend(&self, recorder: &mut Recorder, position: usize, list: &[u32], decode: bool) -> Vec<f32> {
        let (gpu, case) = (self.gpu, self.case);
        let HeadShape { heads, head_dim, .. } = case.shape;
        let out = &poisoned(gpu, "out", &[1, heads * head_dim], Element::F16);
        let args = AttendSparseArgs {
            q: &case.upload_q(gpu, position, 1),
            cache: &self.tokens,
            tiles: self.tiles.as_ref(),
            ids: &gpu.upload("ids", &self.select.ids_shape(1), Element::U32, list).unwrap(),
            partials: &self.partials,
            out: out.into(),
            start: position,
            tokens: 1,
        };
        match decode {
            true => self.attend.record_decode(gpu, recorder, &args).unwrap(),
            false => self.attend.record_prefill(gpu, recorder, &args).unwrap(),
        }
        read_f32(gpu, recorder, out)
    }

    /// One step of the whole chain: selection and output.
    pub(crate) fn step(
        &self,
        recorder: &mut Recorder,
        start: usize,
        tokens: usize,
        decode: bool,
    ) -> (Vec<u32>, Vec<f32>) {
        self.compress(recorder, start, tokens);
        self.select_and_attend(recorder, start, tokens, decode)
    }

    /// The same from the compressed keys that are there.
    pub(crate) fn select_and_attend(
        &self,
        recorder: &mut Recorder,
        start: usize,
        tokens: usize,
        decode: bool,
    ) -> (Vec<u32>, Vec<f32>) {
        let (gpu, case) = (self.gpu, self.case);
        let HeadShape { heads, head_dim, .. } = case.shape;
        let q = &case.upload_q(gpu, start, tokens);
        let scores = &poisoned(gpu, "scores", &self.score.scores_shape(tokens, case.capacity), Element::F32);
        let ids = &poisoned(gpu, "ids", &self.select.ids_shape(tokens), Element::U32);
        let out = &poisoned(gpu, "out", &[tokens, heads * head_dim], Element::F16);
        let (cache, fine, coarse) = (&self.tokens, &self.fine, &self.coarse);
        let args = ScoreBlocksArgs { q, fine, coarse, lse: &self.lse, scores, start, tokens };
        match decode {
            true => self.score.record_decode(gpu, recorder, &args).unwrap(),
            false => self.score.record_prefill(gpu, recorder, &args).unwrap(),
        }
        let marks = &gpu.tensor("marks", &[(start + tokens).div_ceil(16)], Element::U32).unwrap();
        let select = SelectBlocksArgs { scores, ids, marks, marks_from: usize::MAX, start, tokens };
        self.select.record(gpu, recorder, &select).unwrap();
        let (tiles, partials) = (self.tiles.as_ref(), &self.partials);
        let args = AttendSparseArgs { q, cache, tiles, ids, partials, out: out.into(), start, tokens };
        match decode {
            true => self.attend.record_decode(gpu, recorder, &args).unwrap(),
            false => self.attend.record_prefill(gpu, recorder, &args).unwrap(),
        }
        (recorder.read::<u32>(gpu, ids).unwrap(), read_f32(gpu, recorder, out))
    }
}

/// Two selections may differ only where the blocks that differ score almost the same.
pub(crate) fn same_but_for_ties(case: &Case, start: usize, got: &[u32], expected: &[u32], scores: &[f32]) {
    let (budget, kv_heads) = (case.settings.budget(), case.shape.kv_heads);
    let blocks = case.capacity / case.settings.block_size;
    let tokens = got.len() / (budget * kv_heads);
    assert_eq!(got.len(), expected.len());
    for (row, (got, expected)) in got.chunks(budget).zip(expected.chunks(budget)).enumerate() {
        let (token, kv_head) = (row / kv_heads, row % kv_heads);
        let count = case.settings.count(start + token);
        assert!(got[..count].is_sorted_by(|a, b| a < b), "{got:?} ascends");
        assert!(got[count..].iter().all(|id| *id == NO_BLOCK), "{got:?} is filled after {count}");
        let score = |id: &&u32| scores[(kv_head * tokens + token) * blocks + **id as usize];
        let least =
            |a: &[u32], b: &[u32]| a.iter().filter(|id| !b.contains(id)).map(|id| score(&id)).fold(f32::MAX, f32::min);
        let most =
            |a: &[u32], b: &[u32]| a.iter().filter(|id| !b.contains(id)).map(|id| score(&id)).fold(0.0, f32::max);
        if got != expected {
            let (ours, theirs) = (least(got, expected), most(expected, got));
            // Scores that are wrong by 2e-3 must make the choice right.
            let ranked = |score: f32| case.settings.score_type.round(score);
            let near = ranked(ours.min(theirs) * 1.001) >= ranked(ours.max(theirs) * 0.999);
            assert!(near, "row {row}: {got:?} for {expected:?}: {ours} {theirs}");
        }
    }
}

#[test]
fn equals_twins_chunked_at_once_and_by_token() {
    on_each_gpu(|gpu| {
        let formats = CacheFormat::ALL.into_iter().flat_map(|cache| KINDS.map(|kind| (cache, kind)));
        for (i, (cache, (variant, lse))) in formats.enumerate() {
            let shape = HeadShape::new(16, 2, [32, 64, 96, 128][i % 4]).unwrap();
            let case = Case::new(shape, small(variant, lse), 331, i as u64 + 1).cached_in(cache);
            let (scores, ids, _) = case.expected(0, case.length);
            let recorder = &mut recorder(gpu);
            let (at_once, at_once_out) = Chain::new(gpu, &case).step(recorder, 0, case.length, false);
            same_but_for_ties(&case, 0, &at_once, &ids, &scores);
            close("at once", &at_once_out, &case.attended(0, case.length, &at_once), 2e-3, 2e-3);

            // Chunks that respect no boundary: the same selection to the bit.
            let chain = Chain::new(gpu, &case);
            let (mut chunked, mut chunked_out, mut start) = (Vec::new(), Vec::new(), 0);
            for tokens in [1, 30, 33, 64, 7, 101, 95] {
                let (ids, out) = chain.step(recorder, start, tokens, false);
                chunked.extend(ids);
                chunked_out.extend(out);
                start += tokens;
            }
            assert_eq!((start, &chunked), (case.length, &at_once));
            close("chunked", &chunked_out, &at_once_out, 1e-6, 1e-6);

            // One token at a time over window, block and budget boundaries.
            let chain = Chain::new(gpu, &case);
            let row = case.shape.heads * case.shape.head_dim;
            let per_token = case.settings.budget() * case.shape.kv_heads;
            chain.step(recorder, 0, 75, false);
            for position in 75..170 {
                let (ids, out) = chain.step(recorder, position, 1, true);
                let (scores, expected, _) = case_row(&case, position);
                same_but_for_ties(&case, position, &ids, &expected, &scores);
                if ids == at_once[position * per_token..][..per_token] {
                    close("decode", &out, &at_once_out[position * row..][..row], 2e-3, 2e-3);
                }
            }
        }
    });
}

#[test]
fn variants_select_the_same_but_for_near_ties() {
    let gpus = gpu_variants();
    let exact = KINDS.map(|(variant, lse)| small(variant, lse));
    let rounded = SparseSettings { score_type: ScoreType::Bf16, ..exact[0] };
    for settings in exact.into_iter().chain([rounded]) {
        // 38 blocks of which five are read, one or two freely: every row after the first hundred tokens has a choice.
        let case = Case::new(HeadShape::new(16, 2, 64).unwrap(), settings, 600, 5);
        let (scores, _, _) = case.expected(0, case.length);
        let selections: Vec<Vec<u32>> = gpus
            .iter()
            .map(|(_, gpu)| Chain::new(gpu, &case).step(&mut recorder(gpu), 0, case.length, false).0)
            .collect();
        for ((name, _), got) in gpus.iter().zip(&selections).skip(1) {
            let expected = &selections[0];
            same_but_for_ties(&case, 0, got, expected, &scores);
            let rows = || got.chunks(case.settings.budget()).zip(expected.chunks(case.settings.budget()));
            let mean = rows().map(|(a, b)| jaccard(a, b)).sum::<f64>() / rows().count() as f64;
            let others = rows().filter(|(a, b)| a != b).count();
            let SparseSettings { variant, lse, score_type, .. } = settings;
            eprintln!(
                "{variant:?} {lse:?} {score_type:?}, {name}: Jaccard {mean:.5}, {others} of {} lists differ",
                rows().count()
            );
            assert!(mean >= 0.99, "{name}: {mean}");
        }
    }
}

/// Twins for one position of a text that ends there: what decode sees.
fn case_row(case: &Case, position: usize) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
    case.expected(position, 1)
}

#[test]
fn every_block_selected_is_dense() {
    on_each_gpu(|gpu| {
        // 79 tokens are the five blocks that the small settings read; one token more, and one is left out.
        let shape = HeadShape::new(8, 2, 64).unwrap();
        let case = Case::new(shape, small(Variant::Local33, Lse::Coarse), 96, 9);
        let (_, out) = Chain::new(gpu, &case).step(&mut recorder(gpu), 0, case.length, false);
        let row = shape.heads * shape.head_dim;
        let dense = dense(&case);
        close("dense", &out[..80 * row], &dense[..80 * row], 2e-3, 2e-3);
        let last = (&out[95 * row..], &dense[95 * row..]);
        assert!(last.0.iter().zip(last.1).any(|(a, b)| (a - b).abs() > 0.02), "the sixth block must be missed");

        // The same by steps of one token, over the edges of blocks.
        let (chain, recorder) = (Chain::new(gpu, &case), &mut recorder(gpu));
        chain.compress(recorder, 0, 40);
        for position in 40..96 {
            let (_, out) = chain.step(recorder, position, 1, true);
            let dense = &dense[position * row..][..row];
            if position < 80 {
                close("decode", &out, dense, 2e-3, 2e-3);
            } else if position == 95 {
                let missed = out.iter().zip(dense).any(|(a, b)| (a - b).abs() > 0.02);
                assert!(missed, "the sixth block must be missed in decoding too");
            }
        }
    });
}

/// Attention over every token at or before each query.
fn dense(case: &Case) -> Vec<f32> {
    let HeadShape { heads, head_dim, .. } = case.shape;
    let mut out = vec![0.0; case.length * heads * head_dim];
    for (row, out) in out.chunks_mut(head_dim).enumerate() {
        let (token, head) = (row / heads, row % heads);
        let first = head / case.shape.group() * case.capacity * head_dim;
        let keys = case.keys[first..].chunks(head_dim).take(token + 1);
        let q = &case.q[row * head_dim..][..head_dim];
        let weight = |key: &[f32]| (q.iter().zip(key).map(|(a, b)| a * b).sum::<f32>() * case.shape.scale()).exp();
        let weights: Vec<f32> = keys.map(weight).collect();
        let sum: f32 = weights.iter().sum();
        for (weight, value) in weights.iter().zip(case.values[first..].chunks(head_dim)) {
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight / sum * value;
            }
        }
    }
    out
}

#[test]
fn two_runs_select_the_same() {
    on_each_gpu(|gpu| {
        let shape = HeadShape::new(16, 1, 64).unwrap();
        let case = Case::new(shape, small(Variant::Local33, Lse::Coarse), 600, 5).cached_in(CacheFormat::Q8);
        let prefill = || Chain::new(gpu, &case).step(&mut recorder(gpu), 0, case.length, false);
        assert_eq!(prefill(), prefill());
        let decode = || {
            let (chain, recorder) = (Chain::new(gpu, &case), &mut recorder(gpu));
            chain.compress(recorder, 0, 560);
            (560..case.length).map(|position| chain.step(recorder, position, 1, true)).collect::<Vec<_>>()
        };
        assert_eq!(decode(), decode());
    });
}
