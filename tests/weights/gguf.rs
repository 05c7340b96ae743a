//! GGUF files: those that the official Python package wrote, and our own with a lie in each field.

use foveal::model::ModelConfig;
use foveal::weights::{Checkpoint, Format, GgufText, Kind};
use serde_json::{Value, json};

use super::build::{GgufFile, data, expected, f32_bytes, gguf_text, gguf_texts, refusal};

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&data(name)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_type_equals_the_official_dequantisation() {
    let checkpoint = open("blocks.gguf");
    assert_eq!(checkpoint.kind(), Kind::Gguf { version: 3, main_type: "Q6_K".into() });
    let (q4, q8, q8_16) = (Some((4, 32)), Some((8, 32)), Some((8, 16)));
    let cases = [
        ("F32", None, false),
        ("F16", None, true),
        ("BF16", None, true),
        ("Q4_0", q4, true),
        ("Q4_1", q4, true),
        ("Q5_0", q8, true),
        ("Q5_1", q8, true),
        ("Q8_0", q8, true),
        ("Q4_K", q4, false),
        ("Q5_K", q8, false),
        ("Q6_K", q8_16, false),
    ];
    for (kind, packed_as, exact) in cases {
        let name = format!("test.{kind}");
        let format = packed_as.map(|(bits, group)| Format::Affine { bits, group });
        assert_eq!(checkpoint.stored_format(&name), format, "{kind}");
        assert_eq!(checkpoint.shape(&name).unwrap(), (3, 512));
        let packed = checkpoint.rows(&name, 0..3, None).unwrap();
        assert_eq!(packed.format, format.unwrap_or(Format::F16));
        let numbers = expected("blocks.safetensors", &name);
        for row in 0..3 {
            for (col, (got, want)) in packed.row_f32(row).into_iter().zip(&numbers[row * 512..]).enumerate() {
                // Half a unit in the last place of f16, for what is rounded: the number itself, or scale and bias.
                let allowed = match format {
                    _ if exact => 0.0,
                    Some(Format::Affine { group, .. }) => {
                        let word = packed.scales[row * (512 / group) + col / group];
                        let half = |bits: u32| half::f16::from_bits(bits as u16).to_f32().abs();
                        let largest = if kind == "Q4_K" { 15.0 } else { 32.0 };
                        (half(word) * largest + half(word >> 16)) * 2f32.powi(-11) * 1.001 + 2f32.powi(-20)
                    }
                    _ => want.abs() * 2f32.powi(-11),
                };
                assert!(
                    (got - want).abs() <= allowed,
                    "{kind} [{row}, {col}]: {got}, definition {want}, allowed {allowed}"
                );
            }
        }
        let middle = checkpoint.rows(&name, 1..2, None).unwrap();
        assert_eq!(middle.row_f32(0), packed.row_f32(1), "{kind} in part");
    }
    // With block scales of 1 and 0 nothing is rounded: every integer, sub-scale and minimum must be right.
    for kind in ["Q4_K", "Q5_K", "Q6_K"] {
        for part in ["integers", "minima"] {
            let name = format!("test.{kind}.{part}");
            let packed = checkpoint.rows(&name, 0..3, None).unwrap();
            let got: Vec<f32> = (0..3).flat_map(|row| packed.row_f32(row)).collect();
            assert_eq!(got, expected("blocks.safetensors", &name), "{name}");
        }
    }
    let message = checkpoint.rows("test.IQ4_NL", 0..1, None).unwrap_err().to_string();
    assert!(
        message.contains("test.IQ4_NL") && message.contains("type IQ4_NL") && message.contains("Q4_K_M"),
        "{message}"
    );
}

