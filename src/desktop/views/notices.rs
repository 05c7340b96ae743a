//! Cards for what went wrong, in plain words with numbers and two buttons, and short notes that can be taken back.

use egui::{Color32, Frame, Margin, RichText, Stroke, Ui};

use super::icons;
use super::widgets::{self, megabytes, number};
use crate::desktop::messages::{EngineError, FailureKind};
use crate::desktop::store::{Action, Dialog, Notice, Store};
use crate::desktop::theme::{self, Palette};

/// What a card says and offers.
struct Card {
    title: String,
    text: String,
    detail: String,
    buttons: [(&'static str, Option<Action>); 2],
}

pub(crate) fn show(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    for (index, posted) in store.notices.iter().enumerate() {
        match &posted.notice {
            Notice::Failure(error) => card(ui, index, failure(error), actions),
            Notice::Problem(title, text) => {
                let (title, text) = (title.clone(), text.clone());
                let card_of = Card { title, text, detail: String::new(), buttons: [("Close", None), ("", None)] };
                card(ui, index, card_of, actions);
            }
            Notice::Undo(words) => note(ui, index, words, true, actions),
            Notice::Done(words) => note(ui, index, words, false, actions),
        }
        ui.add_space(theme::GAP);
    }
}

fn failure(error: &EngineError) -> Card {
    let reload = ("Reload the model", Some(Action::Reload));
    let settings = ("Settings", Some(Action::Open(Dialog::DeviceSettings)));
    let models = ("Choose another model", Some(Action::Open(Dialog::Models)));
    let close = ("Close", None);
    let (title, text, buttons) = match &error.kind {
        FailureKind::Memory { needed_mib, allowed_mib } => (
            "Not enough memory".to_owned(),
            format!(
                "This needs {}, the device allows {}. A shorter context or fewer bits need less, and closing other programs may \
                 help.",
                megabytes(*needed_mib),
                megabytes(*allowed_mib)
            ),
            [("Use less memory", Some(Action::Open(Dialog::DeviceSettings))), models],
        ),
        FailureKind::ContextFull { needed, capacity } => (
            "This is too long".to_owned(),
            format!(
                "Conversation and documents have {} tokens, {} more than the {} that fit. Nothing was cut: remove a \
                 document, start a new chat, or make more room in the settings.",
                number(*needed),
                number(needed.saturating_sub(*capacity)),
                number(*capacity)
            ),
            [("New chat", Some(Action::NewChat)), settings],
        ),
        FailureKind::DeviceLost => (
            "The graphics device stopped".to_owned(),
            "Its driver was restarted, or it was unplugged. Reload the model to go on.".to_owned(),
            [reload, settings],
        ),
        FailureKind::NoDevice => {
            ("No graphics device can be used".to_owned(), error.message.clone(), [settings, close])
        }
        FailureKind::File => ("The model cannot be opened".to_owned(), error.message.clone(), [models, close]),
        FailureKind::Crashed => {
            ("The engine stopped".to_owned(), "Nothing of the conversation is lost.".to_owned(), [reload, close])
        }
        FailureKind::Other => ("That did not work".to_owned(), error.message.clone(), [reload, close]),
    };
    let detail = if text == error.message { String::new() } else { error.message.clone() };
    Card { title, text, detail, buttons }
}

fn card(ui: &mut Ui, index: usize, card: Card, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let frame = Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(12)
        .inner_margin(Margin::symmetric(18, 14));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            let icon = RichText::new(icons::WARNING_CIRCLE).font(egui::FontId::new(20.0, theme::icon_family()));
            ui.add(egui::Label::new(icon.color(palette.danger)).selectable(false));
            widgets::strong(ui, &card.title, 16.0);
        });
        ui.label(RichText::new(&card.text).color(palette.text));
        if !card.detail.is_empty() {
            widgets::note(ui, widgets::capital(&card.detail));
        }
        ui.add_space(6.0);
        widgets::from_right(ui, 32.0, |ui| {
            for (at, (name, action)) in card.buttons.into_iter().enumerate() {
                if name.is_empty() {
                    continue;
                }
                let clicked = if at == 0 { widgets::primary_button(ui, name) } else { ui.button(name) }.clicked();
                if clicked {
                    actions.push(Action::Dismiss(index));
                    actions.extend(action);
                }
            }
        });
    });
}

fn note(ui: &mut Ui, index: usize, words: &str, undo: bool, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let (fill, text) = (palette.text, palette.page);
    ui.vertical_centered(|ui| {
        Frame::new().fill(fill).corner_radius(18).inner_margin(Margin::symmetric(14, 4)).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(words).color(text));
                let button = |name: &str| {
                    let words = RichText::new(name).font(theme::strong(14.0)).color(text);
                    egui::Button::new(words).fill(Color32::TRANSPARENT).stroke(Stroke::NONE)
                };
                if undo && ui.add(button("Undo")).clicked() {
                    actions.push(Action::Undo);
                }
                if ui.add(button("×")).accessible_name("Dismiss").clicked() {
                    actions.push(Action::Dismiss(index));
                }
            });
        });
    });
}
