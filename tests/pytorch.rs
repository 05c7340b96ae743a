//! Whole models against log-probabilities from an independent PyTorch program (tests/data/oracle.py): the device and the twins, in
//! f16 and in every quantised format, dense and sparse, and with activations rounded to integers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foveal::gpu::Gpu;
use foveal::model::Attention;
use foveal::ops::Matmul;
use foveal::session::Session;

use crate::forward::{cpu_session, folder, gpu_session, options};
use crate::harness::{gpu_in_integers, gpu_variants};

/// One row of expected.json.
#[derive(serde::Deserialize)]
struct Expected {
    token_ids: Vec<u32>,
    runs: Vec<Run>,
}

#[derive(serde::Deserialize)]
struct Run {
    attention: String,
    /// "int8": what meets weights with an integer form is rounded to 8 bits; else 16-bit floats.
    activations: Option<String>,
    variant: String,
    lse: String,
    tokens: usize,
    logprobs: Vec<Option<f32>>,
    /// Positions at which other blocks are nearly as good, so that rounding may choose them.
    near_ties: Vec<usize>,
}

/// What opens as a model in that folder: the folder, or the GGUF file in it.
fn model(name: &str) -> PathBuf {
    let file = folder(name).join("model.gguf");
    if file.exists() { file } else { folder(name) }
}

fn all_folders() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 18, "{names:?}");
    names
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

/// The tokens that a folder's expectations are of.
pub(crate) fn token_ids(name: &str) -> Vec<u32> {
    expected(name).token_ids
}

/// (largest, mean) difference.
fn difference(got: &[f32], run: &Run) -> (f32, f32) {
    difference_until(got, run, run.tokens - 1)
}

fn difference_until(got: &[f32], run: &Run, end: usize) -> (f32, f32) {
    let wanted: Vec<f32> = run.logprobs.iter().skip(1).map(|value| value.unwrap()).collect();
    assert_eq!(got.len(), wanted.len());
    let gaps: Vec<f32> = got.iter().zip(&wanted).take(end).map(|(a, b)| (a - b).abs()).collect();
    assert!(gaps.iter().all(|gap| gap.is_finite()));
    (gaps.iter().copied().fold(0.0, f32::max), gaps.iter().sum::<f32>() / gaps.len() as f32)
}

#[test]
fn twins_agree_with_pytorch() {
    for name in all_folders() {
        let expected = expected(&name);
        let run = expected.runs.iter().find(|run| run.attention == "dense").unwrap();
        let mut session = cpu_session(&model(&name), &options(Some(33)));
        session.set_attention(Attention::Dense);
        let got = session.score(&expected.token_ids, &mut |_, _| Ok(())).unwrap();
        let (worst, mean) = difference(&got, run);
        assert!(worst < 1e-4, "{name}: largest difference {worst}, mean {mean}");
    }
}

impl Expected {
    fn exact(&self) -> &Run {
        self.runs.iter().find(|run| run.attention == "dense" && run.activations.is_none()).unwrap()
    }

    /// With the activations that integers are multiplied with, where the weights have an integer form.
    fn in_integers(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.activations.as_deref() == Some("int8"))
    }
}

fn dense_scores(gpu: &Arc<Gpu>, name: &str) -> Vec<f32> {
    let mut session = gpu_session(gpu, &model(name), &options(None));
    session.set_attention(Attention::Dense);
    session.score(&expected(name).token_ids, &mut |_, _| Ok(())).unwrap()
}

#[test]
fn device_agrees_with_pytorch() {
    for (variant, gpu) in gpu_variants() {
        for name in all_folders() {
            let expected = expected(&name);
            if Matmul::rounds(gpu) && expected.in_integers().is_some() {
                continue;
            }
            let (worst, mean) = difference(&dense_scores(gpu, &name), expected.exact());
            assert!(worst < 2e-2 && mean < 3e-3, "{name}, {variant}: largest difference {worst}, mean {mean}");
        }
        if Matmul::rounds(gpu) {
            check_integers(variant, gpu);
        }
    }
}

#[test]
fn device_in_integers_agrees_with_pytorch() {
    if let Some(gpu) = gpu_in_integers() {
        check_integers("integers", &gpu);
    }
}

/// Where a value lies between two integers, the last bit of a sum decides, and all that follows moves by a step: noise of 1e-6
/// before the rounding moves PyTorch's own results by up to 5e-2, on average 1e-2. So the folders are judged together: from
/// PyTorch with rounded activations the device must be a third as far at most as that is from PyTorch with exact ones.
fn check_integers(variant: &str, gpu: &Arc<Gpu>) {
    let (mut from_rounded, mut from_exact, mut folders) = (0.0, 0.0, 0);
    for name in all_folders() {
        let expected = expected(&name);
        let Some(rounded) = expected.in_integers() else { continue };
        let wanted: Vec<f32> = rounded.logprobs.iter().skip(1).map(|value| value.unwrap()).collect();
        let (worst, mean) = difference(&dense_scores(gpu, &name), rounded);
        let (_, cost) = difference(&wanted, expected.exact());
        eprintln!("{name}, {variant}: largest difference {worst}, mean {mean}; rounding costs {cost}");
        assert!(worst < 0.2, "{name}, {variant}: largest difference {worst}, mean {mean}");
        (from_rounded, from_exact, folders) = (from_rounded + mean, from_exact + cost, folders + 1);
    }
    assert!(folders >= 9 && from_rounded < from_exact / 3.0, "{variant}: {from_rounded} of {from_exact}");
}

/// A copy of the folder whose config.json names the variant and the kind of denominators of `run`.
fn with_variant(name: &str, run: &Run) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["sparse_config"]["variant"] = run.variant.clone().into();
    config["sparse_config"]["lse"] = run.lse.clone().into();
    std::fs::write(&path, config.to_string()).unwrap();
    copy
}

/// Sparse and automatic runs of the folders that have a sparse_config, on one engine.
fn check_sparse_runs(what: &str, worst_allowed: f32, mean_allowed: f32, session: impl Fn(&Path) -> Session) {
    let mut runs = 0;
    for name in ["minicpm_sparse", "minicpm_sparse_group16"] {
        let expected = expected(name);
        for run in expected.runs.iter().filter(|run| run.attention != "dense") {
            let folder = with_variant(name, run);
            let mut session = session(folder.path());
            session.set_attention(run.attention.parse().unwrap());
            let got = session.score(&expected.token_ids[..run.tokens], &mut |_, _| Ok(())).unwrap();
            // A position whose selection hangs on rounding may differ, and so may what reads its keys afterwards.
            let end = run.near_ties.first().copied().unwrap_or(run.tokens) - 1;
            let (worst, mean) = difference_until(&got, run, end);
            let label = format!("{name} {} {} {}, {what}", run.attention, run.variant, run.lse);
            assert!(end > 350, "{label}: only {end} positions to compare");
            assert!(worst < worst_allowed && mean < mean_allowed, "{label}: largest {worst}, mean {mean}");
            runs += 1;
        }
    }
    assert_eq!(runs, 12);
}

#[test]
fn sparse_twins_agree_with_pytorch() {
    check_sparse_runs("twins", 1e-4, 1e-4, |folder| cpu_session(folder, &options(Some(100))));
}

#[test]
fn sparse_device_agrees_with_pytorch() {
    for (variant, gpu) in gpu_variants() {
        check_sparse_runs(variant, 2e-2, 3e-3, |folder| gpu_session(gpu, folder, &options(Some(128))));
    }
}
