//! Where the question is typed: documents on it, tokens, the gauge of the context, send and stop.

use egui::{Align, Frame, Key, Layout, Margin, Modifiers, RichText, Stroke, TextEdit, Ui, vec2};

use super::widgets::{self, duration, number};
use super::{icons, library};
use crate::desktop::messages::DocumentId;
use crate::desktop::store::{Action, ModelState, Phase, Store};
use crate::desktop::theme::{self, Palette};

/// The field's number, for who wants to know whether it is being typed in.
pub(crate) fn id() -> egui::Id {
    egui::Id::unique("composer")
}

/// Shows it. `wish` is the last wish to write that was obeyed.
pub(crate) fn show(ui: &mut Ui, store: &Store, wish: &mut u64, actions: &mut Vec<Action>) {
    if *wish != store.write_wish && store.dialog.is_none() {
        *wish = store.write_wish;
        ui.memory_mut(|memory| memory.request_focus(id()));
    }
    progress(ui, store);
    elsewhere(ui, store, actions);
    let palette = Palette::of(ui);
    let id = id();
    let focused = ui.memory(|memory| memory.has_focus(id));
    let stroke = Stroke::new(if focused { 1.5 } else { 1.0 }, if focused { palette.accent } else { palette.line });
    Frame::new().fill(palette.card).stroke(stroke).corner_radius(14).inner_margin(Margin::symmetric(14, 10)).show(
        ui,
        |ui| {
            ui.set_width(ui.available_width());
            chips(ui, store, actions);
            let mut text = store.draft.text.clone();
            // Enter sends; the field must not see it.
            let enter = focused
                && ui.input_mut(|input| !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter));
            let hint = match (&store.model, store.draft.documents.is_empty()) {
                (ModelState::Loading(..), _) => "The model is being opened; you can already type",
                (ModelState::None, _) => "Choose a model first",
                (ModelState::Failed(..), _) => "Reload the model or choose another first",
                (_, false) => "Ask about the document",
                _ => "Ask something, or drop a document here",
            };
            let mut changed = false;
            let rows = text.lines().count().clamp(1, 8);
            let field = TextEdit::multiline(&mut text)
                .id(id)
                .hint_text(hint)
                .font(theme::font(theme::BODY))
                .frame(Frame::NONE)
                .desired_rows(rows)
                .desired_width(f32::INFINITY);
            egui::ScrollArea::vertical().max_height(180.0).show(ui, |ui| {
                if ui.add(field).accessible_name("Message").changed() {
                    changed = true;
                }
            });
            if changed {
                actions.push(Action::Draft(text));
            }
            // After the text: on a slow computer one frame has both.
            if enter {
                actions.push(Action::Send);
            }
            ui.add_space(4.0);
            foot(ui, store, actions);
        },
    );
}

fn foot(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        if widgets::icon_button(ui, icons::PAPERCLIP, "Attach a document").clicked() {
            actions.push(Action::PickDocuments);
        }
        library::show(ui, store, actions);
        thinking(ui, store, actions);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if store.current_work().is_some() {
                if round(ui, icons::STOP, "Stop", true) {
                    actions.push(Action::Stop);
                }
            } else if round(ui, icons::ARROW_UP, "Send", store.can_send()) {
                actions.push(Action::Send);
            }
            ui.add_space(4.0);
            gauge(ui, store);
        });
    });
}

fn round(ui: &mut Ui, icon: &str, name: &str, enabled: bool) -> bool {
    let palette = Palette::of(ui);
    ui.add_enabled_ui(enabled, |ui| {
        let (rect, response) = ui.allocate_exact_size(vec2(34.0, 34.0), egui::Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, name));
        let fill = if enabled { palette.accent } else { palette.raised };
        let color = if enabled { palette.on_accent } else { palette.weak };
        ui.painter().circle_filled(rect.center(), 16.0, fill);
        if response.hovered() || response.has_focus() {
            ui.painter().circle_stroke(rect.center(), 16.0, Stroke::new(2.0, palette.text));
        }
        let font = egui::FontId::new(18.0, theme::icon_family());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, icon, font, color);
        response.on_hover_text(name).clicked()
    })
    .inner
}

