//! Whole models: the device and the twins against log-probabilities from an independent PyTorch program
//! (tests/data/oracle.py), and one way of computing against another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use foveal::gpu::{Gpu, GpuOptions};
use foveal::model::LoadOptions;
use foveal::session::Session;
use foveal::weights::Checkpoint;

use crate::harness::gpu_variants;

/// One row of expected.json.
#[derive(serde::Deserialize)]
struct Expected {
    token_ids: Vec<u32>,
    runs: Vec<Run>,
}

#[derive(serde::Deserialize)]
struct Run {
    attention: String,
    logprobs: Vec<Option<f32>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints").join(name)
}

fn all_folders() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 9, "{names:?}");
    names
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn options(chunk: Option<usize>) -> LoadOptions {
    LoadOptions { context: Some(1024), chunk, quantize: None }
}

pub(crate) fn gpu_session(gpu: &Arc<Gpu>, path: &Path, options: &LoadOptions) -> Session {
    let checkpoint = Checkpoint::open(path).unwrap();
    Session::on_gpu(gpu, &checkpoint, options, Duration::from_secs(1), &mut |_, _, _| Ok(())).unwrap()
}

pub(crate) fn cpu_session(path: &Path, options: &LoadOptions) -> Session {
    Session::on_cpu(&Checkpoint::open(path).unwrap(), options, &mut |_, _, _| Ok(())).unwrap()
}

/// (largest, mean) difference.
fn difference(got: &[f32], run: &Run) -> (f32, f32) {
    let wanted: Vec<f32> = run.logprobs.iter().skip(1).map(|value| value.unwrap()).collect();
    assert_eq!(got.len(), wanted.len());
    let gaps: Vec<f32> = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).collect();
    assert!(gaps.iter().all(|gap| gap.is_finite()));
    (gaps.iter().copied().fold(0.0, f32::max), gaps.iter().sum::<f32>() / gaps.len() as f32)
}

#[test]
fn twins_agree_with_pytorch() {
    for name in all_folders() {
        let expected = expected(&name);
        let run = expected.runs.iter().find(|run| run.attention == "dense").unwrap();
        let mut session = cpu_session(&folder(&name), &options(Some(33)));
        let got = session.score(&expected.token_ids, &mut |_, _| Ok(())).unwrap();
        let (worst, mean) = difference(&got, run);
        assert!(worst < 1e-4, "{name}: largest difference {worst}, mean {mean}");
    }
}

#[test]
fn device_agrees_with_pytorch() {
    for (variant, gpu) in gpu_variants() {
        for name in all_folders() {
            let expected = expected(&name);
            let run = expected.runs.iter().find(|run| run.attention == "dense").unwrap();
            let mut session = gpu_session(gpu, &folder(&name), &options(None));
            let got = session.score(&expected.token_ids, &mut |_, _| Ok(())).unwrap();
            let (worst, mean) = difference(&got, run);
            assert!(worst < 2e-2 && mean < 3e-3, "{name}, {variant}: largest difference {worst}, mean {mean}");
        }
    }
}

#[test]
fn any_chunk_size_gives_the_same_logits() {
    for (variant, gpu) in gpu_variants() {
        for name in ["minicpm_tied", "llama_tied_group16"] {
            let tokens = expected(name).token_ids;
            let mut whole = gpu_session(gpu, &folder(name), &options(Some(512)));
            whole.feed(&tokens, &mut |_, _| Ok(())).unwrap();
            let wanted = whole.logits().unwrap();
            for chunk in [1, 2, 7, 16, 64] {
                let mut session = gpu_session(gpu, &folder(name), &options(Some(chunk)));
                session.feed(&tokens, &mut |_, _| Ok(())).unwrap();
                let got = session.logits().unwrap();
                let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-2, "{name}, {variant}, chunk {chunk}: {worst}");
            }
        }
    }
}

#[test]
fn a_second_turn_and_an_edit_give_what_one_prompt_gives() {
    for (variant, gpu) in gpu_variants() {
        let path = folder("minicpm_tied");
        let tokens = expected("minicpm_tied").token_ids;
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
    let tokens = expected("minicpm_tied").token_ids;
    let greedy = |mut session: Session| {
        let mut top = session.feed(&tokens, &mut |_, _| Ok(())).unwrap();
        let mut out = Vec::new();
        for _ in 0..24 {
            let token = top.candidates[0].0;
            out.push(token);
            top = session.advance(token).unwrap();
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
fn no_adapter_of_that_name() {
    let options = GpuOptions { device: Some("no such card".into()), ..Default::default() };
    let error = Gpu::open(&options).err().unwrap().to_string();
    assert!(error.contains("no usable graphics adapter"), "{error}");
}
