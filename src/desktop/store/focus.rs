//! What the attention view looks at: the answer, its tokens, a block, and the document scrolled to it.

use std::ops::Range;

use super::{ChatId, Store, Work};
use crate::desktop::attention::{Passage, Reading, Shade, Span, block_passages, blocks_of};
use crate::desktop::messages::{DocumentId, MessageId, Pin, PinRule};
use crate::desktop::trace_data::Source;

impl Store {
    /// The reading of an answer in the chat on screen.
    pub fn reading_of(&self, message: MessageId) -> Option<&Reading> {
        self.reading_in(self.current, message)
    }

    /// The reading of an answer in any chat.
    pub fn reading_in(&self, chat: ChatId, message: MessageId) -> Option<&Reading> {
        let own = |(of, reading): &&(ChatId, Reading)| *of == chat && reading.message == message;
        self.readings.iter().rev().find(own).map(|(_, reading)| reading)
    }

    /// The reading that the view shows: of the focused answer, else of the latest one on screen.
    pub fn reading(&self) -> Option<&Reading> {
        let path = self.chat()?.path();
        let on_screen = |message: MessageId| path.iter().any(|other| other.id == message);
        if let Some(answer) = self.focus.answer.filter(|&answer| on_screen(answer)) {
            return self.reading_of(answer);
        }
        path.iter().rev().find_map(|message| self.reading_of(message.id))
    }

    /// The tokens that the picture is about.
    pub fn span(&self, reading: &Reading) -> Span {
        let written = reading.written.len();
        let writes = self.current_work().is_some_and(|work: &Work| work.message == reading.message);
        match (&self.focus.tokens, self.focus.scrub) {
            (Some(tokens), _) => Span::Tokens(tokens.start.min(written)..tokens.end.min(written)),
            (None, Some(scrub)) => Span::Live(scrub.min(written.saturating_sub(1))),
            (None, None) if writes => Span::Live(written.saturating_sub(1)),
            (None, None) => Span::Tokens(0..written),
        }
    }

    /// The shade of the focused answer, computed now; views keep it while nothing changes.
    pub fn shade(&self) -> Option<Shade> {
        let reading = self.reading()?;
        Some(reading.shade(&self.span(reading), &self.focus.filter))
    }

    /// The text of a passage, snapped to characters.
    pub fn passage_text(&self, passage: &Passage) -> Option<&str> {
        let text = self.source_text(passage.source)?;
        text.get(crate::desktop::attention::snap(text, &passage.bytes))
    }

    /// The text of a source.
    pub fn source_text(&self, source: Source) -> Option<&str> {
        let chat = self.chat()?;
        match source {
            Source::Template => None,
            Source::System => Some(&chat.settings.system),
            Source::Document(id) => self.documents.get(&id).map(|document| &*document.text),
            Source::Turn(id) | Source::Answer(id) => chat.message(id).map(|message| &*message.text),
            Source::Thinking(id) => chat.message(id).map(|message| &*message.thinking),
        }
    }

    /// What a source is called.
    pub fn source_name(&self, source: Source) -> String {
        match source {
            Source::Template => "chat marks".into(),
            Source::System => "system prompt".into(),
            Source::Document(id) => self.documents.get(&id).map_or("document".into(), |document| document.name.clone()),
            Source::Turn(_) => "conversation".into(),
            Source::Thinking(_) => "thinking".into(),
            Source::Answer(_) => "answer".into(),
        }
    }

    pub(super) fn focus_answer(&mut self, message: MessageId) {
        if self.focus.answer != Some(message) {
            self.focus = super::Focus {
                answer: Some(message),
                filter: self.focus.filter.clone(),
                scroll: self.focus.scroll.clone(),
                ..Default::default()
            };
        }
    }

    pub(super) fn focus_passage(&mut self, document: DocumentId, bytes: Range<u32>) {
        let block = self.reading().and_then(|reading| {
            let blocks = blocks_of(&reading.map, reading.block_size(), Source::Document(document), &bytes);
            (!blocks.is_empty()).then_some(blocks.start)
        });
        self.focus.block = block;
        self.scroll_to(document, bytes);
    }

    /// What would hold the passage of the focused block in or out: none where nothing can.
    pub fn focused_pin(&self, rule: PinRule) -> Option<Pin> {
        let can = self.work.is_none() && self.model_info().is_some_and(|info| info.can_pin);
        let (block, reading) = (self.focus.block.filter(|_| can)?, self.reading()?);
        let passages = block_passages(&reading.map, reading.block_size(), block);
        let main = passages.into_iter().max_by_key(|passage| passage.bytes.len())?;
        let Source::Document(document) = main.source else { return None };
        let pin = Pin { document, bytes: main.bytes, rule };
        let held = self.chat().is_some_and(|chat| chat.pins.contains(&pin));
        (held || !self.reads_densely()).then_some(pin)
    }

    /// The block of a document that was chosen by most readers for the tokens in focus.
    pub(crate) fn hottest_block(&self) -> Option<u32> {
        let (reading, shade) = (self.reading()?, self.shade()?);
        let in_document = |block: u32| {
            let passages = block_passages(&reading.map, reading.block_size(), block);
            passages.iter().any(|passage| matches!(passage.source, Source::Document(_)))
        };
        let heats = (0u32..).take(shade.votes.len()).map(|block| (shade.heat(block), block));
        let hot = heats.filter(|&(heat, block)| heat > 0.0 && in_document(block));
        hot.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, block)| block)
    }

    /// The block to scroll the document to while an answer is written; none where the user would be disturbed.
    pub(crate) fn block_to_follow(&self) -> Option<u32> {
        let settings = &self.settings;
        let wanted = settings.follow_heat && settings.show_documents && !settings.reduce_motion;
        let writing = self.current_work().is_some_and(|work| work.tokens > 0);
        (wanted && writing && !self.focus.hold_document).then(|| self.hottest_block()).flatten()
    }

    pub(super) fn show_hottest(&mut self) {
        if let Some(block) = self.hottest_block() {
            self.show_block(block);
        }
    }

    pub(super) fn show_block(&mut self, block: u32) {
        let passage = self.reading().and_then(|reading| {
            let passages = block_passages(&reading.map, reading.block_size(), block);
            passages.into_iter().find(|passage| matches!(passage.source, Source::Document(_)))
        });
        if let Some(Passage { source: Source::Document(document), bytes }) = passage {
            self.scroll_to(document, bytes);
        }
    }

    fn scroll_to(&mut self, document: DocumentId, bytes: Range<u32>) {
        self.next_scroll += 1;
        self.open_document = Some(document);
        self.settings.show_documents = true;
        self.focus.scroll = Some((self.next_scroll, document, bytes));
    }
}