fn chips(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    if store.draft.documents.is_empty() && store.files_pending == 0 {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        for &id in &store.draft.documents {
            let Some(document) = store.documents.get(&id) else { continue };
            let tokens = document_tokens(store, id);
            if widgets::chip(ui, &format!("{} · {tokens}", document.name), false).clicked() {
                actions.push(Action::OpenDocument(id));
            }
            if widgets::icon_button(ui, icons::X, &format!("Remove {}", document.name)).clicked() {
                actions.push(Action::Detach(id));
            }
        }
        if store.files_pending > 0 {
            widgets::note(ui, "Reading the file…");
        }
    });
}

/// "14,320 tokens", or an estimate that says so.
pub(crate) fn document_tokens(store: &Store, id: DocumentId) -> String {
    match store.document_tokens.get(&id) {
        Some(&tokens) => format!("{} tokens", number(tokens)),
        None => {
            let bytes = store.documents.get(&id).map_or(0, |document| document.text.len());
            format!("about {} tokens", number(Store::estimate_tokens(bytes)))
        }
    }
}

fn thinking(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let (Some(chat), Some(info)) = (store.chat(), store.model_info()) else { return };
    if info.can_think {
        let on = chat.settings.thinking;
        if widgets::icon_toggle(ui, icons::BRAIN, "Think before answering", on).clicked() {
            let mut settings = chat.settings.clone();
            settings.thinking = !on;
            actions.push(Action::ChatSettings(Box::new(settings)));
        }
    }
}

/// Tokens of the context in use, the document's share, and the draft's.
fn gauge(ui: &mut Ui, store: &Store) {
    let Some(info) = store.model_info() else { return };
    let used = store.context_use();
    let total = used.total();
    let part = total as f32 / info.context.max(1) as f32;
    let over = total > info.context;
    let palette = Palette::of(ui);
    let color = if over { palette.danger } else { palette.weak };
    let words = |text: String| ui.painter().layout_no_wrap(text, theme::font(theme::SMALL), color);
    // In a narrow window the share stands for the numbers, which the tooltip has.
    let long = words(format!("{} of {} tokens", number(total), number(info.context)));
    let galley =
        if long.size().x <= ui.available_width() { long } else { words(format!("{:.0} %", (100.0 * part).ceil())) };
    let response = ui.add(egui::Label::new(galley));
    let share = 100.0 * used.documents as f32 / total.max(1) as f32;
    let words = format!(
        "Context: {} of {} tokens. Documents are {share:.0} % of it, the draft has {}.{}",
        number(total),
        number(info.context),
        number(used.draft),
        if over { " It does not fit: nothing will be cut, the answer will be refused." } else { "" }
    );
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &words));
    response.on_hover_text(&words);
    if ui.available_width() > 80.0 {
        widgets::bar(ui, 70.0, part, "Context in use").on_hover_text(words);
    }
}

/// Before the first word: how much of the prompt is read, and how long it takes.
fn progress(ui: &mut Ui, store: &Store) {
    let (part, words) = match (&store.model, store.current_work()) {
        (ModelState::Loading(_, _, stage, done, total), _) => {
            let part = if *total == 0 { 0.0 } else { *done as f32 / *total as f32 };
            (part, super::topbar::stage_name(*stage).to_owned())
        }
        (_, Some(work)) => match work.phase {
            Phase::Waiting => (0.0, "Preparing the text".to_owned()),
            Phase::Prefill(done, total, _) => {
                let left = work.prefill_left().map_or(String::new(), |seconds| format!(", {} left", duration(seconds)));
                let part = done as f32 / total.max(1) as f32;
                (part, format!("Reading {} of {} tokens{left}", number(done), number(total)))
            }
            Phase::Writing => return,
        },
        _ => return,
    };
    ui.horizontal(|ui| {
        widgets::bar(ui, 160.0, part, "Progress");
        widgets::note(ui, words);
    });
    ui.add_space(4.0);
}

/// An answer in another chat: the model writes one at a time, so this one must wait.
fn elsewhere(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let Some(work) = store.work.as_ref().filter(|work| work.chat != store.current) else { return };
    let title = store.chat_by(work.chat).map_or("another chat", |chat| &chat.title);
    widgets::from_right(ui, 28.0, |ui| {
        if widgets::quiet_button(ui, "Stop it").clicked() {
            actions.push(Action::Stop);
        }
        if widgets::quiet_button(ui, "Show it").clicked() {
            actions.push(Action::SelectChat(work.chat));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let words = RichText::new(format!("An answer is being written in \"{title}\""));
            let words = words.font(theme::font(theme::SMALL)).color(Palette::of(ui).weak);
            ui.add(egui::Label::new(words).truncate());
        });
    });
    ui.add_space(4.0);
}
