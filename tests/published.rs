//! Folders as OpenBMB publishes MiniCPM4-0.5B, MiniCPM4-8B and MiniCPM4.1-8B: the same files, keys, tensor names, layers,
//! groups of heads and token ids, at a reduced width and with random bf16 weights. Each must load, and generate.
//!
//! What differs between the three, and what a loader could trip over: the 0.5B has no `model_type`, no `rope_theta` and no
//! `tie_word_embeddings` (its head is the embedding), the others come in four shards with an index and have a head.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use foveal::chat_template::{Message, Role};
use foveal::conversation::Conversation;
use foveal::generate::{GenerateOptions, generate};
use foveal::model::{Family, LoadOptions, ModelConfig, SparseOrigin};
use foveal::open::ModelFiles;
use foveal::sampler::SamplerSettings;
use foveal::session::Session;
use foveal::sparse_settings::ScoreType;
use foveal::weights::Checkpoint;
use half::bf16;
use serde_json::{Map, Value, json};

use crate::cli::program;
use crate::forward::{cpu_session, gpu_session};
use crate::harness::{Random, gpu_variants};

/// A published model; the widths are not its own.
struct Published {
    name: &'static str,
    /// config.json without the rotation.
    config: Value,
    /// First and last factor of LongRoPE; both lists are equal.
    factors: (f64, f64),
    shards: usize,
    /// tokenizer_config.json holds the template, or chat_template.jinja does.
    template_file: bool,
    generation: Value,
}

const HEAD_DIM: usize = 32;
const VOCABULARY: usize = 73_448;
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + \
                      '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const THINKING: &str =
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n' }}{% endif %}";

