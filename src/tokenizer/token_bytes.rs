//! Tokens back to text: the bytes of each vocabulary entry, worked out once, and UTF-8 put together from them.
//!
//! A tokenizer.json describes decoding as a chain of steps over strings. The chains of language models are of two families:
//! byte-level (every character of an entry stands for one byte) and SentencePiece ("▁" is a space, `<0xNN>` is a byte, the first
//! space of a text may be one that the encoder put there). Bytes per entry say the same and can be streamed: what
//! was printed never changes when more tokens come. Invalid UTF-8 becomes U+FFFD as in [`String::from_utf8_lossy`].

use std::collections::HashMap;

use serde_json::Value;

use super::growth::MOST_STEPS;
use super::tokenizer_error;
use crate::error::Result;

/// Ids that a vocabulary may leave out: the table has a row for each.
const SPARE_IDS: usize = 1 << 16;

/// What all tokens together may have: the largest published vocabularies come to some megabytes.
const MOST_BYTES: usize = 64 << 20;

/// Bytes of every token, and what to do at the start of a text.
pub(super) struct TokenBytes {
    /// By id; empty for ids without an entry.
    bytes: Vec<Box<[u8]>>,
    /// Special tokens: they have a text but print nothing.
    silent: Vec<bool>,
    /// How many leading spaces of a text were put there by the encoder.
    leading_spaces: usize,
}

/// The steps of a decoder, as far as they matter.
#[derive(Default)]
struct Rules {
    byte_level: bool,
    byte_fallback: bool,
    replacements: Vec<(String, String)>,
    leading_spaces: usize,
}

impl Rules {
    fn read(&mut self, step: &Value) -> Result<()> {
        let text = |key: &str| step.get(key).and_then(Value::as_str).map(str::to_owned);
        match step.get("type").and_then(Value::as_str) {
            Some("Sequence") => {
                for inner in step.get("decoders").and_then(Value::as_array).into_iter().flatten() {
                    self.read(inner)?;
                }
            }
            Some("ByteLevel") => self.byte_level = true,
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Fuse") => {}
            Some("Metaspace") => {
                self.replacements.push((text("replacement").unwrap_or_else(|| "▁".into()), " ".into()));
                if text("prepend_scheme").as_deref() != Some("never") {
                    self.leading_spaces = 1;
                }
            }
            Some("Replace") => {
                let pattern = step.get("pattern").and_then(|p| p.get("String")).and_then(Value::as_str);
                match (pattern, text("content")) {
                    (Some(pattern), Some(content)) => self.replacements.push((pattern.into(), content)),
                    _ => return Err(unknown_decoder("Replace with a regular expression")),
                }
            }
            Some("Strip") => {
                let count = |key: &str| step.get(key).and_then(Value::as_u64).unwrap_or(0);
                if text("content").as_deref() != Some(" ") || count("stop") != 0 {
                    return Err(unknown_decoder("Strip of something else than leading spaces"));
                }
                self.leading_spaces = usize::try_from(count("start")).unwrap_or(usize::MAX);
            }
            Some(other) => return Err(unknown_decoder(other)),
            None => return Err(unknown_decoder("none")),
        }
        Ok(())
    }
}

fn unknown_decoder(found: &str) -> crate::error::Error {
    tokenizer_error(
        format!("its decoder ({found}) is not of the byte-level or the SentencePiece family"),
        "Use a model with one of these two kinds of tokenizer",
    )
}

