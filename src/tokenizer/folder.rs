//! The text files of a Hugging Face folder: which one decides what, where several of them speak of the same thing.
//!
//! - vocabulary: tokenizer.json, plus `added_tokens_decoder` of tokenizer_config.json
//! - BOS: `bos_token` of tokenizer_config.json (a string or an object with `content`), else `bos_token_id` of
//!   generation_config.json or config.json; whether it is added: `add_bos_token`, else what the post-processor does
//! - EOS: all that `eos_token_id` (a number or a list) of generation_config.json and config.json and `eos_token` name: a model
//!   that ends its turn with any of them has ended it
//! - chat template: chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or a list of named ones)

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;
use tokenizers::AddedToken;

use super::growth::Steps;
use super::{LARGEST_VOCABULARY, Settings, tokenizer_error};
use crate::error::{Error, Result};

/// The largest published tokenizer.json has 35 MB. What is larger is no such file, and would fill the memory.
const MOST_BYTES: u64 = 64 << 20;

pub(super) fn read(folder: &Path) -> Result<(tokenizers::Tokenizer, Settings)> {
    let path = folder.join("tokenizer.json");
    let bytes = read_file(&path)?.ok_or_else(|| {
        let advice = "Download tokenizer.json from the model's page and put it beside the weights";
        Error::io(&path, &ErrorKind::NotFound.into(), advice)
    })?;
    let mut tokenizer = parse(&path, bytes)?;
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

/// The content of a file that may be absent.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > MOST_BYTES => Err(Error::Text {
            what: path.display().to_string(),
            problem: format!("it has more than {} MiB", MOST_BYTES >> 20),
            advice: "Download it again: no published file of this name is so large".into(),
        }),
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, &error, "Check the file and your rights to read it")),
    }
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<tokenizers::Tokenizer> {
    let problem = |problem: String| Error::Text {
        what: path.display().to_string(),
        problem: format!("it is not a tokenizer that can be read: {problem}"),
        advice: "Download it again; it may be cut or belong to a newer format".into(),
    };
    // The library panics on JSON that is cut in some places, and perhaps on other things.
    let steps: Steps = serde_json::from_slice(&bytes).map_err(|error| problem(error.to_string()))?;
    steps.check().map_err(problem)?;
    let parsed = catch_unwind(AssertUnwindSafe(|| tokenizers::Tokenizer::from_bytes(bytes)));
    let tokenizer = parsed.map_err(|_| problem("its reader failed".into()))?;
    let tokenizer = tokenizer.map_err(|error| problem(error.to_string()))?;
    // Further tokens are counted on from the largest id.
    match tokenizer.get_added_tokens_decoder().keys().max() {
        Some(id) if *id as usize >= LARGEST_VOCABULARY => {
            Err(problem(format!("it has a token {id}, expected ids below {LARGEST_VOCABULARY}")))
        }
        _ => Ok(tokenizer),
    }
}

/// An absent file says nothing; a broken one is an error.
fn read_json(path: &Path) -> Result<Value> {
    let Some(bytes) = read_file(path)? else { return Ok(Value::Null) };
    serde_json::from_slice(&bytes).map_err(|error| Error::Text {
        what: path.display().to_string(),
        problem: format!("it is not valid JSON: {error}"),
        advice: "Download it again".into(),
    })
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
    if let Some(bytes) = read_file(&path)? {
        let utf8 =
            |_| Error::io(&path, &ErrorKind::InvalidData.into(), "The chat template must be a text file in UTF-8");
        return String::from_utf8(bytes).map(Some).map_err(utf8);
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
