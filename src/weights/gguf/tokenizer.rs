//! The tokenizer of a GGUF file as Hugging Face's `tokenizers` runs it.
//!
//! Two kinds: `gpt2` is byte-level BPE with its merges in the file and the split into words known by name only; `llama` is
//! SentencePiece BPE, where the file has a score per token, and two neighbours merge when their union is a token of higher
//! score than any other pair's. The same order comes from a list of merges sorted by score, which is how Hugging Face converts
//! such models.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::metadata::Metadata;
use crate::error::{Error, Result};

/// The tokenizer of a GGUF file, and what a chat needs beside it.
pub struct GgufText {
    /// Ready to use; adds BOS itself where the file wants it.
    pub tokenizer: Tokenizer,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
    /// Whether a text begins with BOS.
    pub add_bos: bool,
    /// The chat template in Jinja.
    pub chat_template: Option<String>,
}

/// Begin and end tokens.
pub(crate) struct SpecialIds {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Vec<u32>,
}

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;

/// Control tokens that end an answer though the metadata may name only one of them.
const END_TOKENS: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "</s>"];

/// No vocabulary has longer tokens; splitting longer ones into pairs would take quadratic time.
const MAX_TOKEN_BYTES: usize = 1024;

/// Ways to put a token together from two others, on average: published vocabularies have one or two. A file of tokens that
/// are all made of each other would take hundreds of times its own size.
const MAX_SPLITS: usize = 16;

/// Splits that a small vocabulary may have whatever its average.
const FREE_SPLITS: usize = 4096;

fn problem(problem: impl ToString, advice: &str) -> Error {
    Error::Text { what: "tokenizer".into(), problem: problem.to_string(), advice: advice.into() }
}

/// Begin and end tokens that the metadata names, and end tokens known by their text.
pub(crate) fn special_ids(metadata: &Metadata) -> Result<SpecialIds> {
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let id = |name: &str| -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        match metadata.count(&key)? {
            None => Ok(None),
            Some(id) if (id as usize) < tokens.len() => Ok(Some(id as u32)),
            Some(id) => Err(metadata.wrong(&key, &format!("an id below {}", tokens.len()), id)),
        }
    };
    let mut eos = Vec::new();
    for name in ["eos", "eot", "eom"] {
        eos.extend(id(name)?);
    }
    let types = token_types(metadata, tokens.len())?;
    for (index, token) in tokens.iter().enumerate() {
        let special = matches!(types.get(index), Some(&(CONTROL | USER_DEFINED)));
        if special && END_TOKENS.contains(token) {
            eos.push(index as u32);
        }
    }
    let mut seen = HashSet::new();
    eos.retain(|id| seen.insert(*id));
    Ok(SpecialIds { bos: id("bos")?, eos })
}

/// The kind of every token; files without kinds have ordinary tokens only.
fn token_types(metadata: &Metadata, count: usize) -> Result<Vec<u8>> {
    let key = "tokenizer.ggml.token_type";
    match metadata.numbers(key)? {
        None => Ok(vec![1; count]),
        Some(types) if types.len() == count => Ok(types.into_iter().map(|kind| kind as u8).collect()),
        Some(types) => Err(metadata.wrong(key, &format!("{count} numbers, one per token"), types.len())),
    }
}

/// Builds the tokenizer.
pub(crate) fn read(metadata: &Metadata) -> Result<GgufText> {
    let tokens = metadata
        .texts("tokenizer.ggml.tokens")?
        .ok_or_else(|| metadata.wrong("tokenizer.ggml.tokens", "the vocabulary", "nothing"))?;
    let types = token_types(metadata, tokens.len())?;
    let mut vocabulary = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > MAX_TOKEN_BYTES || token.is_empty() || vocabulary.insert(*token, id).is_some() {
            let advice = "The file is damaged: download it again";
            return Err(problem(
                format!("token {id} is empty, longer than {MAX_TOKEN_BYTES} bytes, or there twice"),
                advice,
            ));
        }
    }
    let kind = metadata.text("tokenizer.ggml.model")?.unwrap_or("nothing");
    let mut parts = match kind {
        "llama" => sentence_piece(metadata, &tokens, &types, &vocabulary)?,
        "gpt2" => byte_level(metadata)?,
        other => {
            return Err(problem(
                format!("this file has a tokenizer of kind {other}, known are llama and gpt2"),
                "Use the model's Hugging Face folder instead",
            ));
        }
    };
    let ids = special_ids(metadata)?;
    let add_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(parts.add_bos) && ids.bos.is_some();
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.to_string(), json!(id))).collect();
    parts.model["vocab"] = Value::Object(vocabulary);
    let added: Vec<Value> = types
        .iter()
        .zip(&tokens)
        .enumerate()
        .filter(|(_, (kind, _))| matches!(**kind, UNKNOWN | CONTROL | USER_DEFINED))
        .map(|(id, (kind, token))| {
            json!({
                "id": id, "content": token, "special": *kind != USER_DEFINED,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": parts.normalizer, "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": ids.bos.filter(|_| add_bos).map(|bos| begin_with(bos, tokens[bos as usize])),
        "decoder": parts.decoder, "model": parts.model,
    });
    let tokenizer = Tokenizer::from_str(&file.to_string())
        .map_err(|error| problem(error, "The file's vocabulary and merges do not fit together: download it again"))?;
    let chat_template = metadata.text("tokenizer.chat_template")?.map(str::to_string);
    Ok(GgufText { tokenizer, bos: ids.bos, eos: ids.eos, add_bos, chat_template })
}

/// What differs between the kinds.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    /// Whether a text begins with BOS where the file does not say.
    add_bos: bool,
}

