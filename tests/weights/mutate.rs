//! Bytes of valid files are changed at random: every outcome but an error or a usable checkpoint is a fault.
//!
//! The changes aim at headers: lengths, counts, offsets, types, names, and the JSON texts of weights, configuration and
//! tokenizer. They are a function of the seed and the number of the case, so every fault can be repeated. The long run is
//! `cargo test --test integration -- --ignored --nocapture ten_million`.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foveal::model::ModelConfig;
use foveal::open::open_tokenizer;
use foveal::weights::Checkpoint;
use serde_json::json;

use crate::allocations::most_bytes;

use super::build::{Folder, GgufFile, bf16_bytes, f16_bytes, f32_bytes, gguf_text, gguf_texts, safetensors, u32_bytes};

/// A xorshift generator: no library, so that the cases never change.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        let mixed = (seed << 40 ^ case).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    31,
    32,
    64,
    255,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    1 << 48,
    1 << 60,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Changes one to four places of the first `header` bytes.
pub(crate) fn mutate(original: &[u8], header: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..1 + random.below(4) {
        let limit = header.min(bytes.len());
        let at = random.below(limit);
        let length = 1 + random.below(12);
        let end = (at + length).min(bytes.len());
        match random.below(11) {
            0 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte = random.next() as u8),
            2 | 3 => {
                let number = random.pick(&NUMBERS).wrapping_add(random.pick(&[0, 0, 1, u64::MAX]));
                let number = if random.below(4) == 0 { bytes.len() as u64 } else { number };
                let width = random.pick(&[4, 8, 8]);
                for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()).take(width) {
                    *byte = new;
                }
            }
            4 => drop(bytes.drain(at..end)),
            5 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(limit);
                bytes.splice(to..to, copy);
            }
            6 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(limit);
                for (byte, new) in bytes[to..].iter_mut().zip(copy) {
                    *byte = new;
                }
            }
            7 => bytes.truncate(at.max(1)),
            8 => bytes.insert(at, random.pick(b"\0\xff{}[]\",:-.0eE1\\u")),
            // A decimal number of a JSON text, or a piece of one, becomes another.
            _ => {
                let digit = |index: &usize| bytes[*index].is_ascii_digit();
                let Some(start) = (at..limit).find(digit) else { continue };
                let end = (start..bytes.len()).find(|index| !digit(index)).unwrap_or(bytes.len());
                let number = match random.below(5) {
                    0 => "-1".to_string(),
                    1 => "1e300".to_string(),
                    _ => random.pick(&NUMBERS).to_string(),
                };
                bytes.splice(start..end, number.into_bytes());
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

/// Bytes that opening and using a file may take beside its own size, whatever it says: what a tokenizer, a chunk of rows and
/// an error take in any case.
const CONSTANT_BYTES: usize = 4 << 20;

/// A valid model, of whose files some are changed.
struct Subject {
    name: &'static str,
    folder: Folder,
    open: PathBuf,
    /// Path, content, and how many of its bytes are the header.
    files: Vec<(PathBuf, Vec<u8>, usize)>,
    /// Bytes of all files.
    bytes: usize,
}

impl Subject {
    fn folder(name: &'static str, config: serde_json::Value, files: &[(&str, Vec<u8>)]) -> Self {
        let folder = Folder::new(&config);
        let mut changed = vec![(folder.path().join("config.json"), config.to_string().into_bytes())];
        for (file, content) in files {
            changed.push((folder.write(file, content), content.clone()));
        }
        let header = |content: &[u8]| match content.first_chunk() {
            Some(length) if content.first() != Some(&b'{') => 8 + u64::from_le_bytes(*length) as usize,
            _ => content.len(),
        };
        let bytes = changed.iter().map(|(_, content)| content.len()).sum();
        let files = changed.into_iter().map(|(path, content)| (path, content.clone(), header(&content))).collect();
        Self { name, open: folder.path().into(), folder, files, bytes }
    }

    fn gguf(name: &'static str, file: &GgufFile) -> Self {
        let folder = Folder::new(&json!({}));
        let open = file.write(folder.path());
        let bytes = file.bytes();
        let data: usize = file.tensors.iter().map(|(.., data)| data.len().next_multiple_of(32)).sum();
        let header = bytes.len() - data;
        Self { name, bytes: bytes.len(), files: vec![(open.clone(), bytes, header)], folder, open }
    }

    /// Changes a file, does everything with the checkpoint that a program would, and puts the file back.
    fn try_case(&self, seed: u64, case: u64) -> (Outcome, usize) {
        let mut random = Random::new(seed, case);
        let (path, content, header) = &self.files[random.below(self.files.len())];
        let changed = mutate(content, *header, &mut random);
        std::fs::write(path, &changed).unwrap();
        // A tokenizer takes longer than all the rest.
        let text_too = path.ends_with("tokenizer.json") || random.below(8) == 0;
        let work = || catch_unwind(AssertUnwindSafe(|| use_everything(&self.open, text_too)));
        let (outcome, most) = most_bytes(work);
        std::fs::write(path, content).unwrap();
        let case = format!("{}: seed {seed}, case {case}, {}", self.name, path.display());
        let opened = outcome.unwrap_or_else(|_| panic!("{case} panicked"));
        assert!(most <= 2 * self.bytes.max(changed.len()) + CONSTANT_BYTES, "{case} took {most} bytes");
        (opened, most)
    }
}

/// How far a changed model got.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    opened: bool,
    configured: bool,
    /// Whether the tokenizer works, where it was tried.
    tokenizer: bool,
}

