//! Everything that is drawn. Views read the store and answer with actions; they keep only what was laid out and what
//! is being typed in their own fields.

mod block_card;
mod code;
mod compare;
mod composer;
mod coverage;
mod details;
mod dialogs;
mod document;
mod icons;
mod library;
mod markdown;
mod math;
mod message;
mod notices;
pub(crate) mod picture;
mod prose;
mod ribbon;
mod sidebar;
mod topbar;
mod transcript;
mod waterfall;
mod widgets;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use egui::{CentralPanel, Frame, Margin, Panel, Stroke, Ui, UiBuilder};

use super::messages::DocumentId;
use super::store::{Action, Store};
use super::theme::{self, Palette};
pub(crate) use block_card::card_text;
pub(crate) use composer::id as composer_id;
use picture::Picture;

/// All views and what they keep.
#[derive(Default)]
pub(crate) struct Views {
    pub(crate) picture: Picture,
    /// Where the ribbon was drawn, once something was read.
    pub(crate) ribbon: Option<ribbon::Drawn>,
    transcript: transcript::Transcript,
    sidebar: sidebar::Sidebar,
    details: details::Details,
    dialogs: dialogs::Dialogs,
    compare: compare::CompareView,
    write_wish: u64,
    documents: HashMap<DocumentId, document::DocumentView>,
    pane: PaneWidth,
}

/// Width of the pane of documents. The panel itself knows only its last width: pressed by a narrow window it would stay
/// narrow for ever.
struct PaneWidth {
    /// As the user made it.
    wanted: f32,
    /// The most that the window had for it.
    widest: f32,
}

impl Default for PaneWidth {
    fn default() -> Self {
        Self { wanted: 420.0, widest: 0.0 }
    }
}

impl PaneWidth {
    /// What the panel may choose from: all that is there, or, when the window was just made wider or narrower, the one
    /// width that is wanted.
    fn range(&mut self, widest: f32) -> RangeInclusive<f32> {
        let changed = self.widest != widest;
        self.widest = widest;
        if changed { self.now()..=self.now() } else { NARROWEST..=widest }
    }

    fn now(&self) -> f32 {
        self.wanted.min(self.widest)
    }

    /// Takes note of the width that it has; another one than it should have comes from the user's hand.
    fn note(&mut self, width: f32) {
        if (width - self.now()).abs() > 1.0 {
            self.wanted = width;
        }
    }
}

/// Narrowest pane of documents.
const NARROWEST: f32 = 240.0;