fn check_minicpm(checkpoint: &Checkpoint) {
    let names = [
        ("model.embed_tokens.weight", 512, 64),
        ("model.layers.0.self_attn.q_proj.weight", 64, 64),
        ("model.layers.0.self_attn.k_proj.weight", 32, 64),
        ("model.layers.0.self_attn.v_proj.weight", 32, 64),
        ("model.layers.0.self_attn.o_proj.weight", 64, 64),
        ("model.layers.0.mlp.gate_proj.weight", 96, 64),
        ("model.layers.0.mlp.up_proj.weight", 96, 64),
        ("model.layers.0.mlp.down_proj.weight", 64, 96),
    ];
    for (name, rows, cols) in names {
        assert_eq!(checkpoint.shape(name).unwrap(), (rows, cols), "{name}");
        let packed = checkpoint.rows(name, 0..rows, None).unwrap();
        let got: Vec<f32> = (0..rows).flat_map(|row| packed.row_f32(row)).collect();
        assert_eq!(got, expected("minicpm.safetensors", name), "{name}");
        let part = checkpoint.rows(name, 3..20, None).unwrap();
        assert_eq!(part.row_f32(7), packed.row_f32(10), "{name} in part");
    }
    for name in
        ["model.norm.weight", "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight"]
    {
        assert_eq!(checkpoint.vector(name, 64).unwrap(), expected("minicpm.safetensors", name));
    }
    assert_eq!(checkpoint.names().len(), 11);
    assert!(!checkpoint.contains("lm_head.weight"));
    let config = checkpoint.config();
    for (field, value) in [
        ("model_type", json!("minicpm")),
        ("hidden_size", json!(64)),
        ("num_hidden_layers", json!(1)),
        ("num_attention_heads", json!(4)),
        ("num_key_value_heads", json!(2)),
        ("head_dim", json!(16)),
        ("intermediate_size", json!(96)),
        ("vocab_size", json!(512)),
        ("max_position_embeddings", json!(128)),
        ("rms_norm_eps", json!(1e-6)),
        ("rope_theta", json!(10000.0)),
        ("tie_word_embeddings", json!(true)),
        ("scale_emb", json!(12.0)),
        ("scale_depth", json!(1.4)),
        ("dim_model_base", json!(32.0)),
        ("bos_token_id", json!(1)),
    ] {
        assert_eq!(config[field], value, "{field}");
    }
    let scaling = &config["rope_scaling"];
    assert_eq!(scaling["rope_type"], "longrope");
    assert_eq!(scaling["original_max_position_embeddings"], 64);
    let factors = |key: &str| -> Vec<f32> {
        scaling[key].as_array().unwrap().iter().map(|f| f.as_f64().unwrap() as f32).collect()
    };
    assert_eq!(factors("short_factor"), expected("minicpm.safetensors", "short"));
    assert_eq!(factors("long_factor"), expected("minicpm.safetensors", "long"));
}

#[test]
fn a_minicpm_file_reads_as_the_folder_it_came_from() {
    check_minicpm(&open("minicpm.gguf"));
}

#[test]
fn any_part_opens_the_whole_model() {
    for part in 1..=3 {
        check_minicpm(&open(&format!("minicpm-0000{part}-of-00003.gguf")));
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(data(from), folder.path().join(to)).unwrap();
        folder.path().join(to)
    };
    let first = copy("minicpm-00001-of-00003.gguf", "m-00001-of-00003.gguf");
    let message = refusal(&first);
    assert!(message.contains("m-00002-of-00003.gguf") && message.contains("part 2 of 3"), "{message}");
    copy("minicpm-00002-of-00003.gguf", "m-00003-of-00003.gguf");
    copy("minicpm-00003-of-00003.gguf", "m-00002-of-00003.gguf");
    assert!(refusal(&first).contains("split.no"));
    assert!(refusal(&copy("minicpm-00001-of-00003.gguf", "lonely.gguf")).contains("3 parts"));
    assert!(refusal(&copy("minicpm.gguf", "w-00001-of-00001.gguf")).contains("split.no"));
}

fn texts(kind: &str) -> Vec<(String, Vec<u32>)> {
    let cases: Value = serde_json::from_slice(&std::fs::read(data("texts.json")).unwrap()).unwrap();
    serde_json::from_value(cases[kind].clone()).unwrap()
}

fn text_of(checkpoint: &Checkpoint) -> GgufText {
    checkpoint.gguf_text().unwrap().unwrap()
}

