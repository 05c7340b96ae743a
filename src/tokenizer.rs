//! Text to token ids and back, over the `tokenizers` crate (the file format is Hugging Face's tokenizer.json).
//!
//! Three things are decided here and nowhere else. BOS: added once, if the model wants one, whether its post-processor or its
//! configuration says so. Trust: only text of the template may name special tokens; the text of a user or a document is
//! data, and `<|im_start|>` inside it stays nine characters that open no turn. Source: every token knows the bytes it was made
//! from, so that a block of the context can be shown as a passage of a document.

mod deadline;
mod folder;
mod growth;
mod token_bytes;

use std::collections::HashSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use deadline::{Deadline, Patience};
use serde_json::Value;
use token_bytes::{Assembly, TokenBytes};
use tokenizers::{ModelWrapper, PreTokenizerWrapper};

use crate::error::{Error, Result};

/// Ids above this are taken for a damaged file: tables are allocated by the largest id.
const LARGEST_VOCABULARY: usize = 1 << 22;

fn tokenizer_error(problem: impl Into<String>, advice: &str) -> Error {
    Error::Text { what: "tokenizer".into(), problem: problem.into(), advice: advice.into() }
}

/// The library has been seen to panic at damaged files; that is no reason to end the program.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| tokenizer_error("its file makes the library panic that reads it", "Download the file again"))
}

/// What a model's files say beside the vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The token that begins every text.
    pub bos: Option<u32>,
    /// The tokens that end an answer; the first is the one that templates write.
    pub eos: Vec<u32>,
    /// Whether the model wants `bos` in front.
    pub add_bos: bool,
    /// The Jinja source of the chat template.
    pub chat_template: Option<String>,
}

/// A part of a prompt for [`Tokenizer::encode_pieces`].
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether special tokens in it are meant: true for the template's own text only.
    pub trusted: bool,
}

/// A token and the bytes it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcedToken {
    /// The id.
    pub id: u32,
    /// Which piece it begins in. For BOS the first.
    pub piece: usize,
    /// Bytes of that piece's text. One piece's ranges follow each other without gaps; where several tokens make one
    /// character, the first has its bytes and the others are empty.
    pub range: Range<usize>,
}

/// Encodes and decodes for one model.
pub struct Tokenizer {
    /// Finds special tokens in text.
    trusting: Arc<tokenizers::Tokenizer>,
    /// The same, but blind to them.
    plain: Arc<tokenizers::Tokenizer>,
    /// The one for text inside a prompt, of vocabularies that put a space before the first word of all and no other.
    inside: Option<Arc<tokenizers::Tokenizer>>,
    deadline: Deadline,
    bytes: Arc<TokenBytes>,
    special: HashSet<u32>,
    /// Special tokens that must not come out of plain text: all but the one for unknown characters.
    forbidden: HashSet<u32>,
    settings: Settings,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("settings", &self.settings)
            .finish()
    }
}

