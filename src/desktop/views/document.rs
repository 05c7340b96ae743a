//! The document beside the chat: paragraphs laid out only where they are seen, heat painted behind the letters, and a
//! bar in the gutter for the votes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat};
use egui::text_selection::LabelSelectionState;
use egui::{Galley, Modifiers, Rect, Role, ScrollArea, Sense, Stroke, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::picture::Picture;
use super::widgets;
use crate::desktop::attention::{blocks_of, snap};
use crate::desktop::store::{Action, Document, Store};
use crate::desktop::theme::{self, Palette};
use crate::desktop::trace_data::Source;

/// Longest paragraph; longer ones are cut between words, so that no galley takes long to lay out.
const LONGEST: usize = 1200;
/// Galleys kept; beyond that, all but the visible ones are laid out again when needed.
const KEPT: usize = 1500;
/// Galleys that one frame lays out ahead of a scroll.
const AT_ONCE: usize = 3;
const TEXT: f32 = 14.0;
const LEFT: f32 = 22.0;
const RIGHT: f32 = 20.0;

/// How one document is shown.
pub(crate) struct DocumentView {
    paragraphs: Vec<Range<usize>>,
    heights: Vec<f32>,
    galleys: HashMap<usize, Arc<Galley>>,
    look: (f32, bool, f32),
    done_scroll: u64,
    /// Where it was scrolled to in the last frame.
    offset: f32,
    /// Passes left: the first lays out what the next can then place exactly.
    settle: u8,
    /// Paragraphs that were drawn last.
    drawn: Range<usize>,
}

impl DocumentView {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            paragraphs: paragraphs(text),
            heights: Vec::new(),
            galleys: HashMap::new(),
            look: (0.0, false, 0.0),
            done_scroll: 0,
            offset: 0.0,
            settle: 0,
            drawn: 0..0,
        }
    }

    /// Shows the document in the space that is there.
    pub(crate) fn show(
        &mut self,
        ui: &mut Ui,
        store: &Store,
        document: &Document,
        picture: &Picture,
        actions: &mut Vec<Action>,
    ) {
        let width = (ui.available_width() - LEFT - RIGHT).max(60.0).floor();
        let look = (width, ui.visuals().dark_mode, ui.pixels_per_point());
        if self.look != look {
            self.look = look;
            self.galleys.clear();
            self.heights = self.paragraphs.iter().map(|bytes| estimate(bytes.len(), width)).collect();
        } else if self.galleys.len() > KEPT {
            let near = self.drawn.start.saturating_sub(40)..self.drawn.end + 40;
            self.galleys.retain(|index, _| near.contains(index));
        }
        let mut area = ScrollArea::vertical().id_salt(("document", document.id)).auto_shrink(false);
        if let Some((wish, _, bytes)) = store.focus.scroll.as_ref().filter(|(_, id, _)| *id == document.id) {
            if self.done_scroll != *wish {
                self.done_scroll = *wish;
                self.settle = 3;
            }
            let at = self.paragraphs.partition_point(|paragraph| paragraph.end <= bytes.start as usize);
            if self.settle > 0 && !self.prepare(ui, at, document) {
                ui.ctx().request_repaint();
            } else if self.settle > 0 {
                self.settle -= 1;
                let inside = self.galleys.get(&at).zip(self.paragraphs.get(at)).map_or(0.0, |(galley, paragraph)| {
                    let first = characters(document, paragraph, bytes).start;
                    galley.pos_from_cursor(egui::text::CCursor::new(first)).top()
                });
                let top = self.heights.iter().take(at).sum::<f32>() + inside;
                area = area.vertical_scroll_offset((top - ui.available_height() * 0.3).max(0.0));
                if self.settle > 0 {
                    ui.ctx().request_repaint();
                }
            }
        }
        // The area takes the wheel's way for itself.
        let turned = ui.input(|input| input.smooth_scroll_delta().y != 0.0 || input.pointer.any_down());
        let output =
            area.show_viewport(ui, |ui, viewport| self.visible(ui, viewport, store, document, picture, actions));
        let moved = self.settle == 0 && output.state.clamped_offset().y != self.offset;
        self.offset = output.state.clamped_offset().y;
        if moved
            && turned
            && ui.rect_contains_pointer(output.inner_rect)
            && store.current_work().is_some()
            && !store.focus.hold_document
        {
            actions.push(Action::HoldDocument(true));
        }
    }

    /// Lays out what will be seen around a paragraph, a few galleys in a frame, so that no frame takes long for a scroll
    /// to another place. True when nothing is missing.
    fn prepare(&mut self, ui: &Ui, at: usize, document: &Document) -> bool {
        let mut room = ui.available_height();
        let height = |index: usize| self.heights.get(index).copied().unwrap_or(0.0);
        let (mut first, mut above) = (at, room * 0.3);
        while first > 0 && above > 0.0 {
            first -= 1;
            above -= height(first);
        }
        let mut end = at;
        while end < self.paragraphs.len() && room > 0.0 {
            room -= height(end);
            end += 1;
        }
        let missing: Vec<usize> = (first..end).filter(|index| !self.galleys.contains_key(index)).collect();
        for &index in missing.iter().take(AT_ONCE) {
            self.galley(ui, index, document);
        }
        missing.len() <= AT_ONCE
    }

    /// A paragraph as it is laid out, from before or now.
    fn galley(&mut self, ui: &Ui, index: usize, document: &Document) -> Option<Arc<Galley>> {
        if let Some(galley) = self.galleys.get(&index) {
            return Some(Arc::clone(galley));
        }
        let text = document.text.get(self.paragraphs.get(index)?.clone())?;
        let format = TextFormat {
            font_id: theme::font(TEXT),
            color: Palette::of(ui).text,
            line_height: Some((TEXT * theme::LINE).round()),
            ..TextFormat::default()
        };
        let mut job = LayoutJob::single_section(text.trim_end_matches(['\n', '\r']).to_owned(), format);
        job.wrap.max_width = self.look.0;
        let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
        if let Some(height) = self.heights.get_mut(index) {
            *height = galley.size().y + 4.0;
        }
        self.galleys.insert(index, Arc::clone(&galley));
        Some(galley)
    }

    fn visible(
        &mut self,
        ui: &mut Ui,
        viewport: Rect,
        store: &Store,
        document: &Document,
        picture: &Picture,
        actions: &mut Vec<Action>,
    ) {
        if store.dialog.is_none() {
            widgets::page_keys(ui, Modifiers::SHIFT);
        }
        let origin = ui.max_rect().min;
        ui.set_height(self.heights.iter().sum::<f32>() + 40.0);
        let mut top = 0.0;
        self.drawn = 0..0;
        for index in 0..self.paragraphs.len() {
            let height = self.heights.get(index).copied().unwrap_or(0.0);
            if top > viewport.bottom() {
                break;
            }
            if top + height >= viewport.top() {
                let begin = if self.drawn.is_empty() { index } else { self.drawn.start };
                self.drawn = begin..index + 1;
                let used = self.paragraph(ui, index, origin.y + top, store, document, picture, actions);
                if let Some(height) = self.heights.get_mut(index) {
                    *height = used;
                }
            }
            top += self.heights.get(index).copied().unwrap_or(0.0);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a paragraph needs its place, its text and its heat")]
    fn paragraph(
        &mut self,
        ui: &mut Ui,
        index: usize,
        top: f32,
        store: &Store,
        document: &Document,
        picture: &Picture,
        actions: &mut Vec<Action>,
    ) -> f32 {
        let Some(bytes) = self.paragraphs.get(index).cloned() else { return 0.0 };
        let Some(text) = document.text.get(bytes.clone()) else { return 0.0 };
        let palette = Palette::of(ui);
        let width = self.look.0;
        let Some(galley) = self.galley(ui, index, document) else { return 0.0 };
        let left = ui.max_rect().left();
        let place = pos2(left + LEFT, top);
        let rect = Rect::from_min_size(place, vec2(width, galley.size().y));
        self.tints(ui, &galley, rect, &bytes, document, picture);
        self.focused(ui, &galley, rect, &bytes, store, document);
        let sense = Sense::click_and_drag() - Sense::FOCUSABLE;
        let response =
            ui.scope_builder(UiBuilder::new().max_rect(rect).id_salt(index), |ui| ui.allocate_rect(rect, sense)).inner;
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, galley.text()));
        LabelSelectionState::label_text_selection(
            ui,
            &response,
            place,
            Arc::clone(&galley),
            palette.text,
            Stroke::NONE,
        );
        if response.clicked()
            && let Some(position) = response.interact_pointer_pos()
        {
            let character = galley.cursor_from_pos(position - place).index.0;
            let inside: usize = text.chars().take(character).map(char::len_utf8).sum();
            let byte = u32::try_from(bytes.start + inside).unwrap_or(u32::MAX);
            if let Some(reading) = store.reading() {
                let source = Source::Document(document.id);
                let blocks = blocks_of(&reading.map, reading.block_size(), source, &(byte..byte.saturating_add(1)));
                if !blocks.is_empty() {
                    actions.push(Action::FocusBlock(Some(blocks.start)));
                }
            }
        }
        galley.size().y + 4.0
    }

    fn tints(
        &self,
        ui: &Ui,
        galley: &Galley,
        rect: Rect,
        bytes: &Range<usize>,
        document: &Document,
        picture: &Picture,
    ) {
        let palette = Palette::of(ui);
        let Some(tints) = picture.tints.get(&Source::Document(document.id)) else { return };
        let first = tints.partition_point(|(tint, _)| (tint.end as usize) <= bytes.start);
        for (tint, step) in tints.iter().skip(first).take_while(|(tint, _)| (tint.start as usize) < bytes.end) {
            let Some(color) = palette.tint(*step) else { continue };
            let characters = characters(document, bytes, tint);
            for row in widgets::rows_of(galley, rect.min, &characters) {
                ui.painter().rect_filled(row.expand2(vec2(2.0, 0.0)), 3, color);
                let bar = Rect::from_x_y_ranges(rect.left() - 14.0..=rect.left() - 10.0, row.y_range());
                ui.painter().rect_filled(bar, 1, palette.heat(0.2 + 0.16 * f32::from(*step)));
            }
        }
    }

    fn focused(&self, ui: &Ui, galley: &Galley, rect: Rect, bytes: &Range<usize>, store: &Store, document: &Document) {
        let palette = Palette::of(ui);
        let (Some(block), Some(reading)) = (store.focus.block, store.reading()) else { return };
        let passages = crate::desktop::attention::block_passages(&reading.map, reading.block_size(), block);
        let own = passages.iter().filter(|passage| passage.source == Source::Document(document.id));
        for passage in
            own.filter(|passage| (passage.bytes.start as usize) < bytes.end && passage.bytes.end as usize > bytes.start)
        {
            for row in widgets::rows_of(galley, rect.min, &characters(document, bytes, &passage.bytes)) {
                ui.painter().hline(row.x_range(), row.bottom() - 1.0, Stroke::new(2.0, palette.accent));
            }
        }
    }
}

