//! The list of chats: new, search, open, rename, delete, trash.

use std::hash::{Hash, Hasher};

use egui::{Align, Button, Layout, RichText, ScrollArea, TextEdit, Ui};

use super::{icons, widgets};
use crate::desktop::store::{Action, Chat, ChatId, Dialog, Store};
use crate::desktop::theme::{self, Palette};

/// What is being typed as a name.
#[derive(Default)]
pub(crate) struct Sidebar {
    name: String,
    naming: Option<u64>,
    /// The last wish to search that was obeyed.
    searched: u64,
    /// Chats that hold the searched words, and of what that was found: it means reading all of them.
    found: Option<(u64, Vec<ChatId>)>,
}

/// Changes when other chats may be found, or in another order.
fn stamp(store: &Store) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    store.search.hash(&mut hasher);
    for chat in &store.chats {
        (chat.id, chat.changed, chat.messages.len(), &chat.title).hash(&mut hasher);
    }
    hasher.finish()
}

impl Sidebar {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
        let palette = Palette::of(ui);
        ui.horizontal(|ui| {
            widgets::strong(ui, "Chats", 15.0);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if widgets::icon_button(ui, icons::NOTE_PENCIL, "New chat").clicked() {
                    actions.push(Action::NewChat);
                }
            });
        });
        let mut search = store.search.clone();
        let field = TextEdit::singleline(&mut search).hint_text("Search chats").desired_width(f32::INFINITY);
        let response = ui.add(field.margin(egui::vec2(10.0, 6.0))).accessible_name("Search chats");
        if response.changed() {
            actions.push(Action::Search(search));
        }
        if self.searched != store.search_wish {
            self.searched = store.search_wish;
            response.request_focus();
        }
        ui.add_space(4.0);
        let foot = 34.0;
        let height = (ui.available_height() - foot).max(40.0);
        ScrollArea::vertical().auto_shrink(false).max_height(height).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            let stamp = stamp(store);
            if self.found.as_ref().is_none_or(|(of, _)| *of != stamp) {
                self.found = Some((stamp, store.listed_chats().iter().map(|chat| chat.id).collect()));
            }
            let found = self.found.as_ref().map(|(_, found)| found.clone()).unwrap_or_default();
            if found.is_empty() {
                widgets::note(ui, "No chat holds these words.");
            }
            for chat in found.iter().filter_map(|id| store.chat_by(*id)) {
                self.row(ui, store, chat, actions);
            }
        });
        if !store.trash.is_empty() {
            ui.with_layout(Layout::bottom_up(Align::LEFT), |ui| {
                let text = RichText::new(format!("Trash ({})", store.trash.len())).color(palette.weak);
                if ui.add(Button::new(text).frame_when_inactive(false)).clicked() {
                    actions.push(Action::Open(Dialog::Trash));
                }
            });
        }
    }

    fn row(&mut self, ui: &mut Ui, store: &Store, chat: &Chat, actions: &mut Vec<Action>) {
        if store.renaming == Some(chat.id) {
            return self.rename(ui, chat, actions);
        }
        self.naming = self.naming.filter(|&naming| naming != chat.id);
        let palette = Palette::of(ui);
        let current = store.current == chat.id;
        let title = RichText::new(&chat.title).color(if current { palette.accent } else { palette.text });
        let width = ui.available_width();
        ui.scope(|ui| {
            ui.style_mut().visuals.selection.bg_fill = palette.accent_soft;
            let mut button = Button::selectable(current, title).truncate().min_size(egui::vec2(width, 32.0));
            if !current && !chat.unsent.is_empty() {
                button = button.right_text(RichText::new("draft").font(theme::font(theme::SMALL)).color(palette.weak));
            }
            let draft = if !current && !chat.unsent.is_empty() { ", draft" } else { "" };
            let response = ui.add(button).accessible_name(format!("{}{draft}", chat.title));
            if response.clicked() {
                actions.push(Action::SelectChat(chat.id));
            }
            if response.double_clicked() {
                actions.push(Action::Renaming(Some(chat.id)));
            }
            response.context_menu(|ui| {
                if ui.button("Rename").clicked() {
                    actions.push(Action::Renaming(Some(chat.id)));
                }
                if ui.button("Move to trash").clicked() {
                    actions.push(Action::TrashChat(chat.id));
                }
            });
        });
        if current && !chat.is_blank() {
            ui.horizontal(|ui| {
                ui.add_space(2.0);
                if widgets::icon_button(ui, icons::PENCIL_SIMPLE, "Rename chat").clicked() {
                    actions.push(Action::Renaming(Some(chat.id)));
                }
                if widgets::icon_button(ui, icons::EXPORT, "Export chat").clicked() {
                    actions.push(Action::ExportChat);
                }
                if widgets::icon_button(ui, icons::TRASH, "Move chat to trash").clicked() {
                    actions.push(Action::TrashChat(chat.id));
                }
            });
        }
    }

    fn rename(&mut self, ui: &mut Ui, chat: &Chat, actions: &mut Vec<Action>) {
        let begin = self.naming != Some(chat.id);
        if begin {
            self.naming = Some(chat.id);
            self.name.clone_from(&chat.title);
        }
        let field = TextEdit::singleline(&mut self.name).desired_width(f32::INFINITY);
        let response = ui.add(field.margin(egui::vec2(8.0, 6.0))).accessible_name("Name of the chat");
        if begin {
            response.request_focus();
        }
        if response.lost_focus() {
            actions.push(if ui.input(|input| input.key_pressed(egui::Key::Escape)) {
                Action::Renaming(None)
            } else {
                Action::RenameChat(chat.id, self.name.clone())
            });
        }
        ui.add_space(theme::GAP / 2.0);
    }
}
