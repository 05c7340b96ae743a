//! How much of the context is in use, and how the next answer will be read.

use super::{Chat, Message, Store};
use crate::desktop::attention::Reading;
use crate::desktop::messages::{AttentionChoice, DocumentId, Mode};
use crate::desktop::trace_data::Source;

/// Tokens of the context of the chat on screen; those that nobody has counted are estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextUse {
    /// The conversation with its documents.
    pub conversation: u32,
    /// Documents, the attached ones included.
    pub documents: u32,
    /// Documents that are attached to the draft.
    pub attached: u32,
    /// The text of the draft.
    pub draft: u32,
}

impl ContextUse {
    /// All of it.
    pub fn total(&self) -> u32 {
        self.conversation.saturating_add(self.attached).saturating_add(self.draft)
    }
}

impl Store {
    /// Tokens of the chat on screen and of what is being typed.
    pub fn context_use(&self) -> ContextUse {
        let Some(chat) = self.chat() else { return ContextUse::default() };
        let attached = self.draft.documents.iter().map(|&id| self.tokens_of_document(id)).sum();
        let draft = self.draft.tokens.unwrap_or_else(|| Self::estimate_tokens(self.draft.text.len()));
        let mut documents: u32 = chat.documents().iter().map(|&id| self.tokens_of_document(id)).sum();
        let mut conversation = 0_u32;
        // The latest answer knows the length of all that stands before it.
        for message in chat.path().into_iter().rev() {
            if let Some(reading) = self.reading_of(message.id) {
                conversation = conversation.saturating_add(reading.map.len());
                documents = documents_in(reading);
                return ContextUse { conversation, documents: documents.saturating_add(attached), attached, draft };
            }
            if let Some(stats) = &message.stats {
                let known = stats.prompt_tokens.saturating_add(stats.generated_tokens);
                conversation = conversation.saturating_add(known);
                return ContextUse { conversation, documents: documents.saturating_add(attached), attached, draft };
            }
            conversation = conversation.saturating_add(self.estimate(chat, message));
        }
        ContextUse { conversation, documents: documents.saturating_add(attached), attached, draft }
    }

    /// A message with the documents that it brought.
    fn estimate(&self, chat: &Chat, message: &Message) -> u32 {
        let before: Vec<DocumentId> =
            chat.path_to(message.id).iter().rev().skip(1).flat_map(|other| other.documents.clone()).collect();
        let own = message.documents.iter().filter(|id| !before.contains(id)).map(|&id| self.tokens_of_document(id));
        Self::estimate_tokens(message.text.len() + message.thinking.len()).saturating_add(own.sum())
    }

    fn tokens_of_document(&self, id: DocumentId) -> u32 {
        let bytes = self.documents.get(&id).map_or(0, |document| document.text.len());
        self.document_tokens.get(&id).copied().unwrap_or_else(|| Self::estimate_tokens(bytes))
    }

    /// How the next answer will be read where that differs from the answer in focus: the choice was changed since.
    pub fn next_mode(&self) -> Option<Mode> {
        let step = self.reading()?.last_step()?;
        let next = match self.chat()?.settings.attention {
            AttentionChoice::Dense => Mode::Dense,
            AttentionChoice::Sparse => Mode::Sparse,
            AttentionChoice::Auto => match self.model_info()?.sparse_from {
                Some(from) if self.context_use().total().max(step.cache_length) >= from => Mode::Sparse,
                _ => Mode::Dense,
            },
        };
        (next != step.mode).then_some(next)
    }
}

fn documents_in(reading: &Reading) -> u32 {
    let documents = reading.map.segments().iter().filter(|segment| matches!(segment.source, Source::Document(_)));
    documents.map(|segment| segment.tokens.end - segment.tokens.start).sum()
}
