//! The conversation: messages in a column, only the visible ones drawn, following the end while it grows.

use std::collections::HashMap;
use std::ops::Range;

use egui::{
    Align, CornerRadius, Frame, Layout, Margin, Modifiers, Rect, RichText, ScrollArea, TextEdit, Ui, UiBuilder, pos2,
    vec2,
};

use super::coverage::Lines;
use super::message::{self, ProseKey};
use super::picture::Picture;
use super::prose::{Prose, Room, guess_of_text};
use super::{icons, widgets};
use crate::desktop::messages::{MessageId, Role};
use crate::desktop::store::{Action, ChatId, Message, Store};
use crate::desktop::theme::{self, Palette};

/// What is kept between frames: texts laid out and heights measured.
#[derive(Default)]
pub(crate) struct Transcript {
    pub(crate) prose: HashMap<ProseKey, Prose>,
    /// Widths and heights.
    heights: HashMap<(ChatId, MessageId), (f32, f32)>,
    /// What this frame may still lay out of what is not seen.
    pub(crate) room: Room,
    /// Where the end was when the user asked for it.
    jump: Option<f32>,
    /// What stands under the answers.
    pub(crate) coverage: Lines,
    /// Unfolded thinking.
    pub(crate) open_thinking: Vec<(ChatId, MessageId)>,
    /// The question whose field has had the keyboard.
    edited: Option<MessageId>,
}

impl Transcript {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, picture: &Picture, actions: &mut Vec<Action>) {
        let Some(chat) = store.chat() else { return };
        let path = chat.path();
        if path.is_empty() {
            return welcome(ui, store, actions);
        }
        self.prose.retain(|key, _| key.0 == chat.id);
        self.room = Room::of_a_frame();
        self.coverage.keep(chat.id);
        self.edited = self.edited.filter(|_| store.editing.is_some());
        let mut area = ScrollArea::vertical().id_salt(("transcript", chat.id)).auto_shrink(false).stick_to_bottom(true);
        if let Some(end) = self.jump.take() {
            area = area.vertical_scroll_offset(end);
        }
        let output = area.show(ui, |ui| {
            if store.dialog.is_none() {
                widgets::page_keys(ui, Modifiers::NONE);
            }
            let full = ui.available_width();
            let width = (full - 2.0 * theme::SPACE).min(theme::COLUMN);
            let left = ui.max_rect().left() + ((full - width) / 2.0).max(theme::SPACE);
            ui.add_space(theme::SPACE);
            for message in &path {
                self.message(ui, store, picture, message, left..left + width, actions);
            }
            ui.add_space(theme::SPACE);
        });
        // Only a reader who went up wants the way down.
        let below = output.content_size.y - output.state.clamped_offset().y - output.inner_rect.height();
        if below > 200.0 {
            let center = pos2(output.inner_rect.center().x, output.inner_rect.bottom() - 26.0);
            let place = Rect::from_center_size(center, vec2(34.0, 34.0));
            ui.painter().circle_filled(center, 17.0, Palette::of(ui).raised);
            let button = ui.scope_builder(UiBuilder::new().max_rect(place.shrink(2.0)), |ui| {
                widgets::icon_button(ui, icons::ARROW_DOWN, "Jump to the end")
            });
            if button.inner.clicked() {
                self.jump = Some(output.content_size.y);
                ui.ctx().request_repaint();
            }
        }
    }

    fn message(
        &mut self,
        ui: &mut Ui,
        store: &Store,
        picture: &Picture,
        message: &Message,
        x: Range<f32>,
        actions: &mut Vec<Action>,
    ) {
        let width = x.end - x.start;
        let key = (store.current, message.id);
        let top = ui.cursor().top();
        let being_written = store.current_work().is_some_and(|work| work.message == message.id);
        let (at_width, height) = self.heights.get(&key).copied().unwrap_or_else(|| {
            let text = guess_of_text(message.text.len(), width);
            (0.0, text + 60.0)
        });
        let exact = at_width == width;
        // At another width the same words take about the same area.
        let height = if exact || at_width == 0.0 { height } else { height * at_width / width };
        let seen = ui.is_rect_visible(Rect::from_min_size(pos2(x.start, top), vec2(width, height)));
        if !seen && !being_written && (exact || !self.room.take(0)) {
            ui.allocate_space(vec2(width, height));
            if !exact {
                ui.ctx().request_repaint();
            }
            return;
        }
        let place = Rect::from_min_size(pos2(x.start, top), vec2(width, f32::INFINITY));
        let response = ui.scope_builder(UiBuilder::new().max_rect(place).id_salt(key), |ui| {
            ui.set_width(width);
            match message.role {
                Role::User => self.question(ui, store, picture, message, actions),
                Role::Assistant => message::answer(self, ui, store, picture, message, actions),
            }
            ui.add_space(if message.role == Role::User { 4.0 } else { 20.0 });
        });
        self.heights.insert(key, (width, response.response.rect.height() + ui.spacing().item_spacing.y));
    }

    fn question(
        &mut self,
        ui: &mut Ui,
        store: &Store,
        picture: &Picture,
        message: &Message,
        actions: &mut Vec<Action>,
    ) {
        let palette = Palette::of(ui);
        if let Some((_, text)) = store.editing.as_ref().filter(|(id, _)| *id == message.id) {
            let begins = self.edited.replace(message.id) != Some(message.id);
            return edit(ui, text, begins, actions);
        }
        for id in &message.documents {
            let Some(document) = store.documents.get(id) else {
                widgets::from_right(ui, 28.0, |ui| widgets::note(ui, "A document that is no longer kept"));
                continue;
            };
            let words = format!("{} · {}", document.name, super::composer::document_tokens(store, *id));
            widgets::from_right(ui, 28.0, |ui| {
                if widgets::chip(ui, &words, store.open_document == Some(*id)).clicked() {
                    actions.push(Action::OpenDocument(*id));
                    if !store.settings.show_documents {
                        actions.push(Action::Toggle(crate::desktop::store::Pane::Documents));
                    }
                }
            });
        }
        let width = ui.available_width();
        let natural =
            ui.painter().layout_no_wrap(message.text.clone(), theme::font(theme::BODY), palette.text).size().x;
        let inner = (natural + 2.0).min(width * 0.82);
        let corner = CornerRadius { nw: 16, ne: 16, sw: 16, se: 5 };
        let frame = Frame::new().fill(palette.raised).corner_radius(corner).inner_margin(Margin::symmetric(14, 9));
        let outer = inner + 28.0;
        let start = pos2(ui.max_rect().left() + width - outer, ui.cursor().top());
        let place = Rect::from_min_size(start, vec2(outer, f32::INFINITY));
        ui.scope_builder(UiBuilder::new().max_rect(place), |ui| {
            frame.show(ui, |ui| {
                ui.set_width(inner);
                message::plain_text(self, ui, store, picture, message);
            });
        });
        widgets::from_right(ui, 30.0, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            if widgets::icon_button(ui, icons::TRASH, "Delete question").clicked() {
                actions.push(Action::Delete(message.id));
            }
            if widgets::icon_button(ui, icons::COPY, "Copy question").clicked() {
                actions.push(Action::Copy(message.text.clone()));
            }
            ui.add_enabled_ui(store.work.is_none(), |ui| {
                if widgets::icon_button(ui, icons::COLUMNS, "Compare dense and sparse").clicked() {
                    actions.push(Action::Compare(message.id));
                }
                if widgets::icon_button(ui, icons::PENCIL_SIMPLE, "Edit question").clicked() {
                    actions.push(Action::EditStart(message.id));
                }
            });
            message::versions(ui, store, message, actions);
        });
        // After a failure, or when the answer was deleted.
        if message.shown.is_none() {
            widgets::from_right(ui, 34.0, |ui| {
                ui.add_enabled_ui(store.work.is_none() && store.model_info().is_some(), |ui| {
                    if widgets::primary_button(ui, "Answer").clicked() {
                        actions.push(Action::Regenerate(message.id));
                    }
                });
            });
        }
    }
}

