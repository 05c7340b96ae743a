//! What the scripted engine makes of a prompt: pieces in place of tokens, a context map, and a quotation for an answer.

use crate::desktop::messages::{GenerateRequest, ModelChoice, Role, Source};
use crate::desktop::trace_data::ContextMap;

/// A sentence of a document.
pub(super) struct Quote {
    pub(super) document: u64,
    pub(super) bytes: std::ops::Range<u32>,
    pub(super) sentence: String,
}

pub(super) fn model_name(choice: &ModelChoice) -> String {
    match choice {
        ModelChoice::BuiltIn => "Foveal Tiny".into(),
        ModelChoice::Path(path) => path.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned()),
    }
}

/// Cuts a text into pieces of about four bytes, never inside a character, words first.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
        for (at, letter) in rest.char_indices().skip(1) {
            if at >= 6 || letter == ' ' || letter == '\n' {
                break;
            }
            end = at + letter.len_utf8();
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

pub(super) fn context_map(request: &GenerateRequest) -> ContextMap {
    let mut map = ContextMap::default();
    let mut add = |source: Source, text: &str| {
        let mut at = 0;
        for piece in pieces(text) {
            let end = at + u32::try_from(piece.len()).unwrap_or(0);
            map.push(source, at..end);
            at = end;
        }
    };
    if !request.system.is_empty() {
        add(Source::Template, "<|im_start|>system\n");
        add(Source::System, &request.system);
    }
    for turn in &request.turns {
        add(Source::Template, "<|im_start|>\n");
        for document in &turn.documents {
            add(Source::Document(document.id), &document.text);
            add(Source::Template, "\n\n");
        }
        add(Source::Turn(turn.message), &turn.text);
    }
    add(Source::Template, "<|im_start|>assistant\n");
    map
}

/// The sentence that shares most long words with the question.
pub(super) fn find_quote(request: &GenerateRequest) -> Option<Quote> {
    let question = request.turns.last()?.text.to_lowercase();
    let words: Vec<&str> =
        question.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() > 3).collect();
    let mut best: Option<(usize, Quote)> = None;
    for document in request.turns.iter().flat_map(|turn| &turn.documents) {
        let mut at = 0;
        for sentence in document.text.split_inclusive(['.', '\n', '。']) {
            let lower = sentence.to_lowercase();
            let shared = words.iter().filter(|word| lower.contains(**word)).count();
            if shared > best.as_ref().map_or(0, |(count, _)| *count) {
                let bytes = u32::try_from(at).unwrap_or(0)..u32::try_from(at + sentence.len()).unwrap_or(0);
                best = Some((shared, Quote { document: document.id, bytes, sentence: sentence.trim().into() }));
            }
            at += sentence.len();
        }
    }
    best.map(|(_, quote)| quote)
}

pub(super) fn answer_text(request: &GenerateRequest, quote: Option<&Quote>) -> String {
    let documents: usize = request.turns.iter().map(|turn| turn.documents.len()).sum();
    let questions = request.turns.iter().filter(|turn| turn.role == Role::User).count();
    match quote {
        Some(quote) => format!(
            "{}\n\nThis stands in the text as written. What I looked at:\n\n1. the **names** in the question,\n2. the \
             sentence that holds them,\n3. the lines around it, in case something there takes it back.\n\nNothing else \
             in the text speaks against it.",
            quote.sentence
        ),
        None if documents > 0 => "I cannot find that in the text.".into(),
        None => format!(
            "Hello! This is answer **{questions}** of the scripted engine. It can show:\n\n- lists,\n- `code`, and\n- \
             tables.\n\n| what | how many |\n|---|---:|\n| documents | {documents} |\n| questions | {questions} \
             |\n\n```rust\nfn main() {{\n    println!(\"hello\");\n}}\n```\n"
        ),
    }
}
