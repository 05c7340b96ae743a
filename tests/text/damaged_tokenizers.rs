//! Files of a tokenizer that are too large, or of which bytes were changed at random: an error, or something that can be used.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use foveal::tokenizer::{Piece, Tokenizer};
use serde_json::{Value, json};

use super::data;
use crate::allocations::most_bytes;
use crate::weights::mutate::{Random, mutate};

#[test]
fn a_file_of_more_than_64_mib_is_not_read() {
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(data("tokenizers/byte_level.json"), folder.path().join("tokenizer.json")).unwrap();
        // Takes no room on the disk.
        fs::File::create(folder.path().join(name)).unwrap().set_len((64 << 20) + 1).unwrap();
        let error = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("64 MiB") && error.contains("Download"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokenizer.json")).unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(error.contains("not a file"), "{error}");
}

/// A few lines of JSON that ask for more memory than there is: refused before anything is made of them.
#[test]
fn a_file_that_multiplies_texts_is_refused() {
    let whole: Value = serde_json::from_slice(&fs::read(data("tokenizers/sentencepiece.json")).unwrap()).unwrap();
    let eight = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aaaaaaaa" });
    let refusal = |part: &str, steps: Value| {
        let mut changed = whole.clone();
        changed[part] = steps;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), changed.to_string()).unwrap();
        let (error, bytes) = most_bytes(|| Tokenizer::from_folder(folder.path()).unwrap_err().to_string());
        assert!(bytes < 256 << 20, "{part}: {bytes} bytes");
        error
    };
    let normalizer = refusal("normalizer", json!({ "type": "Sequence", "normalizers": vec![eight.clone(); 12] }));
    assert!(normalizer.contains("times as long") && normalizer.contains("Download"), "{normalizer}");
    let decoder = refusal("decoder", json!({ "type": "Sequence", "decoders": vec![eight.clone(); 12] }));
    assert!(decoder.contains("more than 64 MiB"), "{decoder}");
    let decoder = refusal("decoder", json!({ "type": "Sequence", "decoders": vec![eight; 65] }));
    assert!(decoder.contains("65 steps"), "{decoder}");
    // Room for a table of 4 GiB is asked for by four bytes.
    let table = json!({ "type": "Precompiled", "precompiled_charsmap": "/////2FiYwA=" });
    assert!(refusal("normalizer", table).contains("charsmap"));
}

/// Everything that a program does with a tokenizer. Whether it opened.
fn use_everything(folder: &std::path::Path) -> bool {
    let tokenizer = match Tokenizer::from_folder(folder) {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    for text in ["the cat sat on <|im_end|> the mat", " 123  é\u{1F600}\n\n", "", "\u{0}\u{2581}<0x41>"] {
        if let Ok(ids) = tokenizer.encode(text, true) {
            tokenizer.decode(&ids);
        }
        let _ = tokenizer.encode_with_offsets(text);
        let pieces = [Piece { text: "<s>user\n", trusted: true }, Piece { text, trusted: false }];
        let _ = tokenizer.encode_pieces(&pieces, true);
    }
    let last = tokenizer.vocab_size() as u32;
    tokenizer.decode(&[0, 1, 2, 100, last.saturating_sub(1), last, u32::MAX]);
    true
}

#[test]
fn changed_tokenizers_never_panic_or_run_away() {
    const CASES: u64 = 1500;
    let config = r#"{"bos_token": "<s>", "eos_token": {"content": "<|im_end|>"}, "add_bos_token": true, "added_tokens_decoder":
        {"1": {"content": "<s>", "lstrip": false, "rstrip": false, "normalized": false, "single_word": false, "special": true}},
        "chat_template": "{{ messages[0].content }}"}"#;
    for kind in ["byte_level", "byte_level_without_bos", "sentencepiece", "metaspace"] {
        let whole = fs::read(data(&format!("tokenizers/{kind}.json"))).unwrap();
        // The list of words is most of the file, and the least of it: changes go to the rest as often.
        let words = whole.windows(7).position(|window| window == br#""vocab""#).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let put = |tokenizer: &[u8], config: &[u8]| {
            fs::write(folder.path().join("tokenizer.json"), tokenizer).unwrap();
            fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        };
        put(&whole, config.as_bytes());
        assert!(use_everything(folder.path()), "{kind} is not valid to begin with");
        let mut opened = 0;
        for case in 0..CASES {
            let mut random = Random::new(8, case);
            match random.below(3) {
                0 => put(&whole, &mutate(config.as_bytes(), config.len(), &mut random)),
                1 => put(&mutate(&whole, words, &mut random), config.as_bytes()),
                _ => put(&mutate(&whole, whole.len(), &mut random), config.as_bytes()),
            }
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| use_everything(folder.path())));
            opened += u64::from(outcome.unwrap_or_else(|_| panic!("{kind} panicked: case {case}")));
            assert!(started.elapsed() < Duration::from_secs(20), "{kind}, case {case}: {:?}", started.elapsed());
        }
        eprintln!("{kind}: {opened} of {CASES} opened");
        assert!((30..CASES - 30).contains(&opened), "{kind}: {opened} of {CASES} opened");
    }
}