#[test]
fn sentence_piece_vocabularies_give_the_same_tokens() {
    let text = text_of(&open("minicpm.gguf"));
    assert_eq!((text.bos, text.add_bos), (Some(1), true));
    let id = |token: &str| text.tokenizer.token_to_id(token).unwrap();
    assert_eq!(text.eos, [2, id("<|im_end|>")]);
    assert_eq!(text.chat_template.as_deref(), Some("{% for m in messages %}{{ m.content }}{% endfor %}"));
    let cases = texts("sentence_piece");
    assert!(cases.len() >= 6);
    for (case, ids) in cases {
        let encoded = text.tokenizer.encode(case.as_str(), false).unwrap();
        assert_eq!(encoded.get_ids(), ids, "{case:?}: {:?}", encoded.get_tokens());
        assert_eq!(text.tokenizer.decode(&ids, true).unwrap(), case);
        let with_bos = text.tokenizer.encode(case.as_str(), true).unwrap();
        assert_eq!(with_bos.get_ids()[0], 1);
        assert_eq!(&with_bos.get_ids()[1..], ids);
    }
    let special = text.tokenizer.encode("<|im_start|>user<|im_end|>", false).unwrap();
    assert_eq!(special.get_ids().first(), Some(&id("<|im_start|>")));
    assert_eq!(special.get_ids().last(), Some(&id("<|im_end|>")));
}