fn edit(ui: &mut Ui, text: &str, begins: bool, actions: &mut Vec<Action>) {
    widgets::card(ui).show(ui, |ui| {
        let mut changed = text.to_owned();
        let field = TextEdit::multiline(&mut changed)
            .font(theme::font(theme::BODY))
            .frame(Frame::NONE)
            .desired_rows(2)
            .desired_width(f32::INFINITY);
        let response = ui.add(field).accessible_name("Changed question");
        if response.changed() {
            actions.push(Action::EditText(changed));
        }
        if begins {
            response.request_focus();
        }
        ui.horizontal(|ui| {
            widgets::note(ui, "The old question stays as another version.");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if widgets::primary_button(ui, "Send changed question").clicked() {
                    actions.push(Action::EditSend);
                }
                if widgets::quiet_button(ui, "Cancel").clicked() {
                    actions.push(Action::EditCancel);
                }
            });
        });
    });
}

/// An empty chat: what the program is for, and the sample one click away.
fn welcome(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let width = ui.available_width().min(540.0);
    let left = ui.max_rect().left() + (ui.available_width() - width) / 2.0;
    let top = ui.max_rect().top() + ((ui.available_height() - 250.0) / 2.0).max(20.0);
    let place = Rect::from_min_size(pos2(left, top), vec2(width, 320.0));
    ui.scope_builder(UiBuilder::new().max_rect(place), |ui| {
        widgets::strong(ui, "Ask a long document", 26.0);
        ui.add_space(4.0);
        let words = "Foveal reads the whole text on this computer and shows which passages the model looks at while it \
                     writes each word.";
        ui.label(RichText::new(words).font(theme::font(theme::BODY)).color(palette.weak));
        ui.add_space(theme::SPACE);
        if let Some(sample) = store.sample.as_ref().filter(|sample| !store.draft.documents.contains(&sample.id)) {
            widgets::card(ui).show(ui, |ui| {
                ui.set_width(width - 30.0);
                ui.horizontal(|ui| {
                    ui.vertical(|ui| {
                        ui.set_width(width - 180.0);
                        widgets::strong(ui, &sample.name, 14.0);
                        let words = u32::try_from(sample.words()).unwrap_or(u32::MAX);
                        widgets::note(
                            ui,
                            format!("A sample of {} words. Ask: {}", widgets::number(words), store.sample_question),
                        );
                    });
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        if widgets::primary_button(ui, "Try the sample").clicked() {
                            actions.push(Action::AttachSample);
                        }
                    });
                });
            });
            ui.add_space(theme::GAP);
        }
        ui.horizontal(|ui| {
            if ui.button("Open a document").clicked() {
                actions.push(Action::PickDocuments);
            }
            widgets::note(ui, "or drop text, Markdown, source code or a PDF on the window");
        });
    });
}
