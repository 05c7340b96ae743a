//! The same question answered dense and sparse, side by side.

use egui::{Align, Layout, RichText, ScrollArea, Ui};

use super::prose::{Prose, Room};
use super::widgets::{self, duration, number};
use crate::desktop::messages::MessageId;
use crate::desktop::store::{Action, Compare, Phase, Store};
use crate::desktop::theme::{self, Palette};

/// Texts laid out for both columns.
#[derive(Default)]
pub(crate) struct CompareView {
    prose: [Prose; 2],
}

impl CompareView {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, compare: &Compare, actions: &mut Vec<Action>) {
        ui.add_space(theme::GAP);
        ui.horizontal(|ui| {
            ui.add_space(theme::SPACE);
            widgets::strong(ui, "Dense and sparse", theme::TITLE);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add_space(theme::GAP);
                if widgets::close_button(ui, "Close comparison").clicked() {
                    actions.push(Action::CompareClose);
                }
            });
        });
        let question = store.chat().and_then(|chat| chat.message(compare.question)).map(|message| message.text.clone());
        ui.horizontal(|ui| {
            ui.add_space(theme::SPACE);
            let words = RichText::new(question.unwrap_or_default()).color(Palette::of(ui).weak);
            ui.add(egui::Label::new(words).truncate());
        });
        ui.add_space(theme::GAP);
        let mut room = Room::of_a_frame();
        ui.columns(2, |columns| {
            let sides = [("Dense: reads everything", compare.dense), ("Sparse: reads what it selects", compare.sparse)];
            for ((ui, (title, answer)), prose) in columns.iter_mut().zip(sides).zip(&mut self.prose) {
                egui::Frame::new().inner_margin(theme::GAP).show(ui, |ui| {
                    widgets::card(ui).show(ui, |ui| {
                        ui.set_width(ui.available_width());
                        widgets::strong(ui, title, 15.0);
                        side(ui, store, answer, prose, &mut room, title);
                    });
                });
            }
        });
    }
}

fn side(ui: &mut Ui, store: &Store, answer: Option<MessageId>, prose: &mut Prose, room: &mut Room, salt: &str) {
    let Some(message) = answer.and_then(|answer| store.chat().and_then(|chat| chat.message(answer))) else {
        widgets::note(ui, "Comes second, after the dense answer.");
        ui.add_space(120.0);
        return;
    };
    let work = store.current_work().filter(|work| Some(work.message) == answer);
    let numbers = match (work, &message.stats) {
        (Some(work), _) => match (&work.phase, work.speed()) {
            (Phase::Prefill(done, total, _), _) => format!("Reading {} of {}", number(*done), number(*total)),
            (_, Some(speed)) => format!("{speed:.1} tok/s"),
            _ => "…".into(),
        },
        (None, Some(stats)) => {
            let speed = stats.generated_tokens.saturating_sub(1) as f32 / stats.decode_seconds.max(1e-6);
            format!("{speed:.1} tok/s · first word after {}", duration(stats.first_token_seconds))
        }
        (None, None) => String::new(),
    };
    let read = store.reading_of(message.id).and_then(|reading| reading.last_step());
    let share = read.map_or(String::new(), |step| {
        format!(" · read {} of {} tokens", number(step.tokens_read()), number(step.cache_length))
    });
    widgets::note(ui, format!("{numbers}{share}"));
    ui.add_space(theme::GAP);
    ScrollArea::vertical().id_salt(salt).auto_shrink(false).max_height(ui.available_height() - 30.0).show(ui, |ui| {
        prose.show(ui, &message.text, &[], room);
    });
}
