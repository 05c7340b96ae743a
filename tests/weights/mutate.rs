//! Bytes of valid files are changed at random: every outcome but an error or a usable checkpoint is a fault.
//!
//! The changes aim at headers: lengths, counts, offsets, types, names, and the JSON texts. They are a function of the seed and
//! the number of the case, so every fault can be repeated. The long run is
//! `cargo test --test integration -- --ignored --nocapture ten_million`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use foveal::weights::Checkpoint;
use serde_json::json;

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

/// A valid model, of whose files some are changed.
struct Subject {
    name: &'static str,
    folder: Folder,
    open: PathBuf,
    /// Path, content, and how many of its bytes are the header.
    files: Vec<(PathBuf, Vec<u8>, usize)>,
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
        let files = changed.into_iter().map(|(path, content)| (path, content.clone(), header(&content))).collect();
        Self { name, open: folder.path().into(), folder, files }
    }

    fn gguf(name: &'static str, file: &GgufFile) -> Self {
        let folder = Folder::new(&json!({}));
        let open = file.write(folder.path());
        let bytes = file.bytes();
        let data: usize = file.tensors.iter().map(|(.., data)| data.len().next_multiple_of(32)).sum();
        let header = bytes.len() - data;
        Self { name, files: vec![(open.clone(), bytes, header)], folder, open }
    }

    /// Changes a file, does everything with the checkpoint that a program would, and puts the file back.
    fn try_case(&self, seed: u64, case: u64) -> bool {
        let mut random = Random::new(seed, case);
        let (path, content, header) = &self.files[random.below(self.files.len())];
        let changed = mutate(content, *header, &mut random);
        std::fs::write(path, &changed).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| use_everything(&self.open, random.below(8) == 0)));
        std::fs::write(path, content).unwrap();
        match outcome {
            Ok(opened) => opened,
            Err(_) => panic!("{} panicked: seed {seed}, case {case}, {}", self.name, path.display()),
        }
    }
}

/// Whether the checkpoint opened.
fn use_everything(path: &std::path::Path, text_too: bool) -> bool {
    let checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
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
    if text_too && let Ok(Some(text)) = checkpoint.gguf_text() {
        let encoded = text.tokenizer.encode("a b1", true).map(|encoded| encoded.get_ids().to_vec());
        let _ = encoded.map(|ids| text.tokenizer.decode(&ids, false));
    }
    true
}

fn subjects() -> Vec<Subject> {
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
    let mut spm = GgufFile::minimal("minicpm");
    let array = |kind: u32, bytes: Vec<u8>| [kind.to_le_bytes().as_slice(), &8u64.to_le_bytes(), &bytes].concat();
    let tokens = ["<unk>", "<s>", "</s>", "<0x61>", "\u{2581}", "a", "\u{2581}a", "<|im_end|>"];
    spm.set("tokenizer.ggml.model", 8, gguf_text("llama"));
    spm.set("tokenizer.ggml.tokens", 9, gguf_texts(&tokens));
    spm.set("tokenizer.ggml.scores", 9, array(6, f32_bytes(&[0.0, 0.0, 0.0, 0.0, -2.0, -3.0, -1.0, 0.0])));
    spm.set("tokenizer.ggml.token_type", 9, array(5, u32_bytes(&[2, 3, 3, 6, 1, 1, 1, 4])));
    spm.set("tokenizer.ggml.bos_token_id", 4, 1u32.to_le_bytes());
    spm.set("minicpm.residual_scale", 6, 1f32.to_le_bytes());
    spm.tensors.push(("blk.0.attn_q.weight".into(), vec![32, 16], 2, vec![0x35; 16 * 18]));
    spm.tensors.push(("blk.0.ffn_up.weight".into(), vec![256, 2], 12, vec![0x35; 2 * 144]));
    spm.tensors.push(("rope_factors_long.weight".into(), vec![8], 0, f32_bytes(&[1.0; 8])));
    spm.tensors.push(("rope_factors_short.weight".into(), vec![8], 0, f32_bytes(&[1.0; 8])));
    let mut bpe = GgufFile::minimal("llama");
    bpe.set("tokenizer.ggml.model", 8, gguf_text("gpt2"));
    bpe.set("tokenizer.ggml.pre", 8, gguf_text("qwen2"));
    bpe.set("tokenizer.ggml.tokens", 9, gguf_texts(&["<s>", "a", "b", "ab", "\u{120}", "1", "2", "<e>"]));
    bpe.set("tokenizer.ggml.merges", 9, gguf_texts(&["a b"]));
    bpe.set("tokenizer.ggml.token_type", 9, array(5, u32_bytes(&[3, 1, 1, 1, 1, 1, 1, 3])));
    bpe.set("general.alignment", 4, 32u32.to_le_bytes());
    for (index, (kind, bytes)) in [(3, 20), (6, 22), (7, 24), (8, 34), (30, 64)].into_iter().enumerate() {
        bpe.tensors.push((format!("blk.{index}.attn_k.weight"), vec![32, 16], kind, vec![0x2c; 16 * bytes]));
    }
    for (index, (kind, bytes)) in [(13, 176), (14, 210)].into_iter().enumerate() {
        bpe.tensors.push((format!("blk.{index}.ffn_down.weight"), vec![256, 1], kind, vec![0x2c; bytes]));
    }
    vec![
        Subject::folder("safetensors", json!({ "model_type": "llama" }), &[("model.safetensors", plain.clone())]),
        Subject::folder(
            "shards",
            json!({}),
            &[
                ("a-1.safetensors", plain),
                ("a-2.safetensors", second),
                ("model.safetensors.index.json", index.to_string().into_bytes()),
            ],
        ),
        Subject::folder(
            "MLX",
            json!({ "quantization": { "bits": 4, "group_size": 32, "n": false } }),
            &[("model.safetensors", mlx)],
        ),
        Subject::folder(
            "GPTQ",
            json!({ "quantization_config": { "quant_method": "gptq", "bits": 4, "group_size": 32 } }),
            &[("model.safetensors", gptq)],
        ),
        Subject::gguf("GGUF, SentencePiece", &spm),
        Subject::gguf("GGUF, byte level", &bpe),
    ]
}

/// Runs the cases over all subjects and tells how many still opened.
fn run(seed: u64, cases: u64) -> Vec<(&'static str, u64)> {
    let subjects = subjects();
    for subject in &subjects {
        assert!(use_everything(&subject.open, true), "{} is not valid to begin with", subject.name);
        assert!(subject.folder.path().exists());
    }
    let count = subjects.len() as u64;
    let mut opened: Vec<_> = subjects.iter().map(|subject| (subject.name, 0)).collect();
    for case in 0..cases {
        let index = (case % count) as usize;
        opened[index].1 += u64::from(subjects[index].try_case(seed, case));
    }
    opened
}

#[test]
fn changed_files_never_panic() {
    for (name, opened) in run(1, 12_000) {
        // Both outcomes must occur, or the changes would test nothing.
        assert!((20..1980).contains(&opened), "{name}: {opened} of 2000 opened");
    }
}

#[test]
#[ignore = "takes about half an hour; run once per release"]
fn ten_million_changed_files_never_panic() {
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let lines = status.lines().filter(|line| line.starts_with("VmPeak") || line.starts_with("VmHWM"));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    println!("before: {:?}", memory());
    let seed = std::env::var("FOVEAL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2);
    println!("opened: {:?}", run(seed, 10_000_000));
    println!("after: {:?}", memory());
}
