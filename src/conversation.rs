//! From a conversation to the tokens of the context, each of which knows where it comes from.
//!
//! Documents stand in the first user turn: their texts, a blank line after each, then the question. The order never
//! changes after the fact, so that the cache stays valid from turn to turn.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::chat_template::{ChatTemplate, Message, RenderOptions, Role, SegmentKind};
use crate::error::{Error, Result};
use crate::tokenizer::{Piece, Tokenizer};

/// What stands between two documents, and between the last one and the question.
const GAP: &str = "\n\n";

/// A text that the model reads before the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// For people.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// All that the model is to read, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Instructions for the whole conversation.
    pub system: Option<String>,
    /// Put in front of the first question.
    pub documents: Vec<Document>,
    /// Questions and answers; the last one is the question to answer.
    pub turns: Vec<Message>,
}

/// Where a token of the context comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The template's own text, and BOS.
    Template,
    /// The instructions.
    System,
    /// A document, by its place in the list.
    Document(usize),
    /// A question or an answer, by its place among the turns.
    Turn(usize),
}

/// What a message's content is made of: bytes of the content, and where they come from.
type Parts = Vec<(Range<usize>, Source)>;

/// A token with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextToken {
    /// The id.
    pub id: u32,
    /// Where it comes from.
    pub source: Source,
    /// Bytes of the source's text; for the template bytes of nothing in particular.
    pub bytes: Range<usize>,
}

impl Conversation {
    /// The context up to and with the opening of the answer.
    pub fn tokens(
        &self,
        tokenizer: &Tokenizer,
        template: &ChatTemplate,
        enable_thinking: Option<bool>,
    ) -> Result<Vec<ContextToken>> {
        let (messages, parts) = self.messages()?;
        let options = RenderOptions { add_generation_prompt: true, enable_thinking };
        let segments = template.render_segments(&messages, options)?;
        let pieces: Vec<Piece<'_>> = segments
            .iter()
            .map(|segment| Piece { text: &segment.text, trusted: segment.kind == SegmentKind::Template })
            .collect();
        let place = |piece: usize, range: Range<usize>| match segments.get(piece).map(|segment| segment.kind) {
            Some(SegmentKind::Message { index, start }) => {
                source_of(&parts[index], start + range.start..start + range.end)
            }
            Some(SegmentKind::Template) | None => (Source::Template, range),
        };
        let sourced = tokenizer.encode_pieces(&pieces, true)?;
        let token = |token: crate::tokenizer::SourcedToken| {
            let (source, bytes) = place(token.piece, token.range);
            ContextToken { id: token.id, source, bytes }
        };
        Ok(sourced.into_iter().map(token).collect())
    }

    /// The texts as they stand, documents and then turns, without a template. Special tokens in them are meant as such: whoever
    /// leaves the template out writes it.
    pub fn raw_tokens(&self, tokenizer: &Tokenizer) -> Result<Vec<ContextToken>> {
        let documents = self.documents.iter().enumerate().map(|(i, document)| (&document.text, Source::Document(i)));
        let turns = self.turns.iter().enumerate().map(|(i, turn)| (&turn.content, Source::Turn(i)));
        let texts: Vec<(&String, Source)> = documents.chain(turns).collect();
        let (mut pieces, mut sources) = (Vec::new(), Vec::new());
        for (index, (text, source)) in texts.iter().enumerate() {
            if index > 0 {
                pieces.push(Piece { text: GAP, trusted: true });
                sources.push(Source::Template);
            }
            pieces.push(Piece { text, trusted: true });
            sources.push(*source);
        }
        let tokens = tokenizer.encode_pieces(&pieces, true)?.into_iter();
        let source = |piece: usize| sources.get(piece).copied().unwrap_or(Source::Template);
        Ok(tokens.map(|t| ContextToken { id: t.id, source: source(t.piece), bytes: t.range }).collect())
    }

    /// The messages, and for each the sources of its content: (bytes of the content, source).
    fn messages(&self) -> Result<(Vec<Message>, Vec<Parts>)> {
        let mut messages = Vec::new();
        let mut parts = Vec::new();
        if let Some(system) = &self.system {
            messages.push(Message { role: Role::System, content: system.clone() });
            parts.push(vec![(0..system.len(), Source::System)]);
        }
        let first_question = self.turns.iter().position(|turn| turn.role == Role::User);
        if first_question.is_none() {
            let expected = "a question".into();
            return Err(Error::Usage { what: "conversation".into(), expected, found: "none".into() });
        }
        for (index, turn) in self.turns.iter().enumerate() {
            let mut content = String::new();
            let mut sources = Vec::new();
            if Some(index) == first_question {
                for (number, document) in self.documents.iter().enumerate() {
                    sources.push((content.len()..content.len() + document.text.len(), Source::Document(number)));
                    content.push_str(&document.text);
                    content.push_str(GAP);
                }
            }
            sources.push((content.len()..content.len() + turn.content.len(), Source::Turn(index)));
            content.push_str(&turn.content);
            messages.push(Message { role: turn.role, content });
            parts.push(sources);
        }
        Ok((messages, parts))
    }
}

/// The source that most of `bytes` begins in, and the bytes within it. The gap belongs to the text before it.
fn source_of(parts: &[(Range<usize>, Source)], bytes: Range<usize>) -> (Source, Range<usize>) {
    let found = parts.iter().rev().find(|(range, _)| range.start <= bytes.start).or_else(|| parts.first());
    match found {
        Some((range, source)) => {
            let within = |byte: usize| byte.clamp(range.start, range.end) - range.start;
            (*source, within(bytes.start)..within(bytes.end))
        }
        None => (Source::Template, bytes),
    }
}
