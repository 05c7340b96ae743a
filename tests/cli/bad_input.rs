//! Every kind of bad input ends with exit code 1 and a message that names the thing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{copy_of, foveal};

/// Breaks a copy of a small checkpoint and returns what the program says about it.
fn broken(name: &str, damage: impl FnOnce(&Path)) -> String {
    let folder = copy_of(name);
    damage(folder.path());
    let model = folder.path().to_str().unwrap();
    foveal(&["generate", "--model", model, "--prompt", "abc", "--max-tokens", "1", "--device", "cpu"]).failure()
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    edit_json(&folder.join("config.json"), edit);
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Rewrites the JSON header of a safetensors file; the data stays.
fn edit_header(path: &Path, edit: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    edit(&mut header);
    let header = header.to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(&bytes[8 + length..]);
    fs::write(path, out).unwrap();
}

#[track_caller]
fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}

const DOWN: &str = "model.layers.1.mlp.down_proj.weight";

#[test]
fn files_of_a_model() {
    let weights = |folder: &Path| folder.join("model.safetensors");
    let error = broken("minicpm_tied", |folder| fs::remove_file(weights(folder)).unwrap());
    names(&error, &["safetensors"]);
    let error = broken("minicpm_tied", |folder| {
        let bytes = fs::read(weights(folder)).unwrap();
        fs::write(weights(folder), &bytes[..bytes.len() / 2]).unwrap();
    });
    names(&error, &["model.safetensors"]);
    let error = broken("minicpm_tied", |folder| fs::write(weights(folder), b"").unwrap());
    names(&error, &["model.safetensors"]);
    let error = broken("minicpm_tied", |folder| {
        edit_header(&weights(folder), |header| {
            let first = header["model.norm.weight"]["data_offsets"].clone();
            header["model.layers.0.input_layernorm.weight"]["data_offsets"] = first;
        });
    });
    names(&error, &["model.safetensors"]);
    let error = broken("llama_llama3_sharded", |folder| {
        fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    });
    names(&error, &["model-00002-of-00002.safetensors"]);
    let error = broken("minicpm_tied", |folder| fs::remove_file(folder.join("config.json")).unwrap());
    names(&error, &["config.json"]);
    let error = broken("minicpm_tied", |folder| fs::write(folder.join("config.json"), "{\"a\": ").unwrap());
    names(&error, &["config.json", "JSON"]);
    let error = broken("minicpm_tied", |folder| fs::remove_file(folder.join("tokenizer.json")).unwrap());
    names(&error, &["tokenizer.json"]);
    let error = broken("minicpm_tied", |folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap());
    names(&error, &["tokenizer"]);
    let error = broken("minicpm_tied", |folder| {
        edit_json(&folder.join("tokenizer_config.json"), |config| config["chat_template"] = json!("{% if %}"));
    });
    names(&error, &["chat template"]);
}

#[test]
fn tensors() {
    let weights = |folder: &Path| folder.join("model.safetensors");
    let error = broken("minicpm_tied", |folder| {
        edit_header(&weights(folder), |header| {
            let tensor = header.as_object_mut().unwrap().remove(DOWN).unwrap();
            header["model.layers.1.mlp.lost.weight"] = tensor;
        });
    });
    names(&error, &[DOWN]);
    let error = broken("minicpm_tied", |folder| {
        edit_header(&weights(folder), |header| {
            let shape = header[DOWN]["shape"].as_array_mut().unwrap();
            shape.reverse();
        });
    });
    names(&error, &[DOWN, "(64, 128)", "(128, 64)"]);
    let error = broken("minicpm_tied", |folder| {
        edit_header(&weights(folder), |header| header[DOWN]["dtype"] = json!("I16"));
    });
    names(&error, &[DOWN, "I16"]);
}

#[test]
fn configuration() {
    let config = |edit: fn(&mut Value)| broken("minicpm_tied", |folder| edit_config(folder, edit));
    names(&config(|config| config["model_type"] = json!("gpt_neox")), &["model_type", "minicpm or llama", "gpt_neox"]);
    let error = config(|config| config["rope_scaling"] = json!({"rope_type": "yarn", "factor": 4}));
    names(&error, &["rope_type", "longrope", "yarn"]);
    names(&config(|config| config["num_key_value_heads"] = json!(3)), &["num_key_value_heads", "3"]);
    names(&config(|config| config["hidden_size"] = json!(-1)), &["hidden_size", "-1"]);
    names(&config(|config| config["num_hidden_layers"] = json!(1u64 << 60)), &["num_hidden_layers"]);
    names(&config(|config| config["num_hidden_layers"] = json!(3)), &["model.layers.2."]);
    names(&config(|config| config["hidden_act"] = json!("gelu")), &["hidden_act", "silu", "gelu"]);
    // Fewer rows in the table than tokens in the vocabulary.
    names(&config(|config| config["vocab_size"] = json!(100)), &["tokenizer", "100"]);
}

