//! One message: text with heat behind it, thinking folded, versions, numbers, and the line that says how the document
//! was read.

use std::ops::Range;

use egui::{RichText, Role, Sense, Stroke, Ui, WidgetInfo};

use super::icons;
use super::picture::Picture;
use super::prose::{Mark, Prose, ProseOutput};
use super::transcript::Transcript;
use super::widgets::{self, number};
use crate::desktop::attention::{Reading, heat, heat_step, snap};
use crate::desktop::messages::{FinishReason, MessageId, Part};
use crate::desktop::store::{Action, ChatId, Message, Phase, Store};
use crate::desktop::theme::{self, Palette};
use crate::desktop::trace_data::{Mode, Source};

/// Which text of which message.
pub(crate) type ProseKey = (ChatId, MessageId, bool);

/// The user's words, as they were typed.
pub(crate) fn plain_text(views: &mut Transcript, ui: &mut Ui, store: &Store, picture: &Picture, message: &Message) {
    let marks = tint_marks(ui, picture, Source::Turn(message.id), &message.text);
    let prose = views.prose.entry((store.current, message.id, false)).or_insert_with(Prose::plain);
    prose.show(ui, &message.text, &marks, &mut views.room);
}

/// An answer with everything around it.
pub(crate) fn answer(
    views: &mut Transcript,
    ui: &mut Ui,
    store: &Store,
    picture: &Picture,
    message: &Message,
    actions: &mut Vec<Action>,
) {
    let writing = store.current_work().filter(|work| work.message == message.id);
    if let Some(mode) = store.chat().and_then(|chat| chat.switched_before(message)) {
        ui.add_space(8.0);
        switch_rule(ui, mode, ui.cursor().top());
        ui.add_space(12.0);
    }
    if !message.note.is_empty() {
        widgets::note(ui, widgets::capital(&message.note));
    }
    if !message.thinking.is_empty() {
        thinking(views, ui, store, picture, message, actions);
    }
    if let Some(work) = writing.filter(|_| message.text.is_empty() && message.thinking.is_empty()) {
        let words = if matches!(work.phase, Phase::Prefill(..)) { "Reading…" } else { "…" };
        ui.label(RichText::new(words).color(Palette::of(ui).weak));
    }
    let marks = marks(ui, store, picture, message, Part::Answer);
    let key = (store.current, message.id, false);
    let output = views.prose.entry(key).or_default().show(ui, &message.text, &marks, &mut views.room);
    switch_rules(ui, message, &output);
    react(store, message, Part::Answer, output, actions);
    if writing.is_none() {
        ui.add_space(6.0);
        views.coverage.show(ui, store, message, actions);
        ui.add_space(2.0);
        foot(ui, store, message, actions);
    }
}

fn thinking(
    views: &mut Transcript,
    ui: &mut Ui,
    store: &Store,
    picture: &Picture,
    message: &Message,
    actions: &mut Vec<Action>,
) {
    let key = (store.current, message.id);
    let open = views.open_thinking.contains(&key);
    let tokens = store
        .reading_of(message.id)
        .map_or(0, |reading| reading.written.iter().filter(|written| written.part == Part::Thinking).count());
    let count = if tokens > 0 { format!(" ({tokens} tokens)") } else { String::new() };
    let caret = if open { icons::CARET_DOWN } else { icons::CARET_RIGHT };
    if widgets::icon_text_button(ui, caret, &format!("Thinking{count}")).clicked() {
        if open {
            views.open_thinking.retain(|other| *other != key);
        } else {
            views.open_thinking.push(key);
        }
    }
    if open {
        let marks = marks(ui, store, picture, message, Part::Thinking);
        let output = ui
            .indent("thinking", |ui| {
                let prose = views.prose.entry((store.current, message.id, true)).or_default();
                prose.show(ui, &message.thinking, &marks, &mut views.room)
            })
            .inner;
        react(store, message, Part::Thinking, output, actions);
        ui.add_space(theme::GAP);
    }
}