/// Puts BOS before a text.
fn begin_with(bos: u32, token: &str) -> Value {
    let (begin, text) =
        (json!({ "SpecialToken": { "id": token, "type_id": 0 } }), json!({ "Sequence": { "id": "A", "type_id": 0 } }));
    let second =
        [json!({ "SpecialToken": { "id": token, "type_id": 1 } }), json!({ "Sequence": { "id": "B", "type_id": 1 } })];
    json!({
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, second[0], second[1]],
        "special_tokens": { token: { "id": token, "ids": [bos], "tokens": [token] } },
    })
}

/// SentencePiece: spaces are written as U+2581, unknown characters as their bytes.
fn sentence_piece(
    metadata: &Metadata,
    tokens: &[&str],
    types: &[u8],
    vocabulary: &HashMap<&str, usize>,
) -> Result<Parts> {
    let key = "tokenizer.ggml.scores";
    let scores = metadata.numbers(key)?.ok_or_else(|| metadata.wrong(key, "a score per token", "nothing"))?;
    if scores.len() != tokens.len() {
        return Err(metadata.wrong(key, &format!("{} scores, one per token", tokens.len()), scores.len()));
    }
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        // Special tokens are found before any merging.
        if matches!(types[id], UNKNOWN | CONTROL | USER_DEFINED) {
            continue;
        }
        for (middle, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(middle);
            if let (Some(&left_id), Some(&right_id)) = (vocabulary.get(left), vocabulary.get(right)) {
                merges.push((scores[id], left_id, right_id));
            }
        }
        let most = tokens.len().saturating_mul(MAX_SPLITS).saturating_add(FREE_SPLITS);
        if merges.len() > most {
            let key = "tokenizer.ggml.tokens";
            return Err(metadata.wrong(key, &format!("at most {most} ways to make a token of two"), "more"));
        }
    }
    // Highest score first; among the splits of one token the order has no influence on the result, but must be fixed.
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let merges: Vec<[&str; 2]> = merges.iter().map(|&(_, left, right)| [tokens[left], tokens[right]]).collect();

    let add_prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers = vec![json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" })];
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if add_prefix {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": "\u{2581}" }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let unknown = types.iter().position(|kind| *kind == UNKNOWN).map(|id| tokens[id]);
    Ok(Parts {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "merges": merges,
        }),
        add_bos: true,
    })
}

/// Byte-level BPE.
fn byte_level(metadata: &Metadata) -> Result<Parts> {
    let key = "tokenizer.ggml.merges";
    let merges = metadata.texts(key)?.ok_or_else(|| metadata.wrong(key, "the merges", "nothing"))?;
    let split = |merge: &&str| {
        // The first character may itself be a space in no byte-level vocabulary, but an empty left side must not pass.
        merge
            .split_once(' ')
            .filter(|(left, right)| !left.is_empty() && !right.is_empty())
            .map(|(left, right)| json!([left, right]))
    };
    let merges: Option<Vec<Value>> = merges.iter().map(split).collect();
    let merges = merges.ok_or_else(|| metadata.wrong(key, "two tokens with a space between", "something else"))?;
    let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let (pre_tokenizer, ignore_merges) = word_split(name)?;
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer,
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
            "merges": merges,
        }),
        add_bos: LLAMA_3.contains(&name),
    })
}

/// Names for the split of Llama 3, whose texts begin with BOS.
const LLAMA_3: [&str; 6] = ["llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "lfm2"];

/// How a text is cut into words before merging, by llama.cpp's name for it; and whether whole words are looked up first.
fn word_split(name: &str) -> Result<(Value, bool)> {
    let isolate = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
    let tiktoken = |digits: &str| {
        isolate(&format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ))
    };
    // The names group by the tokenizers they came from: GPT-2, GPT-4 (Llama 3), Qwen 2, StarCoder, MiniCPM5.
    let (steps, ignore_merges) = match name {
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" => (vec![bytes(true)], false),
        name if LLAMA_3.contains(&name) => (vec![tiktoken(r"\p{N}{1,3}"), bytes(false)], true),
        "dbrx" | "smaug-bpe" => (vec![tiktoken(r"\p{N}{1,3}"), bytes(false)], false),
        "qwen2" | "stablelm2" | "deepseek-r1-qwen" | "hunyuan" => (vec![tiktoken(r"\p{N}"), bytes(false)], false),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" => {
            (vec![isolate(r"\p{N}"), bytes(true)], false)
        }
        "minicpm5" => (vec![isolate(r"\p{N}{1,3}"), bytes(true)], true),
        "default" => (vec![isolate(r"[\p{P}\$\+<=>\^~\|]+"), isolate(r"\p{N}{1,3}"), bytes(true)], false),
        other => {
            return Err(problem(
                format!("the file's split into words, \"{other}\", is not known"),
                "Use the model's Hugging Face folder, which has it in tokenizer.json",
            ));
        }
    };
    Ok((json!({ "type": "Sequence", "pretokenizers": steps }), ignore_merges))
}
