//! Documents with hidden facts, to measure whether a model finds them: written from a seed, or a text of the user's with a
//! sentence put into it.
//!
//! Facts lie between 4 and 84 % of a document's depth, since its beginning and end are read whatever the scores say. Beside
//! every fact that is asked for stands another one of its kind about something else.

mod words;

use std::ops::Range;

pub use self::words::Fact;
use self::words::Writer;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Where in a document facts may lie.
const DEPTHS: Range<f64> = 0.04..0.84;
/// Sentences of a paragraph.
const PARAGRAPH: usize = 6;

/// A question with its place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub question: String,
    /// What a right answer contains.
    pub answer: String,
    /// Bytes of the fact's sentence.
    pub fact: Range<usize>,
}

/// A document and what can be asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The text.
    pub document: String,
    /// The questions.
    pub probes: Vec<Probe>,
}

/// A document of about `tokens` tokens, never more, with `count` facts. The same seed gives the same one.
pub fn generated(tokenizer: &Tokenizer, tokens: usize, count: usize, seed: u64) -> Result<Task> {
    let mut writer = Writer::new(seed);
    let first_kind = writer.below(Writer::KINDS);
    let asked: Vec<Fact> = (0..count).map(|index| writer.fact(first_kind + index)).collect();
    let near: Vec<Fact> = (0..count).map(|index| writer.fact(first_kind + index)).collect();
    let mut room = tokens;
    for fact in asked.iter().chain(&near) {
        room = room.saturating_sub(tokenizer.encode_plain(&format!(" {}", fact.sentence))?.len());
    }
    let mut pieces = Vec::new();
    loop {
        let gap = if pieces.is_empty() { "" } else { gap_before(pieces.len()) };
        let piece = format!("{gap}{}", writer.filler());
        match room.checked_sub(tokenizer.encode_plain(&piece)?.len()) {
            Some(left) => room = left,
            None => break,
        }
        pieces.push(piece);
    }
    if pieces.is_empty() {
        return Err(too_short(tokens));
    }
    // Each asked fact has its own share of the depths, so that no part of the document is left out.
    let share = (DEPTHS.end - DEPTHS.start) / count.max(1) as f64;
    let mut hidden = Vec::new();
    for (index, fact) in asked.into_iter().enumerate() {
        let depth = DEPTHS.start + share * (index as f64 + writer.below(1000) as f64 / 1000.0);
        hidden.push((depth, fact, true));
    }
    for fact in near {
        hidden.push((writer.below(1000) as f64 / 1000.0, fact, false));
    }
    Ok(weave(&pieces, hidden))
}

/// The beginning of `text`, so that it has at most `tokens` tokens with `fact` in it at `depth` of 0 to 1.
pub fn hidden_in(tokenizer: &Tokenizer, text: &str, tokens: usize, fact: &Fact, depth: f64) -> Result<Task> {
    let own = tokenizer.encode_plain(&format!(" {}", fact.sentence))?.len();
    let mut room = tokens.checked_sub(own).ok_or_else(|| too_short(tokens))?;
    let mut pieces = Vec::new();
    for piece in sentences(text) {
        match room.checked_sub(tokenizer.encode_plain(piece)?.len()) {
            Some(left) => room = left,
            None => break,
        }
        pieces.push(piece.to_owned());
    }
    if pieces.is_empty() {
        return Err(too_short(tokens));
    }
    let depth = DEPTHS.start + depth * (DEPTHS.end - DEPTHS.start);
    Ok(weave(&pieces, vec![(depth, fact.clone(), true)]))
}

/// Whether an answer contains the words asked for, whatever the case and the marks between them.
pub fn is_right(given: &str, expected: &str) -> bool {
    let plain = |text: &str| {
        let spaced = text.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' });
        let words: Vec<String> =
            spaced.collect::<String>().to_lowercase().split_whitespace().map(str::to_owned).collect();
        format!(" {} ", words.join(" "))
    };
    plain(given).contains(&plain(expected))
}

fn gap_before(piece: usize) -> &'static str {
    if piece.is_multiple_of(PARAGRAPH) { "\n\n" } else { " " }
}

