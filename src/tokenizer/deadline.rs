//! Encoding that ends. The patterns of a tokenizer.json are its author's, nothing bounds what they take on a long text, and
//! the library that matches them cannot be interrupted. So a text is encoded on a thread of its own, for which the caller waits
//! only so long. A thread that is given up works on until the program ends, as nothing can stop it; its tokenizer is not used
//! again, so that no further ones join it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tokenizers::{Encoding, Tokenizer};

use crate::error::{Error, Result};

/// Published tokenizers take a millionth of a second a byte, a tenth as many bytes where nothing is optimised.
const LEAST: Duration = Duration::from_secs(20);
const BYTES_A_SECOND: usize = 20_000;
/// Waiting is counted in pieces: the time that a computer sleeps is one of them.
const PIECE: Duration = Duration::from_millis(100);

/// How long one tokenizer is waited for.
pub(super) struct Deadline {
    /// The tokenizer in errors: its file, if it has one of its own.
    pub(super) name: String,
    least: Duration,
    bytes_a_second: usize,
    missed: AtomicBool,
}

/// What is left of the time for one text, which may be encoded in several parts.
pub(super) struct Patience {
    bytes: usize,
    limit: Duration,
    left: Duration,
}

impl Default for Deadline {
    fn default() -> Self {
        Self { name: "tokenizer".into(), least: LEAST, bytes_a_second: BYTES_A_SECOND, missed: AtomicBool::new(false) }
    }
}

impl Deadline {
    /// The time for a text of so many bytes.
    pub(super) fn patience(&self, bytes: usize) -> Patience {
        let limit = self.least + Duration::from_secs((bytes / self.bytes_a_second) as u64);
        Patience { bytes, limit, left: limit }
    }

    /// The tokens of a text or a part of it.
    pub(super) fn encode(&self, tokenizer: &Arc<Tokenizer>, part: &str, patience: &mut Patience) -> Result<Encoding> {
        if self.missed.load(Ordering::Relaxed) {
            return Err(self.error("it took too long for an earlier text and is not used any more".into()));
        }
        let (sender, receiver) = channel();
        let (tokenizer, own_part) = (Arc::clone(tokenizer), part.to_owned());
        let work = move || {
            // The library has been seen to panic at damaged files; that is no reason to end the program.
            let encoded = catch_unwind(AssertUnwindSafe(|| tokenizer.encode(own_part, false)));
            // Nobody listens when it took too long.
            let _ = sender.send(encoded);
        };
        let started = std::thread::Builder::new().name("tokenizer".into()).spawn(work);
        started.map_err(|error| self.error(format!("its thread cannot be started: {error}")))?;
        while !patience.left.is_zero() {
            let waiting = Instant::now();
            let received = receiver.recv_timeout(PIECE);
            patience.left = patience.left.saturating_sub(waiting.elapsed().min(PIECE));
            match received {
                Ok(Ok(encoded)) => return encoded.map_err(|error| self.error(error.to_string())),
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.error("its file makes the library panic that reads it".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.missed.store(true, Ordering::Relaxed);
        let (bytes, seconds) = (patience.bytes, patience.limit.as_secs_f32());
        Err(self.error(format!(
            "{bytes} bytes of text were not encoded within {seconds} s, which published tokenizers do in a moment: a pattern \
             in its file runs away"
        )))
    }

    fn error(&self, problem: String) -> Error {
        let advice = "Use the tokenizer.json that was published with the model".into();
        Error::Text { what: self.name.clone(), problem, advice }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::Tokenizer;
    use super::*;

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tokenizers/byte_level.json");

    /// The tokenizer of the tests, whose words are cut by `pattern`.
    fn with_pattern(folder: &Path, pattern: &str) -> Tokenizer {
        let mut file: Value = serde_json::from_slice(&std::fs::read(DATA).unwrap()).unwrap();
        let split =
            json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
        file["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [split, bytes] });
        std::fs::write(folder.join("tokenizer.json"), file.to_string()).unwrap();
        Tokenizer::from_folder(folder).unwrap()
    }

    #[test]
    fn a_pattern_that_runs_away_is_an_error_in_time() {
        let folder = tempfile::tempdir().unwrap();
        // At each letter it looks through all the rest of the text for what is not there.
        let mut tokenizer = with_pattern(folder.path(), "(?=[^\\x00]*\\x00)x|[^\\x00]");
        tokenizer.deadline.least = Duration::from_millis(500);
        tokenizer.deadline.bytes_a_second = 1_000_000;
        assert_eq!(tokenizer.encode_plain("a few words").unwrap().len(), 11, "short texts are none the worse");
        let text = "a few words ".repeat(20_000);
        let started = Instant::now();
        let error = tokenizer.encode_plain(&text).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        for part in ["tokenizer.json", "240000 bytes", "0.5 s", "published with the model"] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        // No second thread is left behind.
        let started = Instant::now();
        let error = tokenizer.encode("a", true).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(1) && error.contains("earlier text"), "{error}");
    }

    #[test]
    fn the_limit_grows_with_the_text_and_changes_no_result() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = with_pattern(folder.path(), "\\s+(?!\\S)|\\s?\\S+|\\s+");
        let library = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
        let text = "The harbour  of Old\tTown, 1911\n\n".repeat(3_000);
        let expected = library.encode(text.as_str(), false).unwrap().get_ids().to_vec();
        assert_eq!(tokenizer.encode_plain(&text).unwrap(), expected);
    }
}
