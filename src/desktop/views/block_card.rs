//! The card of one block: its text, its votes now and over the answer, the layers that chose it, and what can be done.

use egui::{Align, Layout, Rect, RichText, ScrollArea, Sense, Ui, pos2, vec2};

use super::picture::Picture;
use super::ribbon::votes_in_words;
use super::widgets::number;
use super::{icons, widgets};
use crate::desktop::attention::{Passage, Reading, block_passages};
use crate::desktop::messages::{Pin, PinRule};
use crate::desktop::store::{Action, Store};
use crate::desktop::theme::{self, Palette};
use crate::desktop::trace_data::Source;

/// Shows the card of the focused block.
pub(crate) fn show(ui: &mut Ui, store: &Store, picture: &Picture, actions: &mut Vec<Action>) {
    let (Some(block), Some(reading)) = (store.focus.block, store.reading()) else { return };
    let passages = block_passages(&reading.map, reading.block_size(), block);
    let main = passages.iter().max_by_key(|passage| passage.bytes.len());
    ui.horizontal(|ui| {
        widgets::strong(ui, format!("Block {block}"), 15.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if widgets::close_button(ui, "Close block card").clicked() {
                actions.push(Action::FocusBlock(None));
            }
        });
    });
    let size = reading.block_size();
    let first = block * size;
    let last = first.saturating_add(size).min(reading.map.len()).saturating_sub(1);
    let place = main.map_or_else(String::new, |passage| place(store, passage));
    widgets::note(ui, format!("Tokens {} to {} · {place}", number(first), number(last)));
    let text = card_text(store, reading, block);
    let palette = Palette::of(ui);
    egui::Frame::new().fill(palette.side).corner_radius(8).inner_margin(10).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ScrollArea::vertical().id_salt("block text").max_height(72.0).show(ui, |ui| {
            ui.label(RichText::new(&text).font(theme::font(13.5)));
        });
    });
    ui.add_space(4.0);
    let (mean, during, since, most) = reading.block_sums(block);
    facts(ui, reading, picture, block, mean, most);
    let word = since.and_then(|token| written_word(store, reading, token as usize));
    let total = reading.written.len();
    let began = word.map_or(String::new(), |word| format!(", first at \"{word}\""));
    widgets::note(ui, format!("Chosen during {during} of {total} answer tokens{began}"));
    layers(ui, reading, picture);
    ui.add_space(4.0);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        if widgets::icon_button(ui, icons::CROSSHAIR, "Show in document").clicked() {
            actions.push(Action::ShowBlock(block));
        }
        if widgets::icon_button(ui, icons::COPY, "Copy passage").clicked() {
            actions.push(Action::Copy(text.clone()));
        }
        if let Some(Passage { source: Source::Document(document), bytes }) = main {
            pins(ui, store, *document, bytes, actions);
        }
    });
}

/// The text of a block as its card shows it.
pub(crate) fn card_text(store: &Store, reading: &Reading, block: u32) -> String {
    let passages = block_passages(&reading.map, reading.block_size(), block);
    let words: Vec<&str> = passages.iter().filter_map(|passage| store.passage_text(passage)).collect();
    words.join(" ").trim().to_owned()
}

fn place(store: &Store, passage: &Passage) -> String {
    let name = store.source_name(passage.source);
    match passage.source {
        Source::Document(id) => store.documents.get(&id).map_or(name.clone(), |document| {
            format!("{name}, line {}", document.line_of(passage.bytes.start as usize))
        }),
        _ => name,
    }
}

fn facts(ui: &mut Ui, reading: &Reading, picture: &Picture, block: u32, mean: f32, most: u32) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(RichText::new("Now").font(theme::strong(13.0)));
        ui.label(RichText::new(votes_in_words(picture, block)).font(theme::font(13.0)));
    });
    if reading.was_sparse() {
        widgets::note(ui, format!("Answer mean {mean:.1}, most {most} readers"));
    }
}