impl TokenBytes {
    /// Reads the decoder of `tokenizer` and applies it to every entry.
    pub(super) fn new(tokenizer: &tokenizers::Tokenizer) -> Result<Self> {
        let decoder = serde_json::to_value(tokenizer.get_decoder())
            .map_err(|error| tokenizer_error(error.to_string(), "The tokenizer.json is damaged: download it again"))?;
        let mut rules = Rules::default();
        rules.read(&decoder)?;
        if rules.replacements.len() > MOST_STEPS {
            let problem = format!("its decoder has {} steps, expected at most {MOST_STEPS}", rules.replacements.len());
            return Err(tokenizer_error(problem, "The tokenizer.json is damaged: download it again"));
        }

        let vocabulary = tokenizer.get_vocab(true);
        let entries = vocabulary.values().max().map_or(0, |&largest| largest as usize + 1);
        let most = super::LARGEST_VOCABULARY.min(vocabulary.len() + SPARE_IDS);
        if entries > most {
            let problem =
                format!("it has {} tokens with ids up to {}, expected ids below {most}", vocabulary.len(), entries - 1);
            return Err(tokenizer_error(problem, "The tokenizer.json is damaged: download it again"));
        }
        let mut table = Self {
            bytes: vec![Box::default(); entries],
            silent: vec![false; entries],
            leading_spaces: rules.leading_spaces,
        };
        let byte_of = byte_of_character();
        let mut room = MOST_BYTES;
        for (token, id) in vocabulary {
            let bytes = bytes_of(&token, &rules, &byte_of, room).ok_or_else(|| {
                let problem = format!("its decoder makes more than {} MiB of its tokens", MOST_BYTES >> 20);
                tokenizer_error(problem, "The tokenizer.json is damaged: download it again")
            })?;
            room -= bytes.len();
            table.bytes[id as usize] = bytes;
        }
        for (id, added) in tokenizer.get_added_tokens_decoder() {
            if let Some(bytes) = table.bytes.get_mut(id as usize) {
                table.silent[id as usize] = added.special;
                if added.special {
                    *bytes = added.content.into_bytes().into();
                }
            }
        }
        Ok(table)
    }

    /// One more than the largest id.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The entry's bytes, special ones too.
    pub(super) fn of(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    fn printed(&self, id: u32) -> &[u8] {
        if self.silent.get(id as usize) == Some(&false) { self.of(id) } else { &[] }
    }
}

/// The text of an entry as bytes; nothing where that, or a step on the way, takes more than `room`.
fn bytes_of(token: &str, rules: &Rules, byte_of: &HashMap<char, u8>, room: usize) -> Option<Box<[u8]>> {
    if rules.byte_level {
        // An entry with a character outside the table was added as plain text.
        let mapped: Option<Vec<u8>> = token.chars().map(|character| byte_of.get(&character).copied()).collect();
        let bytes = mapped.unwrap_or_else(|| token.as_bytes().to_vec());
        return (bytes.len() <= room).then(|| bytes.into());
    }
    if rules.byte_fallback
        && let Some(digits) = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'))
        && digits.len() == 2
        && let Ok(byte) = u8::from_str_radix(digits, 16)
    {
        return (room > 0).then(|| Box::from([byte]));
    }
    let mut text = token.to_owned();
    for (from, to) in &rules.replacements {
        let added = text.matches(from.as_str()).count().saturating_mul(to.len());
        if text.len().saturating_add(added) > room {
            return None;
        }
        text = text.replace(from, to);
    }
    (text.len() <= room).then(|| text.into_bytes().into())
}

/// The alphabet of byte-level vocabularies (GPT-2): printable Latin-1 bytes stand for themselves, the others for the characters from
/// U+0100 on, in order.
fn byte_of_character() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .filter_map(|byte| {
            let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let code = if printable { u32::from(byte) } else { next };
            next += u32::from(!printable);
            char::from_u32(code).map(|character| (character, byte))
        })
        .collect()
}

/// The state between two tokens of a text that is being printed.
pub(super) struct Assembly {
    /// The start of a character whose other bytes are still to come.
    pending: Vec<u8>,
    spaces_to_drop: usize,
}

impl Assembly {
    pub(super) fn new(table: &TokenBytes) -> Self {
        Self { pending: Vec::new(), spaces_to_drop: table.leading_spaces }
    }

    /// Appends to `text` whatever `id` completes.
    pub(super) fn push(&mut self, table: &TokenBytes, id: u32, text: &mut String) {
        let mut bytes = table.printed(id);
        while self.spaces_to_drop > 0 && !bytes.is_empty() {
            match bytes.strip_prefix(b" ") {
                Some(rest) => {
                    bytes = rest;
                    self.spaces_to_drop -= 1;
                }
                None => self.spaces_to_drop = 0,
            }
        }
        self.pending.extend_from_slice(bytes);
        let mut incomplete = 0;
        let mut chunks = self.pending.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && could_continue(chunk.invalid()) {
                incomplete = chunk.invalid().len();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending.drain(..self.pending.len() - incomplete);
    }

    /// What is left when no more tokens come: a cut character is shown as U+FFFD.
    pub(super) fn finish(&mut self, text: &mut String) {
        if !self.pending.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            self.pending.clear();
        }
    }
}

/// Whether these bytes are the beginning of a character, so that more of them may make it valid.
fn could_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