const ALL_GOOD: Outcome = Outcome { opened: true, configured: true, tokenizer: true };

fn use_everything(path: &std::path::Path, text_too: bool) -> Outcome {
    let checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Outcome::default();
        }
    };
    let _ = (checkpoint.kind().to_string(), checkpoint.parameters(), checkpoint.bytes());
    for name in checkpoint.names() {
        let Ok((rows, cols)) = checkpoint.shape(&name) else { continue };
        let _ = checkpoint.vector(&name, cols);
        if let Ok(packed) = checkpoint.rows(&name, rows.saturating_sub(2)..rows, None) {
            assert_eq!(packed.row_f32(0).len(), cols);
        }
    }
    let config = ModelConfig::new(checkpoint.config());
    if let Ok(config) = &config {
        assert_eq!(config.rope.turns(7, 2).len(), 2 * config.heads.head_dim);
    }
    let tokenizer = text_too.then(|| open_tokenizer(&checkpoint).ok()).flatten();
    if let Some(tokenizer) = &tokenizer {
        let _ = tokenizer.encode("a b1", true).map(|ids| tokenizer.decode(&ids));
    }
    Outcome { opened: true, configured: config.is_ok(), tokenizer: tokenizer.is_some() }
}

/// A config.json that is complete, with more fields.
fn config(more: serde_json::Value) -> serde_json::Value {
    let mut config = json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": 64, "num_attention_heads": 2,
        "num_key_value_heads": 1, "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 12,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "eos_token_id": [2, 4],
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A GGUF file whose heads have a size that models are run with.
fn gguf(arch: &str) -> GgufFile {
    let mut file = GgufFile::minimal(arch);
    file.set(&format!("{arch}.attention.head_count"), 4, 2u32.to_le_bytes());
    file
}

/// Weights with the text files of a model.
fn texts(weights: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false })
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "pre_tokenizer": { "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true },
        "post_processor": { "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " }, { "type": "ByteFallback" },
            { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] },
        "model": { "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": { "<unk>": 0, "<s>": 1, "</s>": 2, "\u{2581}": 3, "a": 4, "b": 5, "<0x31>": 6, "\u{2581}a": 7 },
            "merges": [["\u{2581}", "a"]] },
    });
    let settings = json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" }, "add_bos_token": true,
        "chat_template": "{{ messages[0].content }}",
        "added_tokens_decoder": { "2": { "content": "</s>", "special": true, "lstrip": false, "rstrip": false,
            "normalized": false, "single_word": false } } });
    vec![
        ("tokenizer.json", tokenizer.to_string().into_bytes()),
        ("tokenizer_config.json", settings.to_string().into_bytes()),
        ("generation_config.json", json!({ "eos_token_id": [2, 4] }).to_string().into_bytes()),
        ("model.safetensors", weights),
    ]
}

