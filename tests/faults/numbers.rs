//! Numbers that leave their range: noticed where they spoil an answer, found in the layer where they begin, and no fault at
//! all where only f16 is too small for them.

use std::path::Path;

use foveal::error::Error;
use foveal::model::Attention;
use foveal::session::Session;
use foveal::weights::Checkpoint;
use half::f16;

use super::{BUDGET, folder, gpu_with, options, tokens};

/// A copy of a checkpoint with f16 weights in which `change` has had its way with the values of each tensor.
fn changed(name: &str, change: impl Fn(&str, &mut [f32])) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let read = |tensor: &safetensors::tensor::TensorView<'_>| -> Vec<f32> {
        let pairs = tensor.data().chunks_exact(2).map(|b| [b[0], b[1]]);
        match tensor.dtype() {
            safetensors::Dtype::F16 => pairs.map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            safetensors::Dtype::BF16 => pairs.map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(),
            safetensors::Dtype::F32 => bytemuck::pod_collect_to_vec(tensor.data()),
            other => panic!("{other:?}"),
        }
    };
    let mut all = Vec::new();
    for (name, tensor) in file.tensors() {
        let mut values = read(&tensor);
        change(&name, &mut values);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        all.push((name, tensor.shape().to_vec(), bytes));
    }
    let view = |(name, shape, bytes): &(String, Vec<usize>, Vec<u8>)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name.clone(), view.map(|view| (view.shape().to_vec(), view.data().to_vec())).unwrap())
    };
    let owned: Vec<_> = all.iter().map(view).collect();
    let views = owned.iter().map(|(name, (shape, bytes))| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    copy
}

fn on_gpu(path: &Path) -> Option<Session> {
    let gpu = gpu_with(&foveal::gpu::Faults::default())?;
    Some(Session::on_gpu(&gpu, &Checkpoint::open(path).unwrap(), &options(), BUDGET, &mut |_, _, _| Ok(())).unwrap())
}

#[test]
fn what_is_no_number_is_noticed_and_its_layer_found() {
    // Matrices with such numbers are refused at load; norms are f32 and may hold anything finite.
    let cases = [
        ("model.layers.1.input_layernorm.weight", 3e38, "layer 1, queries, keys or values"),
        ("model.layers.0.input_layernorm.weight", -3e38, "layer 0, queries, keys or values"),
        ("model.layers.0.post_attention_layernorm.weight", 3e38, "layer 0, the input of the feed-forward block"),
    ];
    for (wrong, value, place) in cases {
        let copy = changed("minicpm_sparse", |name, values| {
            if name == wrong {
                values.iter_mut().skip(3).step_by(5).for_each(|each| *each = value);
            }
        });
        let Some(mut session) = on_gpu(copy.path()) else { return };
        for attention in [Attention::Dense, Attention::Sparse] {
            session.truncate(0);
            session.set_attention(attention);
            let feed = |session: &mut Session| session.feed(&tokens(470, 6), &mut |_, _| Ok(()));
            let error = feed(&mut session).unwrap_err();
            assert!(matches!(error, Error::Numbers { .. }), "{wrong}, {attention}: {error}");
            assert!(error.to_string().contains("--check-numbers"), "{error}");
            session.truncate(0);
            session.set_check_numbers(true);
            let error = feed(&mut session).unwrap_err().to_string();
            assert!(error.contains(place), "{wrong}, {attention}: {error}");
            session.set_check_numbers(false);
            session.truncate(0);
            let error = session.score(&tokens(470, 6), &mut |_, _| Ok(())).unwrap_err();
            assert!(matches!(error, Error::Numbers { .. }), "{wrong}, {attention}, scoring: {error}");
        }
    }
}

#[test]
fn sound_weights_pass_the_check_and_give_the_same() {
    let Some(mut session) = on_gpu(&folder("minicpm_sparse")) else { return };
    let context = tokens(470, 7);
    let wanted = session.feed(&context, &mut |_, _| Ok(())).unwrap();
    session.truncate(0);
    session.set_check_numbers(true);
    assert_eq!(session.feed(&context, &mut |_, _| Ok(())).unwrap(), wanted);
}

/// Large models have activations of the feed-forward block beyond 65504. The product of gate and up is made 40 000 times as
/// large here and taken back in the next matrix. The twins have the same weights, and f32 everywhere.
#[test]
fn activations_beyond_f16_are_no_fault() {
    const LARGER: f32 = 40_000.0;
    let copy = changed("minicpm_sparse", |name, values| {
        let factor = if name.ends_with("up_proj.weight") {
            LARGER
        } else if name.ends_with("down_proj.weight") {
            1.0 / LARGER
        } else {
            return;
        };
        values.iter_mut().for_each(|value| *value *= factor);
    });
    let Some(mut session) = on_gpu(copy.path()) else { return };
    let checkpoint = Checkpoint::open(copy.path()).unwrap();
    let mut twins = Session::on_cpu(&checkpoint, &options(), &mut |_, _, _| Ok(())).unwrap();
    let context = tokens(200, 8);
    session.set_check_numbers(true);
    let got = session.score(&context, &mut |_, _| Ok(())).unwrap();
    let wanted = twins.score(&context, &mut |_, _| Ok(())).unwrap();
    let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-2, "{worst}");
}