fn models() -> [Published; 3] {
    // What all three have in common.
    let config = |heads: usize, more: Value| {
        let mut config = json!({
            "architectures": ["MiniCPMForCausalLM"],
            "auto_map": { "AutoConfig": "configuration_minicpm.MiniCPMConfig" },
            "bos_token_id": 1, "eos_token_id": [2, 73440], "hidden_act": "silu", "initializer_range": 0.1,
            "hidden_size": heads * HEAD_DIM, "intermediate_size": 256, "num_attention_heads": heads,
            "torch_dtype": "bfloat16", "transformers_version": "4.46.3", "use_cache": true, "vocab_size": VOCABULARY,
            "scale_emb": 12, "dim_model_base": 256, "scale_depth": 1.4,
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    };
    let large = |positions: usize, more: Value| {
        let mut large = json!({
            "model_type": "minicpm", "num_key_value_heads": 1, "num_hidden_layers": 32, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "tie_word_embeddings": false, "max_position_embeddings": positions,
            "attention_bias": false, "attention_dropout": 0.0, "pad_token_id": 2, "pretraining_tp": 1,
        });
        for (key, value) in more.as_object().unwrap() {
            large[key] = value.clone();
        }
        config(16, large)
    };
    let small = json!({
        "num_key_value_heads": 1, "num_hidden_layers": 24, "rms_norm_eps": 1e-5, "max_position_embeddings": 32768,
    });
    let sampling =
        json!({ "bos_token_id": 1, "do_sample": true, "eos_token_id": [2, 73440], "temperature": 0.8, "top_p": 0.8 });
    [
        Published {
            name: "MiniCPM4-0.5B",
            config: config(8, small),
            factors: (1.0004360675811768, 49.85338592529297),
            shards: 1,
            template_file: false,
            generation: sampling.clone(),
        },
        Published {
            name: "MiniCPM4-8B",
            config: large(32768, json!({})),
            factors: (0.9977997200264581, 31.02392307921529),
            shards: 4,
            template_file: false,
            generation: sampling,
        },
        Published {
            name: "MiniCPM4.1-8B",
            config: large(65536, json!({ "mup_denominator": 32, "head_dim": null, "sparse_config": null })),
            factors: (0.9977997200264581, 31.02392307921529),
            shards: 4,
            template_file: true,
            generation: json!({ "temperature": 0.6, "top_p": 0.95, "do_sample": true }),
        },
    ]
}

impl Published {
    fn size(&self, field: &str) -> usize {
        self.config[field].as_u64().unwrap() as usize
    }

    fn tied(&self) -> bool {
        self.config.get("tie_word_embeddings").is_none()
    }

    /// Every tensor in the order of the layers, with its shape.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner) = (self.size("hidden_size"), self.size("intermediate_size"));
        let keys = self.size("num_key_value_heads") * HEAD_DIM;
        let mut tensors = vec![("model.embed_tokens.weight".to_string(), vec![VOCABULARY, hidden])];
        for layer in 0..self.size("num_hidden_layers") {
            for (part, shape) in [
                ("input_layernorm", vec![hidden]),
                ("self_attn.q_proj", vec![hidden, hidden]),
                ("self_attn.k_proj", vec![keys, hidden]),
                ("self_attn.v_proj", vec![keys, hidden]),
                ("self_attn.o_proj", vec![hidden, hidden]),
                ("post_attention_layernorm", vec![hidden]),
                ("mlp.gate_proj", vec![inner, hidden]),
                ("mlp.up_proj", vec![inner, hidden]),
                ("mlp.down_proj", vec![hidden, inner]),
            ] {
                tensors.push((format!("model.layers.{layer}.{part}.weight"), shape));
            }
        }
        tensors.push(("model.norm.weight".into(), vec![hidden]));
        if !self.tied() {
            tensors.push(("lm_head.weight".into(), vec![VOCABULARY, hidden]));
        }
        tensors
    }

    fn write(&self, folder: &Path) {
        let text = |name: &str, value: String| std::fs::write(folder.join(name), value).unwrap();
        let mut config = self.config.clone();
        let pairs = HEAD_DIM / 2;
        let (first, last) = self.factors;
        let step = (last / first).powf(1.0 / (pairs - 1) as f64);
        let factors: Vec<f64> = (0..pairs).map(|pair| first * step.powi(pair as i32)).collect();
        config["rope_scaling"] = json!({
            "rope_type": "longrope", "long_factor": factors, "short_factor": factors,
            "original_max_position_embeddings": config["max_position_embeddings"],
        });
        text("config.json", config.to_string());
        text("generation_config.json", self.generation.to_string());
        text("tokenizer.json", tokenizer().to_string());
        let mut settings = json!({
            "add_bos_token": true, "add_eos_token": false, "bos_token": "<s>", "eos_token": "<|im_end|>", "legacy": true,
            "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>", "pad_token": null,
        });
        if self.template_file {
            text("chat_template.jinja", format!("{CHATML}{THINKING}"));
        } else {
            settings["chat_template"] = json!(CHATML);
        }
        text("tokenizer_config.json", settings.to_string());
        let tensors = self.tensors();
        let per_shard = tensors.len().div_ceil(self.shards);
        let mut index = Map::new();
        for (number, part) in tensors.chunks(per_shard).enumerate() {
            let name = match self.shards {
                1 => "model.safetensors".to_string(),
                shards => format!("model-{:05}-of-{shards:05}.safetensors", number + 1),
            };
            write_shard(&folder.join(&name), part);
            index.extend(part.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
        }
        if self.shards > 1 {
            text("model.safetensors.index.json", json!({ "metadata": {}, "weight_map": index }).to_string());
        }
    }
}

/// Random bf16: matrices with a deviation of 1 / sqrt(inputs), vectors around 1.
fn write_shard(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let (mut header, mut end) = (BTreeMap::new(), 0);
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = json!(header).to_string();
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut random = Random::new(end as u64);
    for (_, shape) in tensors {
        // A prime number of different values, so that no two rows are equal.
        let (middle, scale) = if shape.len() == 1 { (1.0, 0.1) } else { (0.0, (shape[1] as f32).powf(-0.5)) };
        let values = (0..100_003).flat_map(|_| bf16::from_f32(middle + scale * random.normal()).to_le_bytes());
        let values: Vec<u8> = values.collect();
        let mut left = 2 * shape.iter().product::<usize>();
        while left > 0 {
            let part = left.min(values.len());
            file.write_all(&values[..part]).unwrap();
            left -= part;
        }
    }
    file.flush().unwrap();
}

/// A SentencePiece kind of tokenizer with the published ids of the special tokens.
fn tokenizer() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers/sentencepiece.json");
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    vocabulary.retain(|piece, _| !piece.starts_with("<|"));
    for id in vocabulary.len()..73_440 {
        vocabulary.insert(format!("piece{id}"), json!(id));
    }
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.truncate(3);
    let names =
        ["im_end", "im_start", "tool_call", "execute_start", "execute_end", "fim_prefix", "fim_middle", "fim_suffix"];
    for (id, name) in (73_440..).zip(names) {
        let mut token = added[0].clone();
        token["id"] = json!(id);
        token["content"] = json!(format!("<|{name}|>"));
        added.push(token);
    }
    tokenizer
}

fn greedy(session: &mut Session, files: &ModelFiles, prompt: &[u32]) -> Vec<u32> {
    let options = GenerateOptions { sampler: SamplerSettings::greedy(), max_tokens: 4, stop: Vec::new() };
    let stop = AtomicBool::new(false);
    generate(session, &files.tokenizer, prompt, &options, &stop, &mut |_| Ok(())).unwrap().tokens
}

#[test]
fn published_folders_load_and_generate() {
    for model in models() {
        let name = model.name;
        let folder = tempfile::tempdir().unwrap();
        model.write(folder.path());
        let files = ModelFiles::open(Some(folder.path())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let layers = model.size("num_hidden_layers");
        assert_eq!(files.checkpoint.names().len(), 9 * layers + if model.tied() { 2 } else { 3 }, "{name}");
        let config = &files.config;
        assert_eq!((config.family, config.layers, config.tied), (Family::MiniCpm, layers, model.tied()), "{name}");
        assert_eq!((config.heads.head_dim, config.rope.kind), (HEAD_DIM, "longrope"), "{name}");
        assert_eq!(config.embedding_scale, 12.0, "{name}");
        assert!((config.residual_scale - 1.4 / (layers as f32).sqrt()).abs() < 1e-6, "{name}");
        assert!((config.logit_scale - 256.0 / config.hidden_size as f32).abs() < 1e-6, "{name}");
        assert_eq!(config.sparse.origin, SparseOrigin::Published, "{name}");
        assert_eq!(files.tokenizer.vocab_size(), VOCABULARY, "{name}");
        let mut eos = files.tokenizer.settings().eos.clone();
        eos.sort_unstable();
        assert_eq!((files.tokenizer.settings().bos, eos), (Some(1), vec![2, 73_440]), "{name}");
        assert_eq!(files.template.can_switch_thinking(), model.template_file, "{name}");
        assert_eq!(
            Some(f64::from(files.sampler.temperature)),
            model.generation["temperature"].as_f64().map(|t| f64::from(t as f32))
        );

        let question = Message { role: Role::User, content: "the cat sat.".into() };
        let conversation = Conversation { system: None, documents: Vec::new(), turns: vec![question] };
        let context = conversation.tokens(&files.tokenizer, &files.template, None).unwrap();
        let prompt: Vec<u32> = context.into_iter().map(|token| token.id).collect();
        assert_eq!(prompt[..2], [1, 73_441], "{name}: begin of text, begin of turn");
        assert_eq!(prompt.iter().filter(|id| **id == 1).count(), 1, "{name}");

        let options = LoadOptions { context: Some(128), ..Default::default() };
        let mut twins = cpu_session(folder.path(), &options);
        let wanted = twins.score(&prompt, &mut |_, _| Ok(())).unwrap();
        assert!(wanted.iter().all(|value| value.is_finite() && *value < 0.0), "{name}: {wanted:?}");
        let answer = greedy(&mut twins, &files, &prompt);
        assert_eq!(answer.len(), 4, "{name}");
        let Some((variant, gpu)) = gpu_variants().first() else { continue };
        let mut session = gpu_session(gpu, folder.path(), &options);
        let got = session.score(&prompt, &mut |_, _| Ok(())).unwrap();
        let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-2, "{name}, {variant}: {worst}");
        assert_eq!(greedy(&mut session, &files, &prompt), answer, "{name}, {variant}");
    }
}

/// Kills the program in the middle of the work, as a user or a system without memory does.
#[test]
fn a_killed_quantize_leaves_nothing_that_opens() {
    let place = tempfile::tempdir().unwrap();
    let (model, out) = (place.path().join("model"), place.path().join("out"));
    std::fs::create_dir(&model).unwrap();
    models()[0].write(&model);
    let partial = place.path().join(".out.partial");
    let arguments = ["quantize", model.to_str().unwrap(), out.to_str().unwrap()];
    let mut command = program(&arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let size = || std::fs::metadata(partial.join("model.safetensors")).map_or(0, |file| file.len());
    // The embedding comes first; it alone has 20 MB.
    while size() < 1 << 20 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed");
    assert!(!out.exists());
    assert!(Checkpoint::open(&partial).is_err());
    // The next run clears the remains away and succeeds.
    assert!(program(&arguments).stderr(Stdio::null()).status().unwrap().success());
    assert!(Checkpoint::open(&out).is_ok() && !partial.exists());
}

#[test]
fn scores_are_of_the_models_own_type() {
    let text = include_str!("data/checkpoints/minicpm_sparse/config.json");
    let score_type = |change: &dyn Fn(&mut Value)| {
        let mut config: Value = serde_json::from_str(text).unwrap();
        change(&mut config);
        ModelConfig::new(&config).map(|config| config.sparse.settings.score_type)
    };
    for (name, expected) in [("bfloat16", ScoreType::Bf16), ("float16", ScoreType::F32), ("float32", ScoreType::F32)] {
        assert_eq!(score_type(&|config| config["torch_dtype"] = json!(name)).unwrap(), expected, "{name}");
    }
    // Published models are bf16, also where a file says nothing; the newer name of the field; what the user says.
    assert_eq!(score_type(&|config| config["torch_dtype"] = Value::Null).unwrap(), ScoreType::Bf16);
    let newer = |config: &mut Value| (config["torch_dtype"], config["dtype"]) = (Value::Null, json!("float32"));
    assert_eq!(score_type(&newer).unwrap(), ScoreType::F32);
    assert_eq!(score_type(&|config| config["sparse_config"]["score_type"] = json!("bf16")).unwrap(), ScoreType::Bf16);
    let error = score_type(&|config| config["sparse_config"]["score_type"] = json!("f8")).unwrap_err().to_string();
    assert!(error.contains("score_type") && error.contains("f32 or bf16"), "{error}");
}