#[test]
fn byte_level_vocabularies_give_the_same_tokens() {
    let checkpoint = open("byte_level.gguf");
    let text = text_of(&checkpoint);
    assert_eq!((text.bos, text.add_bos, text.eos.as_slice()), (Some(0), false, &[2][..]));
    for (case, ids) in texts("byte_level") {
        let encoded = text.tokenizer.encode(case.as_str(), true).unwrap();
        assert_eq!(encoded.get_ids(), ids, "{case:?}: {:?}", encoded.get_tokens());
        assert_eq!(text.tokenizer.decode(&ids, false).unwrap(), case);
    }
    let config = checkpoint.config();
    assert_eq!((&config["model_type"], &config["tie_word_embeddings"]), (&json!("llama"), &json!(false)));
    // The fixed factors of a Llama 3 file take the form of LongRoPE with a factor of attention of 1.
    assert_eq!(config["rope_scaling"]["long_factor"], json!([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
    assert_eq!(config["rope_scaling"]["original_max_position_embeddings"], config["max_position_embeddings"]);
}

#[test]
fn old_minicpm_files_get_the_scales_of_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = GgufFile::minimal("minicpm");
    file.version = 2;
    let config = Checkpoint::open(&file.write(folder.path())).unwrap().config().clone();
    assert_eq!(
        (&config["scale_emb"], &config["scale_depth"], &config["dim_model_base"]),
        (&json!(12.0), &json!(1.4), &json!(256.0))
    );
    assert_eq!(config["rope_scaling"], Value::Null);

    // One number per layer, all equal, and a residual scale over two layers.
    let per_layer =
        [4u32.to_le_bytes().as_slice(), &2u64.to_le_bytes(), &2u32.to_le_bytes(), &2u32.to_le_bytes()].concat();
    file.set("minicpm.attention.head_count_kv", 9, &per_layer);
    file.set("minicpm.residual_scale", 6, (1.4f32 / 2f32.sqrt()).to_le_bytes());
    file.set("minicpm.rope.scaling.type", 8, gguf_text("linear"));
    file.set("minicpm.rope.scaling.factor", 6, 4f32.to_le_bytes());
    let config = Checkpoint::open(&file.write(folder.path())).unwrap().config().clone();
    assert_eq!(config["num_key_value_heads"], 2);
    assert!((config["scale_depth"].as_f64().unwrap() - 1.4).abs() < 1e-7);
    assert_eq!(
        (&config["rope_scaling"]["rope_type"], &config["rope_scaling"]["factor"]),
        (&json!("linear"), &json!(4.0))
    );
}

#[test]
fn a_files_own_factor_of_attention_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = GgufFile::minimal("minicpm");
    file.set("minicpm.attention.head_count", 4, 2u32.to_le_bytes());
    file.set("minicpm.rope.scaling.type", 8, gguf_text("longrope"));
    file.set("minicpm.rope.scaling.attn_factor", 6, 1.25f32.to_le_bytes());
    for name in ["rope_factors_long.weight", "rope_factors_short.weight"] {
        file.tensors.push((name.into(), vec![16], 0, f32_bytes(&[1.0; 16])));
    }
    let checkpoint = Checkpoint::open(&file.write(folder.path())).unwrap();
    // At position 0 nothing turns: what is left is the length.
    assert_eq!(ModelConfig::new(checkpoint.config()).unwrap().rope.turns(0, 1)[..2], [1.25, 0.0]);
}

#[test]
fn fields_that_lie_are_refused() {
    let changed = |change: &dyn Fn(&mut GgufFile)| {
        let mut file = GgufFile::minimal("llama");
        change(&mut file);
        let message = file.refusal();
        assert!(
            message.contains("model.gguf") || message.contains("tensor") || message.contains("configuration"),
            "{message}"
        );
        message
    };
    let u32s = |value: u32| value.to_le_bytes();
    assert!(changed(&|file| file.version = 1).contains("version"));
    assert!(changed(&|file| file.version = 3 << 24).contains("big-endian"));
    assert!(changed(&|file| file.set("general.architecture", 8, gguf_text("qwen3"))).contains("qwen3"));
    assert!(changed(&|file| file.set("general.architecture", 4, u32s(1))).contains("another type"));
    assert!(changed(&|file| file.set("llama.block_count", 4, &u32s(1)[..2])).contains("found"));
    assert!(changed(&|file| file.set("llama.attention.head_count", 4, u32s(0))).contains("key_length"));
    assert!(changed(&|file| file.set("llama.embedding_length", 5, (-1i32).to_le_bytes())).contains("embedding_length"));
    assert!(changed(&|file| file.set("llama.rope.freq_base", 6, f32::NAN.to_le_bytes())).contains("freq_base"));
    assert!(changed(&|file| file.set("general.alignment", 4, u32s(24))).contains("alignment"));
    assert!(changed(&|file| file.set("x", 13, [0; 8])).contains("value type"));
    assert!(changed(&|file| file.set("x", 7, [2])).contains("truth"));
    assert!(
        changed(&|file| file.set("x", 8, [b"\x02\0\0\0\0\0\0\0".as_slice(), &[0xff, 0xfe]].concat())).contains("UTF-8")
    );
    assert!(changed(&|file| file.set("x", 8, u64::MAX.to_le_bytes())).contains("18446744073709551615 bytes"));
    assert!(
        changed(&|file| file.set("x", 9, [u32s(10).as_slice(), &u64::MAX.to_le_bytes()].concat()))
            .contains("bytes up to the end")
    );
    assert!(
        changed(&|file| file.set("x", 9, [u32s(8).as_slice(), &u64::MAX.to_le_bytes()].concat())).contains("expected")
    );
    let long = [u32s(0).as_slice(), &(1u64 << 23).to_le_bytes(), &vec![2; 1 << 23]].concat();
    assert!(changed(&|file| file.set("llama.attention.head_count_kv", 9, &long)).contains("8388608"));
    let nested: Vec<u8> = (0..100).flat_map(|_| [u32s(9).as_slice(), &1u64.to_le_bytes()].concat()).collect();
    assert!(changed(&|file| file.set("x", 9, &nested)).contains("within each other"));
    assert!(changed(&|file| file.entries.push(("llama.block_count".into(), 4, u32s(1).to_vec()))).contains("two"));

    let tensor = |dimensions: &[u64], kind: u32, bytes: usize| {
        ("blk.0.attn_v.weight".to_string(), dimensions.to_vec(), kind, vec![0; bytes])
    };
    assert!(
        changed(&|file| file.tensors.push(tensor(&[8, 1 << 40], 0, 32)))
            .contains("offset of tensor \"blk.0.attn_v.weight\"")
    );
    assert!(changed(&|file| file.tensors.push(tensor(&[u64::MAX, 2], 0, 32))).contains("2^48"));
    assert!(changed(&|file| file.tensors.push(tensor(&[0, 2], 0, 32))).contains("at least 1"));
    assert!(changed(&|file| file.tensors.push(tensor(&[], 0, 32))).contains("1 to 4"));
    assert!(changed(&|file| file.tensors.push(tensor(&[1; 5], 0, 32))).contains("1 to 4"));
    assert!(changed(&|file| file.tensors.push(tensor(&[16, 2], 2, 36))).contains("blocks of 32"));
    assert!(
        changed(&|file| file.tensors.push(("token_embd.weight".into(), vec![8, 1], 0, vec![0; 32]))).contains("two")
    );
    assert!(changed(&|file| file.tensors.clear()).contains("model.embed_tokens.weight"));
    for (offset, part) in
        [(0, "overlapping"), (8, "multiple of 32"), (1 << 20, "bytes within"), (u64::MAX - 31, "bytes within")]
    {
        let message = changed(&|file| {
            file.tensors.push(tensor(&[8, 1], 0, 32));
            file.false_offsets.push((1, offset));
        });
        assert!(message.contains(part), "{offset}: {message}");
    }
    // Every possible cut, in the header and in the data.
    let bytes = GgufFile::minimal("llama").bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.gguf");
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(Checkpoint::open(&path).is_err(), "{length} bytes of {}", bytes.len());
    }
}

