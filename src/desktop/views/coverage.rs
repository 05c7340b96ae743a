//! How the documents of an answer were read: share, hottest passages as chips, the longest stretch that was not.

use std::collections::HashMap;
use std::ops::Range;

use egui::{Ui, vec2};

use super::widgets;
use crate::desktop::attention::Reading;
use crate::desktop::messages::{DocumentId, MessageId};
use crate::desktop::store::{Action, ChatId, Message, Store};
use crate::desktop::trace_data::Source;

/// What is said under an answer about one document.
struct Line {
    document: DocumentId,
    share: String,
    hottest: Vec<Hottest>,
    skipped: Option<(String, Range<u32>)>,
}

struct Hottest {
    name: String,
    words: String,
    block: u32,
    bytes: Range<u32>,
}

/// The lines of the answers on screen: counted once for each, they need all blocks and all lines of the document.
#[derive(Default)]
pub(crate) struct Lines(HashMap<(ChatId, MessageId), (usize, Vec<Line>)>);

impl Lines {
    /// Forgets other chats.
    pub(crate) fn keep(&mut self, chat: ChatId) {
        self.0.retain(|(of, _), _| *of == chat);
    }

    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, message: &Message, actions: &mut Vec<Action>) {
        let Some(reading) = store.reading_of(message.id).filter(|reading| reading.was_sparse()) else { return };
        let key = (store.current, message.id);
        let written = reading.written.len();
        if self.0.get(&key).is_none_or(|(counted, _)| *counted != written) {
            self.0.insert(key, (written, lines(store, reading)));
        }
        for line in self.0.get(&key).map_or(&[][..], |(_, lines)| lines.as_slice()) {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(6.0, 4.0);
                widgets::note(ui, &line.share);
                for hot in &line.hottest {
                    let chip = widgets::chip(ui, &hot.name, store.focus.block == Some(hot.block));
                    if chip.on_hover_text(&hot.words).clicked() {
                        actions.push(Action::FocusAnswer(message.id));
                        actions.push(Action::FocusPassage(line.document, hot.bytes.clone()));
                        actions.push(Action::FocusBlock(Some(hot.block)));
                    }
                }
                if let Some((name, bytes)) = &line.skipped
                    && widgets::chip(ui, name, false).clicked()
                {
                    actions.push(Action::FocusAnswer(message.id));
                    actions.push(Action::FocusPassage(line.document, bytes.clone()));
                }
            });
        }
    }
}

fn lines(store: &Store, reading: &Reading) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for segment in reading.map.segments() {
        let Source::Document(id) = segment.source else { continue };
        let known = lines.iter().any(|line| line.document == id);
        let Some(document) = store.documents.get(&id).filter(|_| !known) else { continue };
        let Some(coverage) = reading.coverage(segment.source) else { continue };
        let hottest = coverage.hottest.iter().enumerate().map(|(index, hot)| Hottest {
            name: format!("{} · line {}", index + 1, document.line_of(hot.passage.bytes.start as usize)),
            words: store.passage_text(&hot.passage).unwrap_or("").to_owned(),
            block: hot.block,
            bytes: hot.passage.bytes.clone(),
        });
        let skipped = coverage.skipped.map(|skipped| {
            let line = |byte: u32| document.line_of(byte as usize);
            let (first, last) = (line(skipped.bytes.start), line(skipped.bytes.end));
            (format!("Hardly read: lines {first} to {last}"), skipped.bytes)
        });
        lines.push(Line {
            document: id,
            share: format!("Read closely: {:.0} % of {}", 100.0 * coverage.closely, document.name),
            hottest: hottest.collect(),
            skipped,
        });
    }
    lines
}