/// Characters of a paragraph that lie in these bytes of the document.
fn characters(document: &Document, paragraph: &Range<usize>, bytes: &Range<u32>) -> Range<usize> {
    let snapped = snap(&document.text, bytes);
    let count = |end: usize| {
        let end = end.clamp(paragraph.start, paragraph.end);
        document.text.get(paragraph.start..end).map_or(0, |text| text.chars().count())
    };
    count(snapped.start)..count(snapped.end)
}

fn estimate(bytes: usize, width: f32) -> f32 {
    let letters_in_row = (width / (TEXT * 0.5)).max(1.0);
    (bytes as f32 / letters_in_row).ceil().max(1.0) * (TEXT * theme::LINE).round() + 4.0
}

/// Lines of the text, long ones cut between words.
fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        while end - start > LONGEST {
            let limit = snap(text, &(0..u32::try_from(start + LONGEST).unwrap_or(u32::MAX))).end;
            let head = text.get(start..limit).unwrap_or("");
            let cut = head.rfind(char::is_whitespace).map_or(limit, |at| {
                start + at + head.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            });
            ranges.push(start..cut);
            start = cut;
        }
        if start < end {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

/// What the tints mean, and whether the document follows them.
pub(crate) fn legend(ui: &mut Ui, store: &Store, picture: &Picture, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let text = if picture.shade.sparse {
        "all readers".to_owned()
    } else if store.reading().is_some_and(|reading| reading.last_step().is_some()) {
        "No tint: dense reads everything".into()
    } else {
        "Tints come with the first word".into()
    };
    ui.horizontal(|ui| {
        let held = store.focus.hold_document;
        let follow = store.settings.follow_heat && !held;
        let hint = "Scroll to the hottest passage while the answer is written";
        let clicked = widgets::chip(ui, "Follow", follow).on_hover_text(hint).clicked();
        if clicked && held && store.settings.follow_heat {
            actions.push(Action::HoldDocument(false));
        } else if clicked {
            let mut settings = store.settings.clone();
            settings.follow_heat = !settings.follow_heat;
            actions.push(Action::Settings(Box::new(settings)));
        }
        // In a narrow pane the tints alone are told apart by the tooltip.
        let wide = ui.available_width() > 210.0;
        if picture.shade.sparse {
            if wide {
                widgets::note(ui, "chance");
            }
            let (rect, _) = ui.allocate_exact_size(vec2(60.0, 8.0), Sense::hover());
            for step in 1..=5u8 {
                let left = rect.left() + 12.0 * f32::from(step - 1);
                let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(11.0, 8.0));
                ui.painter().rect_filled(cell, 2, palette.tint(step).unwrap_or(palette.card));
            }
        }
        let words = format!(
            "Passages that more readers chose than chance ({:.1} of {:.0}). It shows what the layers were allowed to \
             read, not why the model said something. Hatched in the ribbon: always read.",
            picture.shade.chance, picture.shade.readers
        );
        let text = if picture.shade.sparse && !wide { "all".to_owned() } else { text };
        let text = egui::RichText::new(text).font(theme::font(theme::SMALL)).color(palette.weak);
        ui.add(egui::Label::new(text).truncate()).on_hover_text(words);
    });
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, paragraphs};

    proptest::proptest! {
        #[test]
        fn paragraphs_cover_the_text(text in "([a-z ]{0,40}|[中文🎉\n]{0,9}){0,200}") {
            let ranges = paragraphs(&text);
            let mut at = 0;
            for range in ranges {
                proptest::prop_assert_eq!(range.start, at);
                proptest::prop_assert!(range.len() <= LONGEST + 4 && !range.is_empty());
                proptest::prop_assert!(text.is_char_boundary(range.end));
                at = range.end;
            }
            proptest::prop_assert_eq!(at, text.len());
        }
    }
}