#[test]
fn rotated_matrices_need_whole_heads() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = GgufFile::minimal("llama");
    file.tensors.push(("blk.0.attn_q.weight".into(), vec![8, 24], 0, f32_bytes(&[0.0; 192])));
    // A bias is permuted like the rows of its matrix: heads of 16, the two halves of a head in turns.
    let stored: Vec<f32> = (0..32).map(|i| i as f32).collect();
    file.tensors.push(("blk.0.attn_q.bias".into(), vec![32], 0, f32_bytes(&stored)));
    let checkpoint = Checkpoint::open(&file.write(folder.path())).unwrap();
    let message = checkpoint.rows("model.layers.0.self_attn.q_proj.weight", 0..1, None).unwrap_err().to_string();
    assert!(message.contains("heads of 16") && message.contains("24 rows"), "{message}");
    let bias = checkpoint.vector("model.layers.0.self_attn.q_proj.bias", 32).unwrap();
    assert_eq!(bias[..10], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 1.0, 3.0]);
    assert_eq!(bias[16..18], [16.0, 18.0]);
    assert_eq!(checkpoint.config()["attention_bias"], true);
}

#[test]
fn each_named_split_cuts_as_its_tokenizer_does() {
    let text = "it's 12345 IT'S x+y\n\n  end";
    let cases: [(&str, &[&str], bool); 6] = [
        ("gpt-2", &["it", "'s", " 12345", " IT", "'", "S", " x", "+", "y", "\n\n ", " end"], false),
        ("llama-bpe", &["it", "'s", " ", "123", "45", " IT", "'S", " x", "+y", "\n\n", " ", " end"], true),
        ("qwen2", &["it", "'s", " ", "1", "2", "3", "4", "5", " IT", "'S", " x", "+y", "\n\n", " ", " end"], false),
        (
            "smollm",
            &["it", "'s", " ", "1", "2", "3", "4", "5", " IT", "'", "S", " x", "+", "y", "\n\n ", " end"],
            false,
        ),
        ("minicpm5", &["it", "'s", " ", "123", "45", " IT", "'", "S", " x", "+", "y", "\n\n ", " end"], false),
        ("default", &["it", "'", "s", " ", "123", "45", " IT", "'", "S", " x", "+", "y", "\n\n ", " end"], false),
    ];
    for (name, words, add_bos) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut file = GgufFile::minimal("llama");
        file.set("tokenizer.ggml.model", 8, gguf_text("gpt2"));
        file.set("tokenizer.ggml.merges", 9, gguf_texts(&[]));
        file.set("tokenizer.ggml.pre", 8, gguf_text(name));
        file.set("tokenizer.ggml.bos_token_id", 4, 1u32.to_le_bytes());
        let checkpoint = Checkpoint::open(&file.write(folder.path())).unwrap();
        let tokenizer = text_of(&checkpoint);
        assert_eq!(tokenizer.add_bos, add_bos, "{name}");
        let mut pieces = tokenizers::PreTokenizedString::from(text);
        tokenizers::PreTokenizer::pre_tokenize(tokenizer.tokenizer.get_pre_tokenizer().unwrap(), &mut pieces).unwrap();
        let offsets = pieces.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        let got: Vec<&str> = offsets.into_iter().map(|(_, (start, end), _)| &text[start..end]).collect();
        assert_eq!(got, words, "{name}");
    }
}