/// Tints behind a text of the context.
fn tint_marks(ui: &Ui, picture: &Picture, source: Source, text: &str) -> Vec<Mark> {
    let palette = Palette::of(ui);
    let tints = picture.tints.get(&source).map(Vec::as_slice).unwrap_or(&[]);
    let mark = |(bytes, step): &(Range<u32>, u8)| Mark {
        bytes: snap(text, bytes),
        fill: palette.tint(*step),
        underline: None,
    };
    tints.iter().map(mark).collect()
}

/// Marks of an answer: heat where it was itself read, words written while the focused block was read, chosen words.
fn marks(ui: &Ui, store: &Store, picture: &Picture, message: &Message, part: Part) -> Vec<Mark> {
    let palette = Palette::of(ui);
    let (text, source) = match part {
        Part::Thinking => (&message.thinking, Source::Thinking(message.id)),
        Part::Answer => (&message.text, Source::Answer(message.id)),
    };
    let Some(reading) = store.reading().filter(|reading| reading.message == message.id) else {
        return tint_marks(ui, picture, Source::Turn(message.id), text);
    };
    let mut marks = Vec::new();
    match store.focus.block {
        Some(_) => {
            let votes = picture.votes_by_token();
            let (blind, readers) = (picture.shade.chance, reading.last_step().map_or(0, |step| step.readers()) as f32);
            for (written, &votes) in reading.written.iter().zip(votes).filter(|(written, _)| written.part == part) {
                let step = heat_step(heat(votes as f32, blind, readers));
                if step > 0 {
                    marks.push(Mark { bytes: snap(text, &written.bytes), fill: palette.tint(step), underline: None });
                }
            }
        }
        None => marks = tint_marks(ui, picture, source, text),
    }
    let tokens = store.focus.tokens.clone().or(store.focus.scrub.map(|token| token..token + 1));
    for written in tokens.and_then(|tokens| reading.written.get(tokens)).unwrap_or(&[]) {
        if written.part == part {
            marks.push(Mark { bytes: snap(text, &written.bytes), fill: None, underline: Some(palette.accent) });
        }
    }
    marks
}

fn react(store: &Store, message: &Message, part: Part, output: ProseOutput, actions: &mut Vec<Action>) {
    if let Some(text) = output.copied {
        actions.push(Action::Copy(text));
    }
    let Some(byte) = output.clicked else { return };
    let Some(reading) = store.reading_of(message.id) else { return };
    let text = match part {
        Part::Thinking => &message.thinking,
        Part::Answer => &message.text,
    };
    let tokens = tokens_of_word(reading, part, &word_at(text, byte));
    actions.push(Action::FocusAnswer(message.id));
    actions.push(Action::FocusTokens(if store.focus.tokens.as_ref() == Some(&tokens) { None } else { Some(tokens) }));
}