impl Views {
    /// Draws the window.
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
        self.picture.update(store);
        let palette = Palette::of(ui);
        let bar = Frame::new().fill(palette.side).inner_margin(Margin::symmetric(10, 4));
        Panel::top("top")
            .exact_size(46.0)
            .frame(bar)
            .show_separator_line(false)
            .show(ui, |ui| topbar::show(ui, store, actions));
        let foot = Frame::new().fill(palette.side).inner_margin(Margin { left: 16, right: 16, top: 6, bottom: 4 });
        Panel::bottom("reading").frame(foot).show_separator_line(false).show(ui, |ui| {
            if store.settings.show_details {
                self.details.show(ui, store, &self.picture, actions);
            }
            self.ribbon = ribbon::show(ui, store, &self.picture, actions);
        });
        if store.settings.show_sidebar {
            let frame = Frame::new().fill(palette.side).inner_margin(Margin::symmetric(12, 10));
            Panel::left("chats")
                .frame(frame)
                .default_size(theme::SIDEBAR)
                .size_range(170.0..=360.0)
                .drag_to_open(false)
                .show_separator_line(false)
                .show(ui, |ui| self.sidebar.show(ui, store, actions));
        }
        // The card of a block shows also where the documents are folded away.
        let card = store.focus.block.is_some() && store.reading().is_some();
        if (store.settings.show_documents || card) && store.compare.is_none() {
            self.document_pane(ui, store, actions);
        }
        let page = Frame::new().fill(palette.page).stroke(Stroke::new(1.0, palette.line));
        CentralPanel::no_frame().frame(page).show(ui, |ui| {
            if let Some(compare) = &store.compare {
                notices::show(ui, store, actions);
                return self.compare.show(ui, store, compare, actions);
            }
            let width = (ui.available_width() - 2.0 * theme::SPACE).min(theme::COLUMN + 28.0);
            let frame = Frame::new().inner_margin(Margin { left: 0, right: 0, top: 6, bottom: 14 });
            Panel::bottom("composer").frame(frame).show_separator_line(false).show(ui, |ui| {
                // Under the column of the conversation, however wide the window is.
                let mut column = ui.available_rect_before_wrap();
                column.min.x += (column.width() - width) / 2.0;
                column.set_width(width);
                ui.scope_builder(UiBuilder::new().max_rect(column), |ui| {
                    notices::show(ui, store, actions);
                    block_card::pin_line(ui, store, actions);
                    composer::show(ui, store, &mut self.write_wish, actions);
                });
            });
            CentralPanel::no_frame().show(ui, |ui| self.transcript.show(ui, store, &self.picture, actions));
        });
        self.dialogs.show(ui, store, actions);
        drop_hint(ui);
    }

    fn document_pane(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
        let shown = store.open_document.filter(|_| store.settings.show_documents);
        let document = shown.and_then(|id| store.documents.get(&id));
        let card = store.focus.block.is_some() && store.reading().is_some();
        if document.is_none() && !card {
            return;
        }
        let palette = Palette::of(ui);
        let frame = Frame::new().fill(palette.card).stroke(Stroke::new(1.0, palette.line));
        let widest = (ui.available_width() - 420.0).max(NARROWEST + 20.0);
        let range = self.pane.range(widest);
        let pane = Panel::right("documents")
            .frame(frame)
            .default_size(self.pane.now())
            .size_range(range)
            .drag_to_open(false)
            .show_separator_line(false)
            .show(ui, |ui| {
                // In a low window there is room for one of the two.
                if card && (document.is_none() || ui.available_height() < 430.0) {
                    let frame = Frame::new().inner_margin(Margin::symmetric(16, 10));
                    frame.show(ui, |ui| {
                        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                            block_card::show(ui, store, &self.picture, actions);
                        });
                    });
                    return;
                }
                if card {
                    let frame = Frame::new().fill(palette.card).stroke(Stroke::new(1.0, palette.line));
                    let frame = frame.inner_margin(Margin::symmetric(16, 10));
                    Panel::bottom("block card").frame(frame).show_separator_line(false).show(ui, |ui| {
                        block_card::show(ui, store, &self.picture, actions);
                    });
                }
                let Some(document) = document else { return };
                let frame = Frame::new().inner_margin(Margin { left: 16, right: 10, top: 10, bottom: 6 });
                Panel::top("document head").frame(frame).show_separator_line(false).show(ui, |ui| {
                    document_head(ui, store, document.id, &self.picture, actions);
                });
                let view =
                    self.documents.entry(document.id).or_insert_with(|| document::DocumentView::new(&document.text));
                view.show(ui, store, document, &self.picture, actions);
            });
        self.pane.note(pane.response.rect.width());
    }
}

fn document_head(ui: &mut Ui, store: &Store, open: DocumentId, picture: &Picture, actions: &mut Vec<Action>) {
    let mut ids = store.chat().map(|chat| chat.documents()).unwrap_or_default();
    ids.extend(store.draft.documents.iter().copied());
    if !ids.contains(&open) {
        ids.push(open);
    }
    ids.dedup();
    ui.horizontal(|ui| {
        let right = 34.0;
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width() - right);
            ui.horizontal_wrapped(|ui| {
                for id in &ids {
                    let Some(document) = store.documents.get(id) else { continue };
                    if ids.len() == 1 {
                        widgets::strong(ui, &document.name, 15.0);
                        widgets::note(ui, composer::document_tokens(store, *id));
                    } else if widgets::chip(ui, &document.name, *id == open).clicked() {
                        actions.push(Action::OpenDocument(*id));
                    }
                }
            });
        });
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if widgets::close_button(ui, "Hide documents").clicked() {
                actions.push(Action::Toggle(super::store::Pane::Documents));
            }
        });
    });
    if store.reading().is_some() {
        document::legend(ui, store, picture, actions);
    }
}

/// While a file hangs over the window.
fn drop_hint(ui: &mut Ui) {
    if ui.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    let palette = Palette::of(ui);
    let screen = ui.ctx().content_rect();
    let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop")));
    painter.rect_filled(screen, 0, palette.page.gamma_multiply(0.85));
    painter.rect_stroke(screen.shrink(16.0), 14, Stroke::new(2.0, palette.accent), egui::StrokeKind::Inside);
    let words = "Drop documents to read, or a model to open";
    painter.text(screen.center(), egui::Align2::CENTER_CENTER, words, theme::strong(22.0), palette.text);
}
