//! Whole models, one way of computing against another: chunks, turns, modes, quantised copies, the device and the twins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use foveal::built_in;
use foveal::gpu::{Gpu, GpuOptions};
use foveal::model::{Attention, LoadOptions, Mode};
use foveal::open::ModelFiles;
use foveal::session::Session;
use foveal::weights::Checkpoint;
use foveal::weights::quantize::{Recipe, quantize_folder};

use crate::harness::gpu_variants;
use crate::pytorch::token_ids;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints").join(name)
}

pub(crate) fn options(chunk: Option<usize>) -> LoadOptions {
    LoadOptions { context: Some(1024), chunk, ..Default::default() }
}

pub(crate) fn gpu_session(gpu: &Arc<Gpu>, path: &Path, options: &LoadOptions) -> Session {
    let checkpoint = Checkpoint::open(path).unwrap();
    Session::on_gpu(gpu, &checkpoint, options, Duration::from_secs(1), &mut |_, _, _| Ok(())).unwrap()
}

pub(crate) fn cpu_session(path: &Path, options: &LoadOptions) -> Session {
    Session::on_cpu(&Checkpoint::open(path).unwrap(), options, &mut |_, _, _| Ok(())).unwrap()
}

#[test]
fn a_quantised_copy_gives_the_logits_of_quantising_at_load() {
    let place = tempfile::tempdir().unwrap();
    for name in ["minicpm_tied", "llama_head128", "minicpm_longrope_long"] {
        for (bits, group) in [(4, 32), (4, 64), (8, 32), (8, 128)] {
            let recipe = Recipe { bits, group, ..Recipe::default() };
            let copy = place.path().join(format!("{name}-{bits}-{group}"));
            quantize_folder(&folder(name), &copy, &recipe, |_| Ok(())).unwrap();
            let at_load = LoadOptions { quantize: Some(recipe), ..options(None) };
            let tokens = &token_ids(name)[..40];
            let logits = |mut session: Session| {
                session.feed(tokens, &mut |_, _| Ok(())).unwrap();
                session.logits().unwrap()
            };
            let plain = logits(cpu_session(&folder(name), &options(None)));
            let wanted = logits(cpu_session(&folder(name), &at_load));
            assert_ne!(plain, wanted, "{name}: rounding changes the logits");
            assert_eq!(logits(cpu_session(&copy, &options(None))), wanted, "{name} {bits}/{group}");
            if let Some((variant, gpu)) = gpu_variants().first() {
                let wanted = logits(gpu_session(gpu, &folder(name), &at_load));
                assert_eq!(logits(gpu_session(gpu, &copy, &options(None))), wanted, "{name} {bits}/{group} {variant}");
            }
        }
    }
}

/// Logits after `tokens` in the sparse mode, read in chunks of `chunk`.
fn sparse_logits(gpu: &Arc<Gpu>, tokens: &[u32], chunk: usize) -> Vec<f32> {
    let mut session = gpu_session(gpu, &folder("minicpm_sparse"), &options(Some(chunk)));
    session.set_attention(Attention::Sparse);
    session.feed(tokens, &mut |_, _| Ok(())).unwrap();
    session.logits().unwrap()
}

#[test]
fn sparse_chunks_of_any_size_give_the_same_logits() {
    for (variant, gpu) in gpu_variants() {
        // Up to where the first selection hangs on rounding.
        let tokens = &token_ids("minicpm_sparse")[..419];
        let wanted = sparse_logits(gpu, tokens, 512);
        for chunk in [1, 17, 100] {
            let got = sparse_logits(gpu, tokens, chunk);
            let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-2, "{variant}, chunk {chunk}: {worst}");
        }
    }
}