impl Tokenizer {
    /// Reads tokenizer.json and, where they exist, tokenizer_config.json, generation_config.json, config.json and
    /// chat_template.jinja of a Hugging Face folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut tokenizer = guarded(|| {
            let (tokenizer, settings) = folder::read(folder)?;
            Self::from_parts(tokenizer, settings)
        })??;
        tokenizer.deadline.name = folder.join("tokenizer.json").display().to_string();
        Ok(tokenizer)
    }

    /// For vocabularies from other files (GGUF).
    pub fn from_parts(mut trusting: tokenizers::Tokenizer, settings: Settings) -> Result<Self> {
        // A file may ask for cutting and padding, which belong to training.
        trusting.with_padding(None);
        let damaged =
            |error: tokenizers::Error| tokenizer_error(error.to_string(), "The file is damaged: download it again");
        trusting.with_truncation(None).map_err(damaged)?;
        trusting.set_encode_special_tokens(false);
        let bytes = Arc::new(TokenBytes::new(&trusting)?);
        let added = trusting.get_added_tokens_decoder();
        let special: HashSet<u32> = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        let unknown = match trusting.get_model() {
            ModelWrapper::BPE(model) => model.unk_token.as_deref(),
            ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
            ModelWrapper::Unigram(_) => Some("<unk>"),
        };
        let unknown = unknown.and_then(|token| trusting.token_to_id(token));
        let forbidden = special.iter().copied().filter(|&id| Some(id) != unknown).collect();
        for id in settings.bos.iter().chain(&settings.eos) {
            if *id as usize >= bytes.len() {
                let problem =
                    format!("BOS or EOS is token {id}, but the vocabulary ends at {}", bytes.len().saturating_sub(1));
                return Err(tokenizer_error(
                    problem,
                    "The files of this folder do not belong together: download them again",
                ));
            }
        }
        let mut plain = trusting.clone();
        plain.set_encode_special_tokens(true);
        let inside = without_first_space(&plain)?.map(Arc::new);
        let (trusting, plain, deadline) = (Arc::new(trusting), Arc::new(plain), Deadline::default());
        Ok(Self { trusting, plain, inside, deadline, bytes, special, forbidden, settings })
    }

    /// What the model's files say beside the vocabulary.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One more than the largest token id.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// Fails if a token could be outside the model's embedding table of `rows`. A table with spare rows is usual.
    pub fn check_vocabulary(&self, rows: usize) -> Result<()> {
        if self.vocab_size() <= rows {
            return Ok(());
        }
        let problem =
            format!("it has {} tokens, expected at most the {rows} of the model's vocab_size", self.vocab_size());
        Err(tokenizer_error(problem, "Use the tokenizer.json that was published with these weights"))
    }

    /// Whether `id` ends an answer.
    pub fn is_eos(&self, id: u32) -> bool {
        self.settings.eos.contains(&id)
    }

    /// Whether `id` is a special token, which decoding leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The texts of all special tokens.
    pub fn special_texts(&self) -> impl Iterator<Item = String> {
        self.special.iter().map(|&id| self.token_text(id))
    }

    /// Token ids of a text in which special tokens are meant as such. `with_bos` adds BOS if the model wants one and
    /// the text does not begin with it.
    pub fn encode(&self, text: &str, with_bos: bool) -> Result<Vec<u32>> {
        let tokens = self.encode_pieces(&[Piece { text, trusted: true }], with_bos)?;
        Ok(tokens.into_iter().map(|token| token.id).collect())
    }

    /// Token ids of a document or of what a user wrote: special tokens in it are ordinary characters. No BOS.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode_with_offsets(text)?.into_iter().map(|(id, _)| id).collect())
    }

    /// [`Self::encode_plain`] with the bytes of `text` that each token was made from, without gaps.
    pub fn encode_with_offsets(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        self.encode_part(text, true, &mut self.deadline.patience(text.len()))
    }

    /// The same for a text of which it is known whether a prompt begins with it.
    fn encode_part(&self, text: &str, begins: bool, patience: &mut Patience) -> Result<Vec<(u32, Range<usize>)>> {
        let inside = self.inside.as_ref().unwrap_or(&self.plain);
        // No special token may come out of plain text by another way than the added vocabulary (some models look up whole
        // words first). Words in which that happens are cut after their first character and encoded in two.
        let mut cuts = vec![0, text.len()];
        for _ in 0..8 {
            let mut tokens = Vec::new();
            for border in cuts.windows(2) {
                let &[from, to] = border else { continue };
                let tokenizer = if begins && from == 0 { &self.plain } else { inside };
                let part = text.get(from..to).unwrap_or_default();
                let encoding = self.deadline.encode(tokenizer, part, patience)?;
                tokens.extend(
                    tiled(&encoding, part).into_iter().map(|(id, range)| (id, range.start + from..range.end + from)),
                );
            }
            let known = cuts.len();
            for (_, range) in tokens.iter().filter(|(id, _)| self.forbidden.contains(id)) {
                let first = text.get(range.clone()).and_then(|word| word.chars().next());
                cuts.push(range.start + first.map_or(0, char::len_utf8));
            }
            if cuts.len() == known {
                return Ok(tokens);
            }
            cuts.sort_unstable();
            cuts.dedup();
        }
        let advice = "Look for control characters in the text and take them out";
        Err(tokenizer_error("ordinary characters of the text become special tokens of this model", advice))
    }

    /// Token ids of a prompt made of parts, exactly as if it were one text in which the parts that are not trusted are plain.
    pub fn encode_pieces(&self, pieces: &[Piece<'_>], with_bos: bool) -> Result<Vec<SourcedToken>> {
        let patience = self.deadline.patience(pieces.iter().map(|piece| piece.text.len()).sum());
        let mut prompt =
            Prompt { tokenizer: self, tokens: Vec::new(), run: String::new(), parts: Vec::new(), patience };
        for (index, piece) in pieces.iter().enumerate() {
            let mut done = 0;
            if piece.trusted {
                let encoding = self.deadline.encode(&self.trusting, piece.text, &mut prompt.patience)?;
                for (&id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
                    if self.forbidden.contains(&id) && start >= done && end <= piece.text.len() {
                        prompt.append(index, done, piece.text.get(done..start).unwrap_or_default());
                        prompt.flush()?;
                        prompt.tokens.push(SourcedToken { id, piece: index, range: start..end });
                        done = end;
                    }
                }
            }
            prompt.append(index, done, piece.text.get(done..).unwrap_or_default());
        }
        prompt.flush()?;
        let mut tokens = prompt.tokens;
        if let (true, true, Some(bos)) = (with_bos, self.settings.add_bos, self.settings.bos)
            && tokens.first().map(|token| token.id) != Some(bos)
        {
            tokens.insert(0, SourcedToken { id: bos, piece: 0, range: 0..0 });
        }
        Ok(tokens)
    }

    /// The text of `ids`, without special tokens.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = StreamDecoder::new(self);
        let mut text = String::new();
        for &id in ids {
            decoder.push_to(id, &mut text);
        }
        decoder.state.finish(&mut text);
        text
    }

    /// One token for display, special ones too: its text, or its bytes as `<0xE4>` where they are no complete character.
    pub fn token_text(&self, id: u32) -> String {
        let bytes = self.bytes.of(id);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| format!("<0x{byte:02X}>")).collect(),
        }
    }
}