#[test]
fn vocabularies_that_lie_are_refused() {
    let refused = |change: &dyn Fn(&mut GgufFile)| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = GgufFile::minimal("llama");
        file.set("tokenizer.ggml.model", 8, gguf_text("llama"));
        let numbers = |kind: u32, bytes: Vec<u8>| [kind.to_le_bytes().as_slice(), &4u64.to_le_bytes(), &bytes].concat();
        file.set("tokenizer.ggml.scores", 9, numbers(6, f32_bytes(&[0.0, 0.0, 0.0, -1.0])));
        file.set("tokenizer.ggml.token_type", 9, numbers(5, super::build::u32_bytes(&[2, 3, 3, 1])));
        change(&mut file);
        let path = file.write(folder.path());
        Checkpoint::open(&path).and_then(|checkpoint| checkpoint.gguf_text()).err().map(|error| error.to_string())
    };
    let contains = |message: Option<String>, part: &str| match message {
        Some(message) => assert!(message.contains(part), "{message}"),
        None => panic!("accepted without complaint about {part}"),
    };
    assert_eq!(refused(&|_| {}), None);
    contains(refused(&|file| file.set("tokenizer.ggml.model", 8, gguf_text("bert"))), "bert");
    contains(refused(&|file| file.set("tokenizer.ggml.tokens", 9, gguf_texts(&["a", "b", "a", "c"]))), "token 2");
    contains(refused(&|file| file.set("tokenizer.ggml.tokens", 9, gguf_texts(&["a", "", "b", "c"]))), "token 1");
    contains(refused(&|file| file.set("tokenizer.ggml.tokens", 9, gguf_texts(&["a", "b"]))), "2 numbers");
    contains(refused(&|file| file.set("tokenizer.ggml.bos_token_id", 4, 4u32.to_le_bytes())), "below 4");
    contains(refused(&|file| file.set("tokenizer.ggml.scores", 8, gguf_text("x"))), "scores");
    // Tokens that are all made of each other: 200 of them come to 19 900 merges.
    let tangled = |file: &mut GgufFile| {
        let tokens: Vec<String> = (1..=200).map(|length| "a".repeat(length)).collect();
        let texts: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let numbers = |kind: u32, bytes: Vec<u8>| [&kind.to_le_bytes()[..], &200u64.to_le_bytes(), &bytes].concat();
        file.set("tokenizer.ggml.tokens", 9, gguf_texts(&texts));
        file.set("tokenizer.ggml.scores", 9, numbers(6, f32_bytes(&[-1.0; 200])));
        file.set("tokenizer.ggml.token_type", 9, numbers(5, super::build::u32_bytes(&[1; 200])));
    };
    contains(refused(&tangled), "at most 7296 ways to make a token of two");
    let gpt2 = |file: &mut GgufFile, merges: &[&str], pre: &str| {
        file.set("tokenizer.ggml.model", 8, gguf_text("gpt2"));
        file.set("tokenizer.ggml.merges", 9, gguf_texts(merges));
        file.set("tokenizer.ggml.pre", 8, gguf_text(pre));
    };
    contains(refused(&|file| gpt2(file, &[], "unheard-of")), "unheard-of");
    contains(refused(&|file| gpt2(file, &["ab"], "gpt-2")), "two tokens");
    contains(refused(&|file| gpt2(file, &["x y"], "gpt-2")), "tokenizer");
    for pre in ["gpt-2", "llama-bpe", "dbrx", "qwen2", "smollm", "minicpm5", "default"] {
        assert_eq!(refused(&|file| gpt2(file, &[], pre)), None, "{pre}");
    }
}
