//! Every command, chat, document and model by name: type a part of it, choose with the arrows, Enter runs it.

use egui::{Button, Key, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::super::widgets;
use crate::desktop::commands;
use crate::desktop::store::{Action, Store};
use crate::desktop::theme::{self, Palette};

#[derive(Default)]
pub(crate) struct CommandPalette {
    query: String,
    chosen: usize,
}

impl CommandPalette {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>, just_opened: bool) {
        ui.set_width(520.0);
        if just_opened {
            self.query.clear();
            self.chosen = 0;
        }
        let field = TextEdit::singleline(&mut self.query)
            .hint_text("Type a command, or the name of a chat, document or model")
            .font(theme::font(theme::BODY))
            .margin(vec2(12.0, 9.0))
            .desired_width(f32::INFINITY);
        let response = ui.add(field).accessible_name("Command");
        if just_opened {
            response.request_focus();
        }
        if response.changed() {
            self.chosen = 0;
        }
        let found = commands::find(store, &self.query);
        let moved =
            ui.input(|input| i32::from(input.key_pressed(Key::ArrowDown)) - i32::from(input.key_pressed(Key::ArrowUp)));
        self.chosen = self.chosen.saturating_add_signed(moved as isize).min(found.len().saturating_sub(1));
        // What is typed into the frame that opens this misses the field, and so would mean another command.
        let enter = !just_opened && ui.input(|input| input.key_pressed(Key::Enter));
        ui.add_space(theme::GAP);
        let palette = Palette::of(ui);
        // Below the bar at the top and the field.
        let height = (ui.ctx().content_rect().height() - 200.0).clamp(80.0, 320.0);
        ScrollArea::vertical().max_height(height).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 1.0;
            if found.is_empty() {
                widgets::note(ui, "Nothing has these words in its name.");
            }
            for (index, command) in found.into_iter().enumerate() {
                let keys = command.keys.as_ref().map_or(String::new(), |keys| ui.ctx().format_shortcut(keys));
                let keys = RichText::new(keys).font(theme::font(theme::SMALL)).color(palette.weak);
                let on = index == self.chosen;
                let button =
                    Button::selectable(on, &command.name).right_text(keys).min_size(vec2(ui.available_width(), 30.0));
                let response = ui.add(button).accessible_name(&command.name);
                if on && moved != 0 {
                    response.scroll_to_me(None);
                }
                if response.clicked() || (enter && on) {
                    actions.push(Action::Close);
                    actions.push(command.action);
                }
            }
        });
    }
}