fn subjects() -> Vec<Subject> {
    // Some changes make a library panic, which is caught. Where RUST_BACKTRACE asks for the stack, the first panic of a process
    // loads the symbols for it, 60 MB that no file is to blame for.
    let _ = catch_unwind(|| panic!("loads the symbols"));
    let norm = ("n.weight", "F32", vec![8], f32_bytes(&[1.0; 8]));
    let plain = safetensors(&[norm.clone(), ("m.weight", "BF16", vec![4, 16], bf16_bytes(&[0.5; 64]))]);
    let second = safetensors(&[("h.weight", "F16", vec![2, 8], f16_bytes(&[0.5; 16]))]);
    let index = json!({ "weight_map": {
        "n.weight": "a-1.safetensors", "m.weight": "a-1.safetensors", "h.weight": "a-2.safetensors",
    } });
    let mlx = safetensors(&[
        ("m.weight", "U32", vec![2, 8], u32_bytes(&[0x7654_3210; 16])),
        ("m.scales", "F16", vec![2, 2], f16_bytes(&[0.5; 4])),
        ("m.biases", "BF16", vec![2, 2], bf16_bytes(&[0.5; 4])),
        norm.clone(),
    ]);
    let gptq = safetensors(&[
        ("m.qweight", "I32", vec![4, 8], u32_bytes(&[0x7654_3210; 32])),
        ("m.qzeros", "I32", vec![1, 1], u32_bytes(&[0x7777_7777])),
        ("m.scales", "F16", vec![1, 8], f16_bytes(&[0.5; 8])),
        ("m.g_idx", "I32", vec![32], u32_bytes(&[0; 32])),
        norm,
    ]);
    let mut spm = gguf("minicpm");
    let array = |kind: u32, bytes: Vec<u8>| [kind.to_le_bytes().as_slice(), &8u64.to_le_bytes(), &bytes].concat();
    let tokens = ["<unk>", "<s>", "</s>", "<0x61>", "\u{2581}", "a", "\u{2581}a", "<|im_end|>"];
    spm.set("tokenizer.ggml.model", 8, gguf_text("llama"));
    spm.set("tokenizer.ggml.tokens", 9, gguf_texts(&tokens));
    spm.set("tokenizer.ggml.scores", 9, array(6, f32_bytes(&[0.0, 0.0, 0.0, 0.0, -2.0, -3.0, -1.0, 0.0])));
    spm.set("tokenizer.ggml.token_type", 9, array(5, u32_bytes(&[2, 3, 3, 6, 1, 1, 1, 4])));
    spm.set("tokenizer.ggml.bos_token_id", 4, 1u32.to_le_bytes());
    spm.set("minicpm.residual_scale", 6, 1f32.to_le_bytes());
    spm.tensors.push(("blk.0.attn_q.weight".into(), vec![32, 32], 2, vec![0x35; 32 * 18]));
    spm.tensors.push(("blk.0.ffn_up.weight".into(), vec![256, 2], 12, vec![0x35; 2 * 144]));
    spm.tensors.push(("rope_factors_long.weight".into(), vec![16], 0, f32_bytes(&[1.0; 16])));
    spm.tensors.push(("rope_factors_short.weight".into(), vec![16], 0, f32_bytes(&[1.0; 16])));
    let mut bpe = gguf("llama");
    bpe.set("tokenizer.ggml.model", 8, gguf_text("gpt2"));
    bpe.set("tokenizer.ggml.pre", 8, gguf_text("qwen2"));
    bpe.set("tokenizer.ggml.tokens", 9, gguf_texts(&["<s>", "a", "b", "ab", "\u{120}", "1", "2", "<e>"]));
    bpe.set("tokenizer.ggml.merges", 9, gguf_texts(&["a b"]));
    bpe.set("tokenizer.ggml.token_type", 9, array(5, u32_bytes(&[3, 1, 1, 1, 1, 1, 1, 3])));
    bpe.set("general.alignment", 4, 32u32.to_le_bytes());
    for (index, (kind, bytes)) in [(3, 20), (6, 22), (7, 24), (8, 34), (30, 64)].into_iter().enumerate() {
        bpe.tensors.push((format!("blk.{index}.attn_k.weight"), vec![32, 32], kind, vec![0x2c; 32 * bytes]));
    }
    for (index, (kind, bytes)) in [(13, 176), (14, 210)].into_iter().enumerate() {
        bpe.tensors.push((format!("blk.{index}.ffn_down.weight"), vec![256, 1], kind, vec![0x2c; bytes]));
    }
    vec![
        Subject::folder("safetensors", config(json!({})), &[("model.safetensors", plain.clone())]),
        Subject::folder("texts", config(json!({})), &texts(plain.clone())),
        Subject::folder(
            "shards",
            config(json!({ "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            } })),
            &[
                ("a-1.safetensors", plain),
                ("a-2.safetensors", second),
                ("model.safetensors.index.json", index.to_string().into_bytes()),
            ],
        ),
        Subject::folder(
            "MLX",
            config(json!({ "quantization": { "bits": 4, "group_size": 32, "n": false }, "rope_parameters": {
                "rope_type": "linear", "rope_theta": 1e6, "factor": 2.0,
            } })),
            &[("model.safetensors", mlx)],
        ),
        Subject::folder(
            "GPTQ",
            config(json!({
                "model_type": "minicpm", "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256,
                "quantization_config": { "quant_method": "gptq", "bits": 4, "group_size": 32 },
                "sparse_config": { "kernel_size": 32, "kernel_stride": 16, "block_size": 64, "window_size": 256,
                    "topk": 12, "init_blocks": 1, "dense_len": 2048, "use_nope": false },
            })),
            &[("model.safetensors", gptq)],
        ),
        Subject::gguf("GGUF, SentencePiece", &spm),
        Subject::gguf("GGUF, byte level", &bpe),
    ]
}

/// What happened to the cases of a subject.
#[derive(Debug)]
struct Tally {
    name: &'static str,
    has_text: bool,
    cases: u64,
    opened: u64,
    configured: u64,
    tokenizers: u64,
    most_bytes: usize,
}

/// Runs the cases over all subjects.
fn run(seed: u64, cases: Range<u64>) -> Vec<Tally> {
    let subjects = subjects();
    let tally = |subject: &Subject| {
        let outcome = use_everything(&subject.open, true);
        let has_text = outcome.tokenizer;
        assert_eq!(outcome, Outcome { tokenizer: has_text, ..ALL_GOOD }, "{} is not valid", subject.name);
        assert!(subject.folder.path().exists());
        Tally { name: subject.name, has_text, cases: 0, opened: 0, configured: 0, tokenizers: 0, most_bytes: 0 }
    };
    let mut tallies: Vec<_> = subjects.iter().map(tally).collect();
    assert_eq!(tallies.iter().filter(|tally| tally.has_text).count(), 3);
    for case in cases {
        let index = (case % subjects.len() as u64) as usize;
        let (outcome, most_bytes) = subjects[index].try_case(seed, case);
        let tally = &mut tallies[index];
        tally.cases += 1;
        tally.opened += u64::from(outcome.opened);
        tally.configured += u64::from(outcome.configured);
        tally.tokenizers += u64::from(outcome.tokenizer);
        tally.most_bytes = tally.most_bytes.max(most_bytes);
    }
    tallies
}

#[test]
fn changed_files_never_panic_nor_take_much_memory() {
    for tally in run(1, 0..14_000) {
        // Both outcomes must occur, or the changes would test nothing.
        let hundredth = tally.cases / 100;
        let between = |count: u64| (hundredth..tally.cases - hundredth).contains(&count);
        assert!(between(tally.opened) && between(tally.configured), "{}: {tally:?}", tally.name);
        // Where the metadata is the tokenizer, it is tried once in eight times.
        assert!(tally.tokenizers > hundredth / 2 || !tally.has_text, "{}: {tally:?}", tally.name);
        eprintln!("{tally:?}");
    }
}

#[test]
fn what_made_the_tokenizers_library_panic_is_an_error() {
    let subjects = subjects();
    let texts = subjects.iter().find(|subject| subject.name == "texts").unwrap();
    // JSON that breaks off inside the decoder, a template of a token that is not listed, and an id beyond all numbers.
    // And one whose table of ids would take more than all the rest.
    for (seed, case) in [(1, 596), (1, 1422), (2, 129_753), (2, 22_772)] {
        let (outcome, _) = texts.try_case(seed, case);
        assert!(!outcome.tokenizer, "seed {seed}, case {case}");
    }
}

#[test]
#[ignore = "takes an hour; run once per release"]
fn ten_million_changed_files_never_panic() {
    const PORTION: u64 = 250_000;
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let lines = status.lines().filter(|line| line.starts_with("VmPeak") || line.starts_with("VmHWM"));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, cases) = (number("FOVEAL_SEED", 2), number("FOVEAL_CASES", 10_000_000));
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    println!("before: {:?}", memory());
    let next = &AtomicU64::new(0);
    std::thread::scope(|scope| {
        let portions = move || loop {
            let first = next.fetch_add(PORTION, Relaxed);
            if first >= cases {
                break;
            }
            // The library keeps the words of every tokenizer that a thread has had, for as long as the thread lives.
            let portion = scope.spawn(move || run(seed, first..cases.min(first + PORTION)));
            portion.join().unwrap().iter().for_each(|tally| println!("{tally:?}"));
        };
        (0..threads).for_each(|_| drop(scope.spawn(portions)));
    });
    println!("after: {:?}", memory());
}
