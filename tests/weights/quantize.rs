//! `quantize_folder`: what is written reads back as the same words, from every kind of input.

use std::path::{Path, PathBuf};

use foveal::error::Error;
use foveal::weights::quantize::{Recipe, quantize_folder};
use foveal::weights::{Checkpoint, Format, Kind};
use serde_json::{Value, json};

use super::build::{Folder, bf16_bytes, data, f16_bytes, f32_bytes, safetensors};
use super::packed::noise;

const LAYER: &str = "model.layers.0.mlp.up_proj.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

fn floats() -> Folder {
    let folder = Folder::new(&json!({ "model_type": "llama", "hidden_size": 128 }));
    folder.write("tokenizer.json", "{\"a\":1}");
    folder.write("chat_template.jinja", "{{ x }}");
    folder.write("README.md", "not carried over");
    folder.write(
        "model.safetensors",
        safetensors(&[
            (EMBEDDING, "BF16", vec![10, 128], bf16_bytes(&noise(1280, 1))),
            (LAYER, "F32", vec![6, 128], f32_bytes(&noise(768, 2))),
            ("model.layers.0.mlp.down_proj.weight", "F16", vec![3, 96], f16_bytes(&noise(288, 3))),
            ("odd.weight", "F16", vec![3, 24], f16_bytes(&noise(72, 4))),
            ("model.norm.weight", "BF16", vec![127], bf16_bytes(&noise(127, 5))),
            ("model.layers.0.bias", "F32", vec![3], f32_bytes(&[1e9, -0.1, 3.0])),
        ]),
    );
    folder
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Quantises into a new folder and compares every tensor with what loading the input itself gives.
fn check_same(input: &Path, recipe: Recipe) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("out");
    let mut seen = Vec::new();
    quantize_folder(input, &output, &recipe, |progress| {
        assert!(progress.done < progress.total);
        seen.push(progress.tensor.to_string());
        Ok(())
    })
    .unwrap();
    let (before, after) = (Checkpoint::open(input).unwrap(), Checkpoint::open(&output).unwrap());
    let mut names = before.names();
    assert_eq!(after.names(), names);
    assert_eq!(after.parameters(), before.parameters());
    seen.sort();
    names.sort();
    assert_eq!(seen, names);
    for name in names {
        let (rows, cols) = before.shape(&name).unwrap();
        if rows == 1 {
            assert_eq!(after.vector(&name, cols).unwrap(), before.vector(&name, cols).unwrap(), "{name}");
        } else {
            let target = Some(recipe.format(&name, cols));
            assert!(
                after.rows(&name, 0..rows, target).unwrap() == before.rows(&name, 0..rows, target).unwrap(),
                "{name}"
            );
        }
    }
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    (place, output)
}

#[test]
fn a_folder_of_numbers_reads_back_as_quantised_at_load() {
    let folder = floats();
    for bits in [4, 8] {
        for group in [32, 64, 128] {
            let (_place, output) = check_same(folder.path(), Recipe { bits, group, head_bits: 8 });
            let checkpoint = Checkpoint::open(&output).unwrap();
            let affine = |bits, group| Some(Format::Affine { bits, group });
            assert_eq!(checkpoint.kind(), Kind::Mlx { bits, group });
            assert_eq!(checkpoint.stored_format(EMBEDDING), affine(8, group));
            assert_eq!(checkpoint.stored_format(LAYER), affine(bits, group));
            // 96 inputs are no multiple of 64 or 128.
            assert_eq!(checkpoint.stored_format("model.layers.0.mlp.down_proj.weight"), affine(bits, 32));
            assert_eq!(checkpoint.stored_format("odd.weight"), None);
            assert_eq!(std::fs::read(output.join("tokenizer.json")).unwrap(), b"{\"a\":1}");
            assert!(output.join("chat_template.jinja").exists() && !output.join("README.md").exists());
            let config = json_file(&output.join("config.json"));
            assert_eq!((&config["hidden_size"], &config["quantization"]["bits"]), (&json!(128), &json!(bits)));
            // The file as the safetensors crate itself sees it.
            let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
            let tensors = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(tensors.tensor("model.norm.weight").unwrap().dtype(), ::safetensors::Dtype::BF16);
            assert_eq!(tensors.tensor("odd.weight").unwrap().shape(), [3, 24]);
        }
    }
}

