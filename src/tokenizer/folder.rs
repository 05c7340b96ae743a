//! The text files of a Hugging Face folder: which one decides what, where several of them speak of the same thing.
//!
//! - vocabulary: tokenizer.json, plus `added_tokens_decoder` of tokenizer_config.json
//! - BOS: `bos_token` of tokenizer_config.json (a string or an object with `content`), else `bos_token_id` of
//!   generation_config.json or config.json; whether it is added: `add_bos_token`, else what the post-processor does
//! - EOS: all that `eos_token_id` (a number or a list) of generation_config.json and config.json and `eos_token` name: a model
//!   that ends its turn with any of them has ended it
//! - chat template: chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or a list of named ones)

use std::fs;
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Value;
use tokenizers::AddedToken;

use super::{Settings, tokenizer_error};
use crate::error::{Error, Result};

pub(super) fn read(folder: &Path) -> Result<(tokenizers::Tokenizer, Settings)> {
    let path = folder.join("tokenizer.json");
    let bytes = fs::read(&path).map_err(|error| {
        Error::io(&path, &error, "Download tokenizer.json from the model's page and put it beside the weights")
    })?;
    let damaged = |error: &dyn std::fmt::Display| Error::Text {
        what: path.display().to_string(),
        problem: format!("it is not a tokenizer that can be read: {error}"),
        advice: "Download it again; it may be cut or belong to a newer format".into(),
    };
    // At broken JSON the library panics in places.
    serde_json::from_slice::<IgnoredAny>(&bytes).map_err(|error| damaged(&error))?;
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| damaged(&error))?;
    let config = read_json(&folder.join("tokenizer_config.json"))?;
    let generation = read_json(&folder.join("generation_config.json"))?;
    let model = read_json(&folder.join("config.json"))?;

    add_tokens(&mut tokenizer, &config)?;
    let named = |key: &str| {
        let entry = config.get(key)?;
        tokenizer.token_to_id(entry.as_str().or_else(|| entry.get("content")?.as_str())?)
    };
    let ids =
        |key: &str| [&generation, &model].into_iter().flat_map(|file| numbers(file.get(key))).collect::<Vec<u32>>();
    let bos = named("bos_token").or_else(|| ids("bos_token_id").first().copied());
    let mut eos: Vec<u32> = named("eos_token").into_iter().collect();
    for id in ids("eos_token_id") {
        if !eos.contains(&id) {
            eos.push(id);
        }
    }
    // Encoding nothing shows what the post-processor puts around a text.
    let processed = tokenizer.encode("", true).ok().and_then(|encoding| encoding.get_ids().first().copied());
    let add_bos = config.get("add_bos_token").and_then(Value::as_bool).unwrap_or(bos.is_some() && processed == bos);
    let chat_template = chat_template(folder, &config)?;
    Ok((tokenizer, Settings { bos, eos, add_bos, chat_template }))
}

/// An absent file says nothing; a broken one is an error.
fn read_json(path: &Path) -> Result<Value> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Text {
            what: path.display().to_string(),
            problem: format!("it is not valid JSON: {error}"),
            advice: "Download it again".into(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(Error::io(path, &error, "Check the file's permissions")),
    }
}

/// A number or a list of numbers.
fn numbers(value: Option<&Value>) -> Vec<u32> {
    let number = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(number).collect(),
        Some(value) => number(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Tokens that only tokenizer_config.json knows, or that only it calls special.
fn add_tokens(tokenizer: &mut tokenizers::Tokenizer, config: &Value) -> Result<()> {
    let Some(entries) = config.get("added_tokens_decoder").and_then(Value::as_object) else { return Ok(()) };
    let mut tokens: Vec<(u32, AddedToken)> = Vec::new();
    for (id, entry) in entries {
        let (Ok(id), Ok(token)) = (id.parse(), serde_json::from_value::<AddedToken>(entry.clone())) else {
            return Err(tokenizer_error(
                format!("tokenizer_config.json: added_tokens_decoder: entry {id} is not an added token"),
                "Download tokenizer_config.json again",
            ));
        };
        tokens.push((id, token));
    }
    tokens.sort_unstable_by_key(|(id, _)| *id);
    for (id, token) in tokens {
        let content = token.content.clone();
        tokenizer
            .add_tokens([token])
            .map_err(|error| tokenizer_error(error.to_string(), "Download the folder again"))?;
        let found = tokenizer.token_to_id(&content);
        if found != Some(id) {
            let found = found.map_or("no id".into(), |found| format!("id {found}"));
            return Err(tokenizer_error(
                format!("tokenizer_config.json gives {content:?} the id {id}, tokenizer.json {found}"),
                "The two files do not belong together: download both from the model's page",
            ));
        }
    }
    Ok(())
}

fn chat_template(folder: &Path, config: &Value) -> Result<Option<String>> {
    let path = folder.join("chat_template.jinja");
    match fs::read_to_string(&path) {
        Ok(source) => return Ok(Some(source)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&path, &error, "The chat template must be a text file in UTF-8")),
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(match config.get("chat_template") {
        Some(Value::Array(list)) => {
            let default = list.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
            default.or(list.first()).and_then(|entry| entry.get("template")).and_then(text)
        }
        Some(value) => text(value),
        None => None,
    })
}