#[test]
fn prompts() {
    let cpu = |arguments: &[&str]| foveal(&[arguments, &["--device", "cpu"]].concat()).failure();
    names(&cpu(&["generate", "--prompt", "  "]), &["prompt", "some text"]);
    names(&cpu(&["generate"]), &["prompt", "some text"]);
    let long = "one two three ".repeat(100);
    let error = cpu(&["generate", "--prompt", &long, "--context", "64"]);
    names(&error, &["tokens", "more than the context of 64", "--context"]);
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<usize>().ok());
    let needed = number(&error).unwrap();
    let over = number(error.split_once("tokens,").unwrap().1).unwrap();
    assert_eq!(over, needed - 64, "{error}");
    // More than any memory holds.
    for context in ["100000000000", "18446744073709551615"] {
        let error = cpu(&["generate", "--prompt", "x", "--context", context]);
        names(&error, &["weights 18 MiB", "cache of", "scratch", "MiB", "--context"]);
    }
    names(&cpu(&["generate", "--prompt", "x", "--temperature=-1"]), &["temperature"]);
    names(&cpu(&["generate", "--prompt", "x", "--top-p", "3"]), &["top_p"]);
    names(&cpu(&["chat", "--sample", "nonsense"]), &["sample", "logbook", "nonsense"]);
}

#[test]
fn text_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ask = |path: &str| foveal(&["generate", "--prompt", "x", "--document", path, "--device", "cpu"]).failure();
    let score = |path: &str| foveal(&["score", "--text", path, "--device", "cpu"]).failure();
    let latin1 = file("latin1.txt", b"caf\xe9 au lait");
    names(&ask(&latin1), &["latin1.txt", "UTF-8", "byte 3"]);
    names(&score(&latin1), &["latin1.txt", "UTF-8", "byte 3"]);
    names(&ask(&file("empty.txt", b"\xef\xbb\xbf \n")), &["empty.txt", "empty"]);
    names(&ask("/no/such/file.txt"), &["/no/such/file.txt"]);
    names(&ask(folder.path().to_str().unwrap()), &["directory", "not a folder"]);
    names(&score(folder.path().to_str().unwrap()), &["directory", "not a folder"]);
    let ids = |text: &[u8]| {
        let path = file("ids.json", text);
        foveal(&["score", "--token-ids", &path, "--device", "cpu"]).failure()
    };
    names(&ids(b"[1, 2, 4096]"), &["ids.json", "below 4096", "4096"]);
    names(&ids(b"[1, \"a\"]"), &["ids.json", "list"]);
    names(&ids(b"[1]"), &["at least 2 tokens"]);
}

#[test]
fn what_cannot_be_written_is_said_so() {
    let input = crate::cli::checkpoint("minicpm_tied");
    let error = foveal(&["quantize", input.to_str().unwrap(), "/no/such/folder/out"]).failure();
    names(&error, &["/no/such/folder", "cannot be written"]);
    assert!(!error.contains("read"), "{error}");
    let error = foveal(&["quantize", "/no/such/model", "out"]).failure();
    names(&error, &["/no/such/model", "cannot be read"]);
}

#[test]
fn models_and_devices() {
    let model = |path: &str| foveal(&["generate", "--prompt", "x", "--model", path, "--device", "cpu"]).failure();
    names(&model("/no/such/model"), &["/no/such/model"]);
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(text.path(), "no model").unwrap();
    names(&model(text.path().to_str().unwrap()), &["not a model"]);
    let gguf = tempfile::NamedTempFile::new().unwrap();
    fs::write(gguf.path(), b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
    names(&model(gguf.path().to_str().unwrap()), &[gguf.path().file_name().unwrap().to_str().unwrap()]);
    let empty = tempfile::tempdir().unwrap();
    names(&model(empty.path().to_str().unwrap()), &["config.json"]);
    for device in ["no such card", "99"] {
        let error = foveal(&["generate", "--prompt", "x", "--device", device]).failure();
        names(&error, &["no usable graphics adapter"]);
    }
    names(&foveal(&["selfcheck", "--device", "cpu"]).failure(), &["--device", "cpu"]);
}

#[test]
fn a_terminal_is_not_at_the_mercy_of_names() {
    let error = foveal(&["generate", "--prompt", "x", "--document", "\x1b[2Jx"]).failure();
    assert!(!error.contains('\x1b') && error.contains("\\u{1b}[2Jx"), "{error}");
}