#[test]
fn auto_becomes_sparse_inside_an_answer_and_says_what_it_read() {
    for (variant, gpu) in gpu_variants() {
        let tokens = token_ids("minicpm_sparse");
        let mut session = gpu_session(gpu, &folder("minicpm_sparse"), &options(Some(100)));
        session.set_trace(true);
        // dense_len is 448: with the new token the cache reaches it at position 447.
        let next = session.feed(&tokens[..446], &mut |_, _| Ok(())).unwrap();
        assert_eq!((next.mode, next.trace.unwrap().readers.len()), (Mode::Dense, 0), "{variant}");
        assert_eq!(session.advance(tokens[446]).unwrap().mode, Mode::Dense, "{variant}");
        let next = session.advance(tokens[447]).unwrap();
        assert_eq!(next.mode, Mode::Sparse, "{variant}");
        let trace = next.trace.unwrap();
        // 2 layers of 2 KV heads; 7 blocks, of which 1 first, 3 local and 2 free ones are read.
        assert_eq!(trace.readers.len(), 4, "{variant}");
        for reader in 0..4 {
            let ids = &trace.readers[reader];
            assert!(ids.len() == 6 && ids.is_sorted() && ids.ends_with(&[4, 5, 6]) && ids[0] == 0, "{variant} {ids:?}");
            assert_eq!(trace.free_blocks(reader).count(), 2, "{variant}");
        }
        assert_eq!(trace.tokens_read(), 6 * 64, "{variant}");
        assert_eq!(trace.votes().iter().sum::<u32>(), 8, "{variant}");
        // The device reads what the twins select.
        let mut twins = cpu_session(&folder("minicpm_sparse"), &options(None));
        twins.set_trace(true);
        twins.feed(&tokens[..446], &mut |_, _| Ok(())).unwrap();
        twins.advance(tokens[446]).unwrap();
        assert_eq!(twins.advance(tokens[447]).unwrap().trace.unwrap(), trace, "{variant}");
    }
}

#[test]
fn a_prompt_of_exactly_dense_len_is_sparse_and_one_token_less_is_not() {
    let mut session = cpu_session(&folder("minicpm_sparse"), &options(Some(100)));
    let sparse = session.config().sparse;
    assert_eq!(sparse.dense_len, 448);
    let modes = |attention| [447, 448].map(|length| sparse.mode(attention, length));
    assert_eq!(modes(Attention::Auto), [Mode::Dense, Mode::Sparse]);
    assert_eq!(modes(Attention::Dense), [Mode::Dense; 2]);
    assert_eq!(modes(Attention::Sparse), [Mode::Sparse; 2]);
    // The whole prompt is read in the mode of its final length, not only what lies past it.
    let tokens = token_ids("minicpm_sparse");
    for length in [447, 448] {
        let mut score = |attention| {
            session.set_attention(attention);
            session.score(&tokens[..length], &mut |_, _| Ok(())).unwrap()
        };
        let (auto, dense, sparse) = (score(Attention::Auto), score(Attention::Dense), score(Attention::Sparse));
        assert_ne!(dense, sparse, "{length} tokens must leave a block out");
        assert_eq!(auto, if length == 448 { sparse } else { dense }, "{length}");
        session.set_attention(Attention::Auto);
        let next = session.feed(&tokens[..length], &mut |_, _| Ok(())).unwrap();
        assert_eq!(next.mode, if length == 448 { Mode::Sparse } else { Mode::Dense });
    }
}

#[test]
fn selection_without_positions_is_refused() {
    let sparse_config = Some(serde_json::json!({ "use_nope": true }));
    let checkpoint = Checkpoint::open(&folder("minicpm_sparse")).unwrap();
    let error = LoadOptions { sparse_config, ..options(None) }.config(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("use_nope") && error.contains("not supported"), "{error}");
}

#[test]
fn changing_the_mode_reads_again_only_from_where_it_matters() {
    for (_, gpu) in gpu_variants() {
        let tokens = token_ids("minicpm_sparse");
        let mut session = gpu_session(gpu, &folder("minicpm_sparse"), &options(Some(100)));
        session.set_attention(Attention::Dense);
        session.feed(&tokens[..600], &mut |_, _| Ok(())).unwrap();
        session.set_attention(Attention::Sparse);
        let mut computed = None;
        session
            .feed(&tokens[..600], &mut |_, total| {
                computed = Some(total);
                Ok(())
            })
            .unwrap();
        // The budget is 6 blocks: the first 384 tokens read everything in both modes.
        assert_eq!(computed, Some(600 - 384));
    }
}

/// The most that logits differ when the prompt is read in small chunks, or token by token, instead of at once.
fn chunks_differ_by(gpu: &Arc<Gpu>, name: &str) -> f32 {
    chunks_differ_from(gpu, gpu, name)
}