/// The tokens of a prompt that is being put together. Plain text is collected over piece borders, up to the next special token.
struct Prompt<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<SourcedToken>,
    run: String,
    /// For each part of `run`: where it starts there, its piece, and where it starts in the piece.
    parts: Vec<(usize, usize, usize)>,
    patience: Patience,
}

impl Prompt<'_> {
    fn append(&mut self, piece: usize, start: usize, text: &str) {
        if !text.is_empty() {
            self.parts.push((self.run.len(), piece, start));
            self.run.push_str(text);
        }
    }

    fn flush(&mut self) -> Result<()> {
        for (id, range) in self.tokenizer.encode_part(&self.run, self.tokens.is_empty(), &mut self.patience)? {
            let at = self.parts.partition_point(|part| part.0 <= range.start).saturating_sub(1);
            let Some(&(part_start, piece, piece_start)) = self.parts.get(at) else { continue };
            let part_end = self.parts.get(at + 1).map_or(self.run.len(), |part| part.0);
            let start = range.start.max(part_start) - part_start + piece_start;
            let end = range.end.min(part_end).max(part_start) - part_start + piece_start;
            self.tokens.push(SourcedToken { id, piece, range: start..end.max(start) });
        }
        self.run.clear();
        self.parts.clear();
        Ok(())
    }
}

/// The tokenizer for what does not begin a text, where that differs: its Metaspace has the scheme "first".
fn without_first_space(plain: &tokenizers::Tokenizer) -> Result<Option<tokenizers::Tokenizer>> {
    let damaged = |error: serde_json::Error| tokenizer_error(error.to_string(), "Download tokenizer.json again");
    let mut steps = serde_json::to_value(plain.get_pre_tokenizer()).map_err(damaged)?;
    if !forget_first(&mut steps) {
        return Ok(None);
    }
    let steps: PreTokenizerWrapper = serde_json::from_value(steps).map_err(damaged)?;
    let mut inside = plain.clone();
    inside.with_pre_tokenizer(Some(steps));
    Ok(Some(inside))
}

/// Makes every scheme "first" a "never", and tells whether there was one.
fn forget_first(steps: &mut Value) -> bool {
    let inner = steps.get_mut("pretokenizers").and_then(Value::as_array_mut);
    let mut found = false;
    for step in inner.into_iter().flatten() {
        found |= forget_first(step);
    }
    if let Some(scheme) = steps.get_mut("prepend_scheme").filter(|scheme| **scheme == "first") {
        *scheme = "never".into();
        found = true;
    }
    found
}

/// Ids with byte ranges that tile the text: spaces that some tokenizers leave out of their offsets belong to the following token.
fn tiled(encoding: &tokenizers::Encoding, text: &str) -> Vec<(u32, Range<usize>)> {
    let mut done = 0;
    let mut tokens: Vec<(u32, Range<usize>)> = Vec::with_capacity(encoding.len());
    for (&id, &(_, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
        let mut end = end.clamp(done, text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        tokens.push((id, done..end));
        done = end;
    }
    if let Some(last) = tokens.last_mut() {
        last.1.end = text.len();
    }
    tokens
}

/// Decodes an answer token by token. What it returned never changes: bytes of an unfinished character are held back.
pub struct StreamDecoder {
    bytes: Arc<TokenBytes>,
    state: Assembly,
}

impl StreamDecoder {
    /// At the start of a text.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Self { bytes: Arc::clone(&tokenizer.bytes), state: Assembly::new(&tokenizer.bytes) }
    }

    /// The text that `id` completes; often empty.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        self.push_to(id, &mut text);
        text
    }

    /// The rest, when the answer has ended: U+FFFD if it stopped inside a character.
    pub fn finish(mut self) -> String {
        let mut text = String::new();
        self.state.finish(&mut text);
        text
    }

    fn push_to(&mut self, id: u32, text: &mut String) {
        self.state.push(&self.bytes, id, text);
    }
}