/// The word around a byte.
pub(crate) fn word_at(text: &str, byte: usize) -> Range<u32> {
    let byte = (0..=byte.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let (before, after) = text.split_at(byte);
    let start = before
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    let end = after.find(char::is_whitespace).map_or(text.len(), |at| byte + at);
    u32::try_from(start).unwrap_or(0)..u32::try_from(end).unwrap_or(u32::MAX)
}

/// Tokens of an answer that overlap these bytes.
fn tokens_of_word(reading: &Reading, part: Part, bytes: &Range<u32>) -> Range<usize> {
    let inside = |index: &usize| {
        reading.written.get(*index).is_some_and(|written| {
            written.part == part && written.bytes.start < bytes.end && written.bytes.end > bytes.start
        })
    };
    let mut tokens = (0..reading.written.len()).filter(inside);
    let first = tokens.next().unwrap_or(0);
    first..tokens.next_back().unwrap_or(first) + 1
}

/// A thin rule where the way of reading changed.
fn switch_rules(ui: &Ui, message: &Message, output: &ProseOutput) {
    for (byte, mode) in &message.switches {
        let at = output.tops.partition_point(|(start, _)| *start <= *byte as usize);
        let end = ui.cursor().top();
        switch_rule(ui, *mode, output.tops.get(at).map_or(end, |(_, top)| *top) + 1.0);
    }
}

fn switch_rule(ui: &Ui, mode: Mode, y: f32) {
    let palette = Palette::of(ui);
    let words = match mode {
        Mode::Sparse => "switched to sparse attention here",
        Mode::Dense => "switched to dense attention here",
    };
    let x = ui.max_rect().x_range();
    let galley = ui.painter().layout_no_wrap(words.into(), theme::font(11.0), palette.accent);
    let place = egui::Rect::from_min_size(egui::pos2(x.max - galley.size().x, y - 7.0), galley.size());
    ui.painter().hline(x.min..=place.left() - 8.0, y, Stroke::new(1.0, palette.accent));
    ui.painter().galley(place.min, galley, palette.accent);
    let response = ui.interact(place, ui.scope_id().with(("switch", y.to_bits())), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
}

/// "< 2/3 >".
pub(crate) fn versions(ui: &mut Ui, store: &Store, message: &Message, actions: &mut Vec<Action>) {
    let Some(chat) = store.chat() else { return };
    let versions = chat.versions(message.id);
    if versions.len() < 2 {
        return;
    }
    let at = versions.iter().position(|&id| id == message.id).unwrap_or(0);
    let rtl = ui.layout().main_dir() == egui::Direction::RightToLeft;
    let arrows = [(icons::CARET_LEFT, "Previous version", -1isize), (icons::CARET_RIGHT, "Next version", 1)];
    let arrow = |ui: &mut Ui, (icon, name, step): (&str, &str, isize), actions: &mut Vec<Action>| {
        let there = at.checked_add_signed(step).is_some_and(|at| at < versions.len());
        ui.add_enabled_ui(there && store.work.is_none(), |ui| {
            if widgets::icon_button(ui, icon, name).clicked() {
                actions.push(Action::ShowVersion(message.id, step));
            }
        });
    };
    let [left, right] = arrows;
    let (first, last) = if rtl { (right, left) } else { (left, right) };
    arrow(ui, first, actions);
    widgets::note(ui, format!("{}/{}", at + 1, versions.len()));
    arrow(ui, last, actions);
}

fn foot(ui: &mut Ui, store: &Store, message: &Message, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        versions(ui, store, message, actions);
        if widgets::icon_button(ui, icons::COPY, "Copy answer").clicked() {
            actions.push(Action::Copy(message.text.clone()));
        }
        ui.add_enabled_ui(store.work.is_none() && store.model_info().is_some(), |ui| {
            if widgets::icon_button(ui, icons::ARROW_CLOCKWISE, "Answer again").clicked() {
                actions.push(Action::Regenerate(message.id));
            }
        });
        if store.reading_of(message.id).is_some() {
            let on = store.reading().is_some_and(|reading| reading.message == message.id);
            if widgets::icon_toggle(ui, icons::EYE, "Show what was read", on).clicked() {
                actions.push(Action::FocusAnswer(message.id));
                actions.push(Action::FocusTokens(None));
            }
        }
        if widgets::icon_button(ui, icons::TRASH, "Delete answer").clicked() {
            actions.push(Action::Delete(message.id));
        }
        ui.add_space(6.0);
        if let Some(stats) = &message.stats {
            let mut words = format!("{} tokens", number(stats.generated_tokens));
            if stats.decode_seconds > 0.0 && stats.generated_tokens > 1 {
                words += &format!(" · {:.1} tok/s", (stats.generated_tokens - 1) as f32 / stats.decode_seconds);
            }
            match message.finish {
                Some(FinishReason::Stopped) => words += " · stopped",
                Some(FinishReason::MaxTokens) => words += " · longest answer reached",
                Some(FinishReason::ContextFull) => words += " · context full",
                _ => {}
            }
            widgets::note(ui, words);
        } else if message.finish.is_none() {
            widgets::note(ui, "not finished");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::word_at;

    #[test]
    fn words_are_found_in_any_script() {
        assert_eq!(word_at("two hundred tons", 5), 4..11);
        assert_eq!(word_at("two", 0), 0..3);
        assert_eq!(word_at("", 0), 0..0);
        assert_eq!(word_at("码 是🎉 4821", 6), 4..11);
    }
}