/// The same where the whole prompt is read by another device.
fn chunks_differ_from(whole: &Arc<Gpu>, gpu: &Arc<Gpu>, name: &str) -> f32 {
    let tokens = token_ids(name);
    let logits = |gpu, chunk| {
        let mut session = gpu_session(gpu, &folder(name), &options(Some(chunk)));
        session.feed(&tokens, &mut |_, _| Ok(())).unwrap();
        session.logits().unwrap()
    };
    let wanted = logits(whole, 512);
    let worst = |chunk| logits(gpu, chunk).iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    [1, 2, 7, 16, 64].into_iter().map(worst).fold(0.0, f32::max)
}

const QUANTISED: [&str; 2] = ["mlx_q4_llama_group4", "mlx_q8_minicpm_group1_head128"];

/// What rounding a single token's activations to 8 bits may move the logits of the small models by; the most seen is 0.144.
const ROUNDED: f32 = 0.2;

#[test]
fn any_chunk_size_gives_the_same_logits() {
    for (variant, gpu) in gpu_variants() {
        for name in ["minicpm_tied", "llama_tied_group16"].into_iter().chain(QUANTISED) {
            let allowed = if gpu.features.int8 && QUANTISED.contains(&name) { ROUNDED } else { 1e-2 };
            let worst = chunks_differ_by(gpu, name);
            assert!(worst < allowed, "{name}, {variant}: {worst}");
        }
    }
}

/// How a prompt is cut follows the device's speed, and a token alone goes through other kernels: it would round in another way.
#[test]
fn no_token_of_a_prompt_is_computed_alone_but_the_last() {
    let options = LoadOptions { chunk: Some(16), ..Default::default() };
    let mut session = cpu_session(&folder("minicpm_tied"), &options);
    let tokens = token_ids("minicpm_tied");
    for count in [3, 17, 18, 33, 34, 35, 50] {
        for score in [false, true] {
            session.truncate(0);
            let mut ends = Vec::new();
            let mut hear = |done: usize, _| {
                ends.push(done);
                Ok(())
            };
            // Scoring reads every token but the last as the prompt, an answer asks the last one alone.
            if score {
                session.score(&tokens[..count], &mut hear).unwrap();
            } else {
                session.feed(&tokens[..count], &mut hear).unwrap();
                assert_eq!(ends.pop(), Some(count));
            }
            assert_eq!((ends[0], ends.last()), (0, Some(&(count - 1))), "{count}");
            let lengths: Vec<usize> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(lengths.iter().all(|length| (2..=16).contains(length)), "{count}: {lengths:?}");
        }
    }
}

#[test]
fn single_tokens_in_integers_are_near_prompts_in_floats() {
    let open = |int8: bool| {
        let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
        let mut gpu = Gpu::open(&GpuOptions { device, ..Default::default() }).ok()?;
        // Software adapters leave it out because they gain nothing by it.
        gpu.features.int8 = int8;
        Some(Arc::new(gpu))
    };
    let (Some(floats), Some(integers)) = (open(false), open(true)) else { return };
    for name in QUANTISED {
        let worst = chunks_differ_from(&floats, &integers, name);
        eprintln!("{name}: {worst}");
        assert!(worst > 1e-4 && worst < ROUNDED, "{name}: {worst}");
    }
}

#[test]
fn a_second_turn_and_an_edit_give_what_one_prompt_gives() {
    for (variant, gpu) in gpu_variants() {
        let path = folder("minicpm_tied");
        let tokens = token_ids("minicpm_tied");
        let mut session = gpu_session(gpu, &path, &options(Some(16)));
        // A first turn that went another way at token 20, then on from the common beginning.
        let mut first: Vec<u32> = tokens[..30].to_vec();
        first[20] = (first[20] + 1) % 200;
        session.feed(&first, &mut |_, _| Ok(())).unwrap();
        session.advance(tokens[3]).unwrap();
        let mut computed = Vec::new();
        session
            .feed(&tokens, &mut |done, total| {
                computed.push((done, total));
                Ok(())
            })
            .unwrap();
        assert_eq!(computed[0], (0, tokens.len() - 20), "only what follows the common beginning is computed");
        let got = session.logits().unwrap();
        let mut fresh = gpu_session(gpu, &path, &options(None));
        fresh.feed(&tokens, &mut |_, _| Ok(())).unwrap();
        let wanted = fresh.logits().unwrap();
        let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-2, "{variant}: {worst}");
    }
}