fn written_word(store: &Store, reading: &Reading, token: usize) -> Option<String> {
    let message = store.chat()?.message(reading.message)?;
    let written = reading.written.get(token)?;
    let text = match written.part {
        crate::desktop::messages::Part::Thinking => &message.thinking,
        crate::desktop::messages::Part::Answer => &message.text,
    };
    // Tokens cut words, and most begin with a space: the word is around the last letter.
    let bytes = super::message::word_at(text, (written.bytes.end as usize).saturating_sub(1));
    let word = text.get(bytes.start as usize..bytes.end as usize)?.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

/// One bar for each layer: how often its heads chose the block during the focused tokens.
fn layers(ui: &mut Ui, reading: &Reading, picture: &Picture) {
    let shares = picture.layer_shares();
    if !reading.was_sparse() || shares.is_empty() {
        return;
    }
    let palette = Palette::of(ui);
    let count = shares.len();
    let width = ui.available_width().min(340.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 34.0), Sense::hover());
    let cell = width / count as f32;
    let base = rect.bottom() - 12.0;
    for (layer, part) in shares.iter().enumerate() {
        let left = rect.left() + layer as f32 * cell;
        let slot = Rect::from_min_max(pos2(left + 0.5, rect.top()), pos2(left + cell - 0.5, base));
        ui.painter().rect_filled(slot, 1, palette.raised);
        let mut bar = slot;
        bar.min.y = base - part.clamp(0.0, 1.0) * slot.height();
        ui.painter().rect_filled(bar, 1, palette.heat(0.3 + 0.5 * part));
    }
    let font = theme::font(10.5);
    ui.painter().text(rect.left_bottom(), egui::Align2::LEFT_BOTTOM, "layer 0", font.clone(), palette.weak);
    let last = format!("{}", count - 1);
    ui.painter().text(rect.right_bottom(), egui::Align2::RIGHT_BOTTOM, last, font, palette.weak);
    response.on_hover_text("How often each layer chose this block during the tokens in focus");
}

fn pins(ui: &mut Ui, store: &Store, document: u64, bytes: &std::ops::Range<u32>, actions: &mut Vec<Action>) {
    let Some(chat) = store.chat().filter(|_| store.model_info().is_some_and(|info| info.can_pin)) else { return };
    let dense = store.reads_densely();
    let rules = [
        (PinRule::Exclude, icons::PROHIBIT, "Hide", "Hide this passage and answer again"),
        (PinRule::Require, icons::PUSH_PIN, "Always read", "Always read this passage and answer again"),
    ];
    for (rule, icon, word, name) in rules {
        let pin = Pin { document, bytes: bytes.clone(), rule };
        let on = chat.pins.contains(&pin);
        ui.add_enabled_ui(store.work.is_none() && (on || !dense), |ui| {
            let toggle = widgets::word_toggle(ui, icon, word, name, on);
            let toggle = if dense { toggle.on_disabled_hover_text(DENSE) } else { toggle };
            if toggle.clicked() {
                actions.push(Action::WhatIf(pin));
            }
        });
    }
}

const DENSE: &str = "Dense attention reads everything: no passage can be hidden or pinned. Switch to sparse first";
const SCOPE: &str = "Holds for the questions and answers. The documents are not read again: later passages were read \
                     with this one in view and may carry some of it.";

/// The passages held in or kept out, above the conversation, so that nobody forgets them.
pub(crate) fn pin_line(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let Some(chat) = store.chat().filter(|chat| !chat.pins.is_empty()) else { return };
    ui.horizontal_wrapped(|ui| {
        widgets::note(ui, "What if:").on_hover_text(SCOPE);
        for pin in &chat.pins {
            let line =
                store.documents.get(&pin.document).map_or(0, |document| document.line_of(pin.bytes.start as usize));
            let words = match pin.rule {
                PinRule::Exclude => format!("line {line} hidden ×"),
                PinRule::Require => format!("line {line} always read ×"),
            };
            if widgets::chip(ui, &words, true).on_hover_text("Let it go; answer again to see the difference").clicked()
            {
                actions.push(Action::RemovePin(pin.clone()));
            }
        }
        let words = match store.reads_densely() {
            true => "no effect: dense attention reads everything",
            false => "from the question on, the document is not read again",
        };
        widgets::note(ui, words).on_hover_text(SCOPE);
    });
}