fn too_short(tokens: usize) -> Error {
    let expected = "enough for the facts and some text around them".into();
    Error::Usage { what: "--tokens".into(), expected, found: format!("{tokens} tokens of document") }
}

/// A text in sentences, each with the white space before it.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut before) = (0, ' ');
    for (at, character) in text.char_indices() {
        let ended = matches!(before, '.' | '!' | '?') && character.is_whitespace();
        let line = character == '\n' && before != '\n';
        if at > start && (ended || line) {
            found.push(&text[start..at]);
            start = at;
        }
        before = character;
    }
    if !text[start..].trim().is_empty() {
        found.push(&text[start..]);
    }
    found
}

/// Pieces and facts (depth, fact, whether it is asked for) as one text.
fn weave(pieces: &[String], mut hidden: Vec<(f64, Fact, bool)>) -> Task {
    hidden.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut hidden = hidden.into_iter().peekable();
    let (mut document, mut probes) = (String::new(), Vec::new());
    let mut put = |document: &mut String, (_, fact, asked): (f64, Fact, bool)| {
        if !document.is_empty() {
            document.push(' ');
        }
        let start = document.len();
        document.push_str(&fact.sentence);
        if asked {
            probes.push(Probe { question: fact.question, answer: fact.answer, fact: start..document.len() });
        }
    };
    for (index, piece) in pieces.iter().enumerate() {
        document.push_str(piece);
        let depth = (index + 1) as f64 / pieces.len() as f64;
        while let Some(next) = hidden.next_if(|next| next.0 < depth) {
            put(&mut document, next);
        }
    }
    for next in hidden {
        put(&mut document, next);
    }
    Task { document, probes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_folder(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/built-in"))).unwrap()
    }

    #[test]
    fn a_seed_decides_and_facts_are_where_they_are_said_to_be() {
        let tokenizer = tokenizer();
        let task = generated(&tokenizer, 3000, 10, 7).unwrap();
        assert_eq!(task, generated(&tokenizer, 3000, 10, 7).unwrap());
        assert_ne!(task, generated(&tokenizer, 3000, 10, 8).unwrap());
        let tokens = tokenizer.encode_plain(&task.document).unwrap().len();
        assert!((2900..=3000).contains(&tokens), "{tokens} tokens");
        assert_eq!(task.probes.len(), 10);
        for probe in &task.probes {
            let sentence = &task.document[probe.fact.clone()];
            assert!(sentence.ends_with('.') && is_right(sentence, &probe.answer), "{sentence}: {}", probe.answer);
            assert_eq!(task.document.matches(sentence).count(), 1, "{sentence}");
            let depth = probe.fact.start as f64 / task.document.len() as f64;
            assert!((0.02..0.88).contains(&depth), "{depth}");
        }
    }

    #[test]
    fn every_question_means_one_sentence() {
        let mut writer = Writer::new(3);
        let questions: Vec<String> = (0..60).map(|kind| writer.fact(kind).question).collect();
        let different: std::collections::HashSet<_> = questions.iter().collect();
        assert_eq!(different.len(), questions.len());
    }

    #[test]
    fn a_text_keeps_its_own_words_around_the_fact() {
        let text = "One is here. Two is there.\nThree is\u{e9}! Four? Five.";
        assert_eq!(sentences(text).concat(), text);
        let fact = Fact { sentence: "The cat is grey.".into(), question: "?".into(), answer: "grey".into() };
        let task = hidden_in(&tokenizer(), text, 1000, &fact, 0.5).unwrap();
        assert_eq!(task.document.replace(" The cat is grey.", ""), text);
        assert_eq!(&task.document[task.probes[0].fact.clone()], "The cat is grey.");
        assert!(hidden_in(&tokenizer(), text, 3, &fact, 0.5).unwrap_err().to_string().contains("--tokens"));
    }

    #[test]
    fn answers_are_compared_by_their_words() {
        assert!(is_right("It leaves at 7:45, sharp.", "7:45") && is_right("Under THE stairs", "under the stairs"));
        assert!(!is_right("17:45", "7:45") && !is_right("", "7:45"));
    }
}
