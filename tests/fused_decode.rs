//! One token in few dispatches (src/model/decode.rs) against the separate ops, for every format of weights and cache, in both
//! modes; and how many dispatches it takes.

use std::path::PathBuf;
use std::sync::Arc;

use foveal::gpu::{FaultPoint, Faults, Gpu, GpuOptions};
use foveal::model::{Attention, LoadOptions};
use foveal::ops::CacheFormat;
use foveal::session::Session;
use foveal::weights::quantize::Recipe;

use crate::forward::{folder, gpu_session};
use crate::pytorch::token_ids;

/// A device whose steps multiply 8-bit activations, which software adapters leave out because they gain nothing, or one
/// whose steps do not.
fn open(rounds: bool, faults: &Faults) -> Option<Arc<Gpu>> {
    let device = std::env::var("FOVEAL_TEST_DEVICE").ok();
    let mut gpu = Gpu::open(&GpuOptions { device, faults: faults.clone(), ..Default::default() }).ok()?;
    gpu.features.int8 = rounds;
    Some(Arc::new(gpu))
}

fn path(name: &str) -> PathBuf {
    let file = folder(name).join("model.gguf");
    if file.exists() { file } else { folder(name) }
}

fn options(kv: CacheFormat) -> LoadOptions {
    let quantize = Some(Recipe { bits: 4, group: 32, head_bits: 8 });
    LoadOptions { context: Some(1024), chunk: Some(64), kv, quantize, ..Default::default() }
}

/// Logits after `tokens`, the last eight of them each in a step of its own.
fn logits(session: &mut Session, tokens: &[u32]) -> Vec<f32> {
    let (before, single) = tokens.split_at(tokens.len() - 8);
    session.feed(before, &mut |_, _| Ok(())).unwrap();
    for token in single {
        session.advance(*token).unwrap();
    }
    session.logits().unwrap()
}

#[test]
fn a_fused_token_gives_what_separate_ops_give() {
    let none = Faults::default();
    let (Some(gpu), Some(exact_gpu)) = (open(true, &none), open(false, &none)) else { return };
    // 4 and 8 bits, both in one model, tied and untied heads, groups of 4 to 16 heads.
    let names = [
        "minicpm_sparse",
        "minicpm_sparse_group16",
        "mlx_q4_llama_group4",
        "mlx_q8_llama_group8_head64",
        "gptq_minicpm",
        "llama_head96",
    ];
    for name in names {
        let mut tokens = token_ids(name);
        tokens.truncate(700);
        for kv in CacheFormat::ALL {
            for attention in [Attention::Dense, Attention::Sparse] {
                let mut fused = gpu_session(&gpu, &path(name), &options(kv));
                fused.set_attention(attention);
                let mut separate = gpu_session(&gpu, &path(name), &options(kv));
                separate.set_attention(attention);
                // The search for bad numbers looks at what each op leaves, so it cannot be fused.
                separate.set_check_numbers(true);
                let mut exact = gpu_session(&exact_gpu, &path(name), &options(kv));
                exact.set_attention(attention);
                let [fused, separate, exact] =
                    [fused, separate, exact].map(|mut session| logits(&mut session, &tokens));
                let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
                let gap = |a: &[f32], b: &[f32]| {
                    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(&exact)
                };
                let (apart, of_fused, of_separate) =
                    (gap(&fused, &separate), gap(&fused, &exact), gap(&separate, &exact));
                let what = format!("{name}, {kv}, {attention}");
                eprintln!("{what}: {of_fused:.5} and {of_separate:.5} from f32, {apart:.5} apart");
                assert!(apart > 0.0, "{what}: the two are the same ops");
                // Separate ops round activations to 16 bits before they round them to 8: no better, no worse.
                assert!(of_fused < 1.3 * of_separate, "{what}: {of_fused} from f32, separate ops {of_separate}");
            }
        }
    }
}

#[test]
fn a_layer_takes_six_dispatches_dense_and_nine_sparse() {
    let faults = Faults::default();
    let Some(gpu) = open(true, &faults) else { return };
    let tokens = token_ids("minicpm_sparse");
    // Beside the layers: embedding, first norm and its rounding, head, candidates in two stages.
    let beside = 6;
    for (attention, per_layer) in [(Attention::Dense, 6), (Attention::Sparse, 9)] {
        let mut session = gpu_session(&gpu, &folder("minicpm_sparse"), &options(CacheFormat::F16));
        session.set_attention(attention);
        session.feed(&tokens[..600], &mut |_, _| Ok(())).unwrap();
        let layers = session.config().layers as u64;
        let stride = session.config().sparse.settings.kernel_stride;
        for token in &tokens[600..616] {
            let before = faults.count(FaultPoint::Dispatch);
            let position = session.tokens().len();
            session.advance(*token).unwrap();
            // What is recorded now is the step after this one.
            let compress = u64::from((position + 2).is_multiple_of(stride)) * layers;
            let taken = faults.count(FaultPoint::Dispatch) - before;
            if position > 600 {
                assert!(taken <= layers * per_layer + compress + beside, "{attention}, {position}: {taken}");
            }
        }
    }
}
