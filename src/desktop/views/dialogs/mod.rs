//! Windows over the chat: settings, models, palette, trash, shortcuts. Esc or a click outside closes them.

mod models;
mod palette;
mod settings;

use egui::{Align, Frame, Id, Layout, Margin, Modal, RichText, ScrollArea, Ui};

use super::widgets;
use crate::desktop::commands::{COMMANDS, OTHER_KEYS};
use crate::desktop::messages::{CacheForm, WeightForm};
use crate::desktop::store::{Action, Dialog, Store};
use crate::desktop::theme::{self, Palette};

/// What is being typed in them.
#[derive(Default)]
pub(crate) struct Dialogs {
    models: models::Models,
    palette: palette::CommandPalette,
    settings: settings::SettingsView,
    open: Option<Dialog>,
}

impl Dialogs {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
        let just_opened = self.open != store.dialog;
        self.open = store.dialog;
        let Some(dialog) = store.dialog else { return };
        if just_opened && dialog == Dialog::DeviceSettings {
            self.settings.show_device();
        }
        let palette = Palette::of(ui);
        let frame = Frame::new()
            .fill(palette.card)
            .stroke(egui::Stroke::new(1.0, palette.line))
            .corner_radius(14)
            .shadow(ui.visuals().window_shadow)
            .inner_margin(Margin::same(20));
        let context = ui.ctx().clone();
        let mut area = Modal::default_area(Id::unique("dialog"));
        if dialog == Dialog::Palette {
            area = area.anchor(egui::Align2::CENTER_TOP, egui::vec2(0.0, 90.0));
        }
        let response = Modal::new(Id::unique("dialog")).area(area).frame(frame).show(&context, |ui| match dialog {
            Dialog::Settings | Dialog::DeviceSettings => self.settings.show(ui, store, actions),
            Dialog::Models => self.models.show(ui, store, actions, just_opened),
            Dialog::Palette => self.palette.show(ui, store, actions, just_opened),
            Dialog::Trash => trash(ui, store, actions),
            Dialog::Shortcuts => shortcuts(ui, actions),
        });
        if response.backdrop_response.clicked() {
            actions.push(Action::Close);
        }
    }
}

/// Title and the button that closes.
fn head(ui: &mut Ui, title: &str, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        widgets::strong(ui, title, theme::TITLE);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if widgets::close_button(ui, "Close").clicked() {
                actions.push(Action::Close);
            }
        });
    });
    ui.add_space(theme::GAP);
}

fn trash(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    ui.set_width(460.0);
    head(ui, "Trash", actions);
    if store.trash.is_empty() {
        widgets::note(ui, "Nothing is here. Deleted chats stay here until you empty the trash.");
        return;
    }
    ScrollArea::vertical().max_height(room(ui, 360.0, 60.0)).show(ui, |ui| {
        for chat in &store.trash {
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let button = ui.button("Restore").accessible_name(format!("Restore {}", chat.title));
                    if button.clicked() {
                        actions.push(Action::RestoreChat(chat.id));
                        actions.push(Action::Close);
                    }
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        ui.add(egui::Label::new(&chat.title).truncate());
                    });
                });
            });
        }
    });
    ui.add_space(theme::GAP);
    // Asked again, as nothing brings them back.
    let asked = Id::unique("empty the trash");
    let sure = ui.data(|data| data.get_temp::<usize>(asked)) == Some(store.trash.len());
    ui.horizontal(|ui| {
        if sure {
            let chats = if store.trash.len() == 1 { "1 chat".into() } else { format!("{} chats", store.trash.len()) };
            if widgets::primary_button(ui, &format!("Delete {chats} for good")).clicked() {
                ui.data_mut(|data| data.remove::<usize>(asked));
                actions.push(Action::EmptyTrash);
            }
            if ui.button("Keep").clicked() {
                ui.data_mut(|data| data.remove::<usize>(asked));
            }
        } else if ui.button("Empty the trash").clicked() {
            ui.data_mut(|data| data.insert_temp(asked, store.trash.len()));
        }
    });
}

/// In how many bits weights and context are kept; true where that was changed.
fn forms(ui: &mut Ui, store: &Store, plain_weights: bool, actions: &mut Vec<Action>) -> bool {
    let now = store.load_options();
    let (mut weights, mut cache) = (now.weights, now.cache);
    let label = |ui: &mut Ui, text: &str| {
        let (rect, _) = ui.allocate_exact_size(egui::vec2(70.0, 24.0), egui::Sense::hover());
        let color = Palette::of(ui).text;
        ui.painter().text(rect.left_center(), egui::Align2::LEFT_CENTER, text, theme::font(14.0), color);
    };
    ui.horizontal(|ui| {
        label(ui, "Weights");
        ui.add_enabled_ui(plain_weights, |ui| {
            for (form, name, words) in [
                (WeightForm::Plain, "As stored", "16 bits, or as the file has them"),
                (WeightForm::Q8, "8 bits", "Half the memory of 16 bits, hardly a difference in answers"),
                (WeightForm::Q4, "4 bits", "A bit more than a quarter of the memory, and faster"),
            ] {
                let chip = widgets::chip(ui, name, weights == form).on_hover_text(words);
                let chip = chip.on_disabled_hover_text("The weights of this model are integers already");
                if chip.accessible_name(format!("Weights: {name}")).clicked() {
                    weights = form;
                }
            }
        });
    });
    ui.horizontal(|ui| {
        label(ui, "Context");
        for (form, name, words) in [
            (CacheForm::F16, "16 bits", "The usual"),
            (CacheForm::Q8, "8 bits", "About half the memory; on some cards prompts are read slower"),
        ] {
            let chip = widgets::chip(ui, name, cache == form).on_hover_text(words);
            if chip.accessible_name(format!("Context: {name}")).clicked() {
                cache = form;
            }
        }
    });
    let changed = (weights, cache) != (now.weights, now.cache);
    if changed {
        actions.push(Action::Forms(weights, cache));
    }
    changed
}

/// Height for a list inside a dialog: what is wanted, or what a low window leaves beside `more`.
fn room(ui: &Ui, wanted: f32, more: f32) -> f32 {
    // Margins of the dialog and of the window around it.
    let around = 76.0;
    let head = 44.0;
    (ui.ctx().content_rect().height() - around - head - more).clamp(80.0, wanted)
}

fn shortcuts(ui: &mut Ui, actions: &mut Vec<Action>) {
    ui.set_width(420.0);
    head(ui, "Keyboard shortcuts", actions);
    let context = ui.ctx().clone();
    let row = |ui: &mut Ui, name: &str, keys: &str| {
        ui.horizontal(|ui| {
            ui.label(name);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(RichText::new(keys).font(theme::font(13.0)).color(Palette::of(ui).weak));
            });
        });
    };
    ScrollArea::vertical().max_height(room(ui, 420.0, 0.0)).show(ui, |ui| {
        for (name, keys) in OTHER_KEYS {
            row(ui, name, keys);
        }
        for command in COMMANDS {
            if let Some(keys) = &command.keys {
                row(ui, command.name, &context.format_shortcut(keys));
            }
        }
    });
}