#[test]
fn greedy_output_is_the_same_twice_and_on_the_processor() {
    let path = folder("minicpm_tied");
    let tokens = token_ids("minicpm_tied");
    let greedy = |mut session: Session| {
        let mut next = session.feed(&tokens, &mut |_, _| Ok(())).unwrap();
        let mut out = Vec::new();
        for _ in 0..24 {
            let token = next.top.candidates[0].0;
            out.push(token);
            next = session.advance(token).unwrap();
        }
        out
    };
    for (variant, gpu) in gpu_variants() {
        let first = greedy(gpu_session(gpu, &path, &options(Some(16))));
        assert_eq!(first, greedy(gpu_session(gpu, &path, &options(Some(16)))), "{variant}");
        assert_eq!(first, greedy(cpu_session(&path, &options(None))), "{variant}: against the twins");
    }
}

#[test]
fn too_long_a_prompt_says_by_how_much() {
    let mut session = cpu_session(&folder("minicpm_tied"), &LoadOptions { context: Some(64), ..options(None) });
    let error = session.feed(&[5; 70], &mut |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("70 tokens, 6 more than the context of 64"), "{error}");
}

#[test]
fn tokens_beyond_the_vocabulary_are_refused_wherever_they_come_in() {
    let gpu = gpu_variants().first().map(|(_, gpu)| gpu_session(gpu, &folder("minicpm_tied"), &options(None)));
    for mut session in [Some(cpu_session(&folder("minicpm_tied"), &options(None))), gpu].into_iter().flatten() {
        let beyond = session.config().vocab_size as u32;
        let check = |error: foveal::error::Error| {
            assert!(error.to_string().contains(&format!("token {beyond} is beyond")), "{error}");
        };
        let wanted = session.feed(&[5, 6, 7], &mut |_, _| Ok(())).unwrap();
        check(session.feed(&[5, beyond, 7], &mut |_, _| Ok(())).unwrap_err());
        check(session.feed(&[5, 6, beyond], &mut |_, _| Ok(())).unwrap_err());
        check(session.advance(beyond).unwrap_err());
        // The last one is only a target, whose log-probability lies in no row.
        check(session.score(&[5, 6, beyond], &mut |_, _| Ok(())).unwrap_err());
        assert_eq!(session.feed(&[5, 6, 7], &mut |_, _| Ok(())).unwrap(), wanted);
    }
}

#[test]
fn no_adapter_of_that_name() {
    let options = GpuOptions { device: Some("no such card".into()), ..Default::default() };
    let error = Gpu::open(&options).err().unwrap().to_string();
    assert!(error.contains("no usable graphics adapter"), "{error}");
}

#[test]
fn rounding_activations_hardly_changes_what_the_trained_model_expects() {
    let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
    let Ok(gpu) = Gpu::open(&GpuOptions { device, ..Default::default() }) else { return };
    let tokenizer = ModelFiles::open(None).unwrap().tokenizer;
    let sample = built_in::sample("memories").unwrap();
    let mut tokens = tokenizer.encode(sample.text, true).unwrap();
    // As many as it takes for the mean not to hang on a few words that the model does not expect anyway.
    tokens.truncate(480);
    let path = built_in::model_folder().unwrap();
    // One token a step, so that every layer decodes.
    let options = LoadOptions { quantize: Some(Recipe::default()), ..options(Some(1)) };
    let mut means = Vec::new();
    let mut gpu = Some(gpu);
    for int8 in [false, true] {
        let mut opened = gpu.take().unwrap();
        // Software adapters leave it out because they gain nothing by it.
        opened.features.int8 = int8;
        let opened = Arc::new(opened);
        let scores = gpu_session(&opened, &path, &options).score(&tokens, &mut |_, _| Ok(())).unwrap();
        means.push(scores.iter().map(|score| f64::from(*score)).sum::<f64>() / scores.len() as f64);
        gpu = Arc::into_inner(opened);
    }
    let change = (means[0] - means[1]).exp() - 1.0;
    eprintln!(
        "perplexity {:.4} in f32, {:.4} in 8 bits: {:.3} %",
        (-means[0]).exp(),
        (-means[1]).exp(),
        100.0 * change
    );
    assert!(change != 0.0, "the forms do the same");
    assert!(change.abs() < 5e-3, "perplexity changes by {change}");
}