#[test]
fn integers_of_the_input_stay() {
    let (_place, output) = check_same(&data("minicpm-00001-of-00003.gguf"), Recipe::default());
    let checkpoint = Checkpoint::open(&output).unwrap();
    let q_proj = checkpoint.stored_format("model.layers.0.self_attn.q_proj.weight");
    assert_eq!(q_proj, Some(Format::Affine { bits: 8, group: 32 }), "Q8_0 in a folder of 4 bits");
    let gguf = Checkpoint::open(&data("minicpm.gguf")).unwrap();
    for field in ["model_type", "rope_scaling", "scale_depth", "eos_token_id", "vocab_size"] {
        assert_eq!(checkpoint.config()[field], gguf.config()[field], "{field}");
    }
    let tokenizer = tokenizers::Tokenizer::from_file(output.join("tokenizer.json")).unwrap();
    let text = "The eye sees <|im_end|> café";
    let expected = gguf.gguf_text().unwrap().unwrap().tokenizer.encode(text, true).unwrap();
    assert_eq!(tokenizer.encode(text, true).unwrap().get_ids(), expected.get_ids());
    let settings = json_file(&output.join("tokenizer_config.json"));
    assert_eq!((&settings["bos_token"], &settings["add_bos_token"]), (&json!("<s>"), &json!(true)));
    assert_eq!(settings["chat_template"], "{% for m in messages %}{{ m.content }}{% endfor %}");
    assert_eq!(json_file(&output.join("generation_config.json"))["eos_token_id"], gguf.config()["eos_token_id"]);

    // Once more from the MLX folder: nothing changes, whatever is asked for.
    check_same(&output, Recipe { bits: 8, group: 64, head_bits: 8 });
}

#[test]
fn an_unfinished_run_leaves_nothing() {
    let folder = floats();
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("out");
    let mut calls = 0;
    let stopped = quantize_folder(folder.path(), &output, &Recipe::default(), |_| {
        calls += 1;
        // What a killed process would leave behind at this moment does not open.
        assert!(Checkpoint::open(&place.path().join(".out.partial")).is_err());
        if calls == 4 { Err(Error::Stopped) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Error::Stopped)));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);

    // Remains of a killed run are no hindrance.
    std::fs::create_dir(place.path().join(".out.partial")).unwrap();
    std::fs::write(place.path().join(".out.partial/model.safetensors"), "x").unwrap();
    quantize_folder(folder.path(), &output, &Recipe::default(), |_| Ok(())).unwrap();
    assert!(Checkpoint::open(&output).is_ok() && !place.path().join(".out.partial").exists());

    let again = quantize_folder(folder.path(), &output, &Recipe::default(), |_| Ok(())).unwrap_err().to_string();
    assert!(again.contains("exists already"), "{again}");
}

#[test]
fn impossible_wishes_are_refused_before_anything_is_written() {
    let folder = floats();
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("out");
    for recipe in [
        Recipe { bits: 3, ..Recipe::default() },
        Recipe { head_bits: 16, ..Recipe::default() },
        Recipe { group: 16, ..Recipe::default() },
    ] {
        let refused = quantize_folder(folder.path(), &output, &recipe, |_| Ok(()));
        assert!(matches!(refused, Err(Error::Usage { .. })), "{recipe:?}");
    }
    assert!(quantize_folder(Path::new("does/not/exist"), &output, &Recipe::default(), |_| Ok(())).is_err());
    let nowhere = place.path().join("no/such/folder");
    assert!(
        quantize_folder(folder.path(), &nowhere, &Recipe::default(), |_| Ok(()))
            .unwrap_err()
            .to_string()
            .contains("cannot be written")
    );
    folder.write("model.safetensors", safetensors(&[(LAYER, "F32", vec![2, 128], f32_bytes(&[f32::NAN; 256]))]));
    assert!(
        quantize_folder(folder.path(), &output, &Recipe::default(), |_| Ok(()))
            .unwrap_err()
            .to_string()
            .contains(LAYER)
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
