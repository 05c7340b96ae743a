//! How much longer a tokenizer.json may make a text before it becomes tokens. A few lines of JSON can ask for a text as large as
//! all memory (twelve steps, each of which writes eight letters for one), and no allocation that fails can be caught, so the
//! steps are looked at before the library gets them.

use serde::Deserialize;
use serde_json::Value;

/// Times that all steps together may lengthen a text. Published ones write three bytes for a space, or two characters for a byte;
/// normal forms of Unicode, which no repetition makes longer, do not count.
const MOST: usize = 64;
/// Steps that a file may have: each goes over the whole text.
pub(super) const MOST_STEPS: usize = 64;

/// The parts of the file that change texts.
#[derive(Deserialize)]
pub(super) struct Steps {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
}

impl Steps {
    /// What is wrong with them, if something is.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut steps = 0;
        let normalizer = factor(&self.normalizer, &mut steps)?;
        let factor = normalizer.saturating_mul(factor(&self.pre_tokenizer, &mut steps)?);
        if steps > MOST_STEPS {
            return Err(format!("it has {steps} steps, expected at most {MOST_STEPS}"));
        }
        if factor <= MOST {
            return Ok(());
        }
        Err(format!("its steps make a text up to {factor} times as long, expected at most {MOST} times"))
    }
}

/// The most bytes that a step makes of one. Counts it, and those in it.
fn factor(step: &Value, steps: &mut usize) -> Result<usize, String> {
    *steps += 1;
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    // Older files leave the type out: what a step holds tells what it does.
    let inner = ["normalizers", "pretokenizers"].into_iter().filter_map(|key| step.get(key)?.as_array()).flatten();
    let mut product = 1usize;
    for step in inner {
        product = product.saturating_mul(factor(step, steps)?);
    }
    let own = match (text("type"), step.get("pattern"), text("content"), text("precompiled_charsmap")) {
        (_, _, _, Some(map)) => longest_entry(map)?,
        (_, Some(pattern), Some(content), _) => match pattern.get("String").and_then(Value::as_str) {
            Some(pattern) if !pattern.is_empty() => content.len().div_ceil(pattern.len()).max(1),
            // It may match nothing at all, between any two characters.
            _ => content.len() + 1,
        },
        (Some("ByteLevel" | "BertNormalizer" | "Metaspace"), ..) => step.get("replacement").map_or(2, |_| 4),
        _ => text("prepend").map_or(1, |prefix| prefix.len() + 1),
    };
    Ok(product.saturating_mul(own))
}

/// Bytes of the longest text that a compiled table of SentencePiece writes for a character.
fn longest_entry(map: &str) -> Result<usize, String> {
    let damaged = || "its precompiled_charsmap is damaged".to_owned();
    let bytes = from_base64(map).ok_or_else(damaged)?;
    let (size, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).ok_or_else(damaged)?;
    Ok(texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1))
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut word) = (0, 0u32);
    for character in text.trim_end_matches('=').bytes() {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(normalizer: Value, pre_tokenizer: Value) -> Result<(), String> {
        Steps { normalizer, pre_tokenizer }.check()
    }

    fn replace(pattern: Value, content: &str) -> Value {
        json!({ "type": "Replace", "pattern": pattern, "content": content })
    }

    #[test]
    fn steps_of_published_files_pass() {
        let metaspace =
            json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true });
        let prepend = json!({ "type": "Prepend", "prepend": "\u{2581}" });
        let llama =
            json!({ "type": "Sequence", "normalizers": [prepend, replace(json!({ "String": " " }), "\u{2581}")] });
        assert_eq!(check(llama, Value::Null), Ok(()));
        assert_eq!(check(json!({ "type": "NFKC" }), metaspace), Ok(()));
        let split =
            json!({ "type": "Split", "pattern": { "Regex": "\\p{L}+" }, "behavior": "Isolated", "invert": false });
        let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": false });
        assert_eq!(check(Value::Null, json!({ "type": "Sequence", "pretokenizers": [split, byte_level] })), Ok(()));
        let spaces = replace(json!({ "Regex": " {2,}" }), " ");
        assert_eq!(check(spaces, Value::Null), Ok(()));
    }

    #[test]
    fn steps_that_multiply_are_refused() {
        let eight = || replace(json!({ "String": "a" }), "aaaaaaaa");
        assert_eq!(check(json!({ "type": "Sequence", "normalizers": [eight(), eight()] }), Value::Null), Ok(()));
        let three = json!({ "normalizers": [eight(), { "type": "Sequence", "normalizers": [eight(), eight()] }] });
        assert!(check(three, Value::Null).unwrap_err().contains("512 times"));
        let long = "b".repeat(100);
        assert!(check(replace(json!({ "Regex": "" }), &long), Value::Null).is_err());
        assert!(check(replace(json!({ "String": "" }), &long), Value::Null).is_err());
        assert!(check(json!({ "type": "Prepend", "prepend": long }), Value::Null).is_err());
        let nothing = vec![replace(json!({ "String": "a" }), "b"); 100];
        assert!(
            check(json!({ "type": "Sequence", "normalizers": nothing }), Value::Null).unwrap_err().contains("steps")
        );
        let bytes = vec![json!({ "type": "ByteLevel" }); 7];
        assert!(check(Value::Null, json!({ "type": "Sequence", "pretokenizers": bytes })).is_err());
    }

    #[test]
    fn compiled_tables_are_measured() {
        let charsmap = |trie: u32, texts: &str| {
            let bytes: Vec<u8> = trie.to_le_bytes().into_iter().chain([7; 8]).chain(texts.bytes()).collect();
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut text = String::new();
            for three in bytes.chunks(3) {
                let word = three.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
                text.extend((0..=three.len()).map(|i| char::from(digits[(word >> (18 - 6 * i)) as usize & 63])));
                text.extend(std::iter::repeat_n('=', 3 - three.len()));
            }
            json!({ "type": "Precompiled", "precompiled_charsmap": text })
        };
        assert_eq!(check(charsmap(8, "abc\0de\0"), Value::Null), Ok(()));
        assert!(check(charsmap(8, &"x".repeat(100)), Value::Null).unwrap_err().contains("100 times"));
        // A trie larger than the file.
        assert!(check(charsmap(u32::MAX, "abc\0"), Value::Null).unwrap_err().contains("damaged"));
    }
}
