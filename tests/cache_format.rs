//! The 8-bit cache in whole models: the device against the twins, one way of computing against another, and against the
//! 16-bit cache on the trained built-in model.

use std::path::Path;

use foveal::built_in;
use foveal::chat_template::{Message, Role};
use foveal::conversation::{Conversation, Document};
use foveal::gpu::Tensor;
use foveal::kv_cache::KvCache;
use foveal::model::{Attention, LoadOptions, MemoryPlan, random};
use foveal::open::ModelFiles;
use foveal::ops::CacheFormat;
use foveal::session::Session;

use crate::forward::{cpu_session, folder, gpu_session};
use crate::harness::gpu_variants;
use crate::pytorch::token_ids;

fn options(kv: CacheFormat, chunk: Option<usize>) -> LoadOptions {
    LoadOptions { context: Some(1024), chunk, kv, ..Default::default() }
}

fn eight_bits(chunk: usize) -> LoadOptions {
    options(CacheFormat::Q8, Some(chunk))
}

/// Logits after `tokens`.
fn logits(mut session: Session, attention: Attention, tokens: &[u32]) -> Vec<f32> {
    session.set_attention(attention);
    session.feed(tokens, &mut |_, _| Ok(())).unwrap();
    session.logits().unwrap()
}

fn largest(got: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(got.len(), wanted.len());
    assert!(got.iter().all(|value| value.is_finite()));
    got.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// |got - wanted| over |wanted|, as vectors.
fn relative(got: &[f32], wanted: &[f32]) -> f32 {
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
    let gap = square(&mut got.iter().zip(wanted).map(|(a, b)| a - b));
    (gap / square(&mut wanted.iter().copied())).sqrt()
}

/// Models, how they attend, and how many tokens they read: sparse up to where the first selection hangs on rounding.
const RUNS: [(&str, Attention, usize); 4] = [
    ("minicpm_tied", Attention::Dense, 70),
    ("llama_head96", Attention::Dense, 70),
    ("minicpm_sparse", Attention::Sparse, 419),
    ("minicpm_sparse_group16", Attention::Sparse, 400),
];

fn tokens_of(name: &str, count: usize) -> Vec<u32> {
    token_ids(name)[..count].to_vec()
}

#[test]
fn device_agrees_with_twins_and_with_itself_in_any_chunks() {
    for (name, attention, count) in RUNS {
        let tokens = tokens_of(name, count);
        let path = folder(name);
        let twins = logits(cpu_session(&path, &eight_bits(100)), attention, &tokens);
        let plain = logits(cpu_session(&path, &options(CacheFormat::F16, None)), attention, &tokens);
        assert!(relative(&twins, &plain) > 5e-3, "{name}: eight bits must show");
        for (index, (variant, gpu)) in gpu_variants().iter().enumerate() {
            let at_once = logits(gpu_session(gpu, &path, &eight_bits(512)), attention, &tokens);
            // Where a value lies between two integers, the rounding of what led to it decides, by a whole step.
            let gap = relative(&at_once, &twins);
            assert!(gap < 1e-2, "{name}, {variant}: {gap}");
            // Short chunks take a software driver minutes, and variants differ in kernels, not in how prompts are cut.
            for chunk in if index == 0 { [100, 17].as_slice() } else { &[100] } {
                let got = logits(gpu_session(gpu, &path, &eight_bits(*chunk)), attention, &tokens);
                let worst = largest(&got, &at_once);
                assert!(worst < 1e-2, "{name}, {variant}, chunk {chunk}: {worst}");
            }
            let mut session = gpu_session(gpu, &path, &eight_bits(100));
            session.set_attention(attention);
            session.feed(&tokens[..count - 40], &mut |_, _| Ok(())).unwrap();
            for token in &tokens[count - 40..] {
                session.advance(*token).unwrap();
            }
            let worst = largest(&session.logits().unwrap(), &at_once);
            assert!(worst < 1e-2, "{name}, {variant}, token by token: {worst}");
        }
    }
}

#[test]
fn what_was_truncated_leaves_no_trace() {
    for (name, attention, count) in RUNS {
        let tokens = tokens_of(name, count);
        let path = folder(name);
        for (variant, gpu) in gpu_variants() {
            let wanted = logits(gpu_session(gpu, &path, &eight_bits(64)), attention, &tokens);
            let mut session = gpu_session(gpu, &path, &eight_bits(64));
            session.set_attention(attention);
            // Other tokens from a third on, then the right ones over them: windows of compressed keys are cut in the middle.
            let mut other = tokens.clone();
            let from = tokens.len() / 3;
            other[from..].iter_mut().for_each(|token| *token = (*token + 7) % 200);
            session.feed(&other, &mut |_, _| Ok(())).unwrap();
            let mut computed = None;
            let mut hear = |done, total| {
                computed = computed.or((done == 0).then_some(total));
                Ok(())
            };
            session.feed(&tokens, &mut hear).unwrap();
            assert_eq!(computed, Some(tokens.len() - from), "{name}, {variant}");
            let worst = largest(&session.logits().unwrap(), &wanted);
            assert!(worst < 1e-2, "{name}, {variant}: {worst}");
        }
    }
}

#[test]
fn the_trace_is_what_the_twins_select() {
    let path = folder("minicpm_sparse");
    let tokens = tokens_of("minicpm_sparse", 419);
    let trace = |mut session: Session| {
        session.set_trace(true);
        session.set_attention(Attention::Sparse);
        session.feed(&tokens, &mut |_, _| Ok(())).unwrap().trace.unwrap()
    };
    let wanted = trace(cpu_session(&path, &eight_bits(100)));
    assert!(wanted.readers.iter().all(|ids| ids.len() == 6), "{wanted:?}");
    for (variant, gpu) in gpu_variants() {
        assert_eq!(trace(gpu_session(gpu, &path, &eight_bits(100))), wanted, "{variant}");
    }
}

#[test]
fn the_plan_halves_and_is_what_is_allocated() {
    let config = random::shape("minicpm4.1-8b").unwrap();
    let plan = |kv| MemoryPlan::new(&config, 0, (kv, 131_072), 2048);
    let (full, half) = (plan(CacheFormat::F16), plan(CacheFormat::Q8));
    // A scale of four bytes beside 128 integers; the compressed keys stay as they are.
    let compressed = full.kv_cache - 32 * 2 * 131_072 * 4 * 128;
    assert_eq!(half.kv_cache - compressed, 32 * 2 * 131_072 * 2 * (128 + 4));
    let share = half.kv_cache as f64 / full.kv_cache as f64;
    assert!((0.5..0.54).contains(&share), "{share}");
    assert!(half.describe().contains("q8 cache of 131072 tokens"), "{}", half.describe());

    let Some((_, gpu)) = gpu_variants().first() else { return };
    let settings = config.sparse.settings;
    for kv in CacheFormat::ALL {
        let cache = KvCache::new(gpu, 2, config.heads, &settings, (kv, 3000)).unwrap();
        let layer = |layer: &foveal::kv_cache::LayerCache| {
            let tokens = &layer.tokens;
            let tensors = [&tokens.keys, &tokens.values, &layer.fine, &layer.coarse];
            tensors.into_iter().chain(&tokens.scales).map(Tensor::bytes).sum::<u64>()
        };
        let bytes: u64 = cache.layers.iter().map(layer).sum();
        assert_eq!(bytes, KvCache::bytes(2, config.heads, &settings, (kv, 3000)), "{kv}");
    }
}

/// Rows of logits of the built-in model while it reads the end of a question about a sample document. By the twins, which the
/// tests above hold the device to: a software driver would take twenty minutes.
fn built_in_rows(path: &Path, attention: Attention, kv: CacheFormat, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut session = cpu_session(path, &LoadOptions { context: Some(2048), kv, ..Default::default() });
    session.set_attention(attention);
    let (before, last) = tokens.split_at(tokens.len() - 8);
    session.feed(before, &mut |_, _| Ok(())).unwrap();
    let row = |token: &u32| {
        session.advance(*token).unwrap();
        session.logits().unwrap()
    };
    last.iter().map(row).collect()
}

#[test]
fn the_trained_model_hardly_notices() {
    let files = ModelFiles::open(None).unwrap();
    let sample = built_in::sample("memories").unwrap();
    // More than the 28 blocks that the sparse mode reads.
    let text = sample.text.chars().take(6000).collect();
    let conversation = Conversation {
        system: None,
        documents: vec![Document { name: "memories".into(), text }],
        turns: vec![Message { role: Role::User, content: sample.questions[0].question.clone() }],
    };
    let tokens = conversation.tokens(&files.tokenizer, &files.template, None).unwrap();
    let tokens: Vec<u32> = tokens.into_iter().map(|token| token.id).collect();
    assert!((1850..2040).contains(&tokens.len()), "{} tokens", tokens.len());
    for attention in [Attention::Dense, Attention::Sparse] {
        let rows = |kv| built_in_rows(&built_in::model_folder().unwrap(), attention, kv, &tokens);
        let (full, half) = (rows(CacheFormat::F16), rows(CacheFormat::Q8));
        for (row, (got, wanted)) in half.iter().zip(&full).enumerate() {
            let (relative, worst) = (relative(got, wanted), largest(got, wanted));
            let mean = got.iter().zip(wanted).map(|(a, b)| (a - b).abs()).sum::<f32>() / got.len() as f32;
            eprintln!(
                "{attention} row {row}: {relative:.4} of the logits' norm, {mean:.4} on average, {worst:.3} at worst"
            );
            assert!(relative < 5e-2, "{attention} row {row}: {relative}");
        }
    }
}
