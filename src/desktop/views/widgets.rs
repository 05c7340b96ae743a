//! Small parts that all views share: buttons with icons and names, cards, fields with labels, heat behind text.

use std::ops::Range;

use egui::epaint::text::CharIndex;
use egui::{
    Button, Color32, CornerRadius, EventFilter, Frame, Galley, Key, Margin, Modifiers, Pos2, Rect, Response, RichText,
    Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::icons;
use crate::desktop::theme::{self, Palette};

/// A small button with an icon, without a frame. `name` is its accessible name and its tooltip.
pub(crate) fn icon_button(ui: &mut Ui, icon: &str, name: &str) -> Response {
    icon_toggle(ui, icon, name, false)
}

/// The same, shown as on or off.
pub(crate) fn icon_toggle(ui: &mut Ui, icon: &str, name: &str, on: bool) -> Response {
    let palette = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(30.0), Sense::click());
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, on, name));
    if ui.is_rect_visible(rect) {
        let hovered = enabled && (response.hovered() || response.has_focus());
        let fill = if on {
            palette.accent_soft
        } else if hovered {
            palette.raised
        } else {
            Color32::TRANSPARENT
        };
        ui.painter().rect_filled(rect.shrink(1.0), 8, fill);
        if response.has_focus() {
            ui.painter().rect_stroke(rect.shrink(1.0), 8, Stroke::new(1.5, palette.accent), egui::StrokeKind::Inside);
        }
        let color = match (enabled, on, hovered) {
            (false, _, _) => palette.forced,
            (_, true, _) => palette.accent,
            (_, _, true) => palette.text,
            _ => palette.weak,
        };
        let font = egui::FontId::new(17.0, theme::icon_family());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, icon, font, color);
    }
    response.on_hover_text(name)
}

/// A button that leads on: filled with the accent.
pub(crate) fn primary_button(ui: &mut Ui, text: &str) -> Response {
    let palette = Palette::of(ui);
    let text = RichText::new(text).color(palette.on_accent).font(theme::strong(14.0));
    ui.add(Button::new(text).fill(palette.accent).stroke(Stroke::NONE))
}

/// A quiet button without a frame.
pub(crate) fn quiet_button(ui: &mut Ui, text: &str) -> Response {
    let palette = Palette::of(ui);
    ui.add(Button::new(RichText::new(text).color(palette.weak)).frame_when_inactive(false))
}

/// A quiet button with an icon before its words.
pub(crate) fn icon_text_button(ui: &mut Ui, icon: &str, text: &str) -> Response {
    let color = Palette::of(ui).weak;
    let mut job = egui::text::LayoutJob::default();
    let format = |font_id| egui::TextFormat { font_id, color, valign: egui::Align::Center, ..Default::default() };
    job.append(icon, 0.0, format(egui::FontId::new(13.0, theme::icon_family())));
    job.append(text, 6.0, format(theme::font(13.0)));
    ui.add(Button::new(job).frame_when_inactive(false)).accessible_name(text)
}

/// A button with an icon and a word, shown as on or off; `name` is its accessible name and its tooltip.
pub(crate) fn word_toggle(ui: &mut Ui, icon: &str, word: &str, name: &str, on: bool) -> Response {
    let palette = Palette::of(ui);
    let enabled = ui.is_enabled();
    let color = match (enabled, on) {
        (false, _) => palette.forced,
        (true, true) => palette.accent,
        (true, false) => palette.text,
    };
    let mut job = egui::text::LayoutJob::default();
    let format = |font_id| egui::TextFormat { font_id, color, valign: egui::Align::Center, ..Default::default() };
    job.append(icon, 0.0, format(egui::FontId::new(15.0, theme::icon_family())));
    job.append(word, 6.0, format(theme::font(13.0)));
    let fill = if on { palette.accent_soft } else { palette.card };
    let response = ui.add(Button::new(job).fill(fill).min_size(vec2(0.0, 30.0)));
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, on, name));
    response.on_hover_text(name)
}

/// Steps that the arrow keys ask for while this has the focus: right and down are forward. The keys do not move the focus
/// then, and an outline shows where they go.
pub(crate) fn arrow_steps(ui: &Ui, response: &Response, outline: Rect) -> isize {
    if !response.has_focus() {
        return 0;
    }
    let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    let stroke = Stroke::new(1.5, Palette::of(ui).accent);
    ui.painter().rect_stroke(outline.expand(2.0), 5, stroke, egui::StrokeKind::Outside);
    ui.input(|input| {
        let pressed = |key: Key| isize::from(input.key_pressed(key));
        pressed(Key::ArrowRight) + pressed(Key::ArrowDown) - pressed(Key::ArrowLeft) - pressed(Key::ArrowUp)
    })
}

/// Scrolls the area that this stands in by a page where these keys are pressed.
pub(crate) fn page_keys(ui: &mut Ui, modifiers: Modifiers) {
    let page = 0.9 * ui.clip_rect().height();
    for (key, way) in [(Key::PageUp, page), (Key::PageDown, -page)] {
        if ui.input_mut(|input| input.consume_key(modifiers, key)) {
            ui.scroll_with_delta(vec2(0.0, way));
        }
    }
}

/// A rounded chip that can be pressed.
pub(crate) fn chip(ui: &mut Ui, text: &str, on: bool) -> Response {
    let palette = Palette::of(ui);
    let color = if on { palette.accent } else { palette.text };
    let fill = if on { palette.accent_soft } else { palette.card };
    let text = RichText::new(text).font(theme::font(13.0)).color(color);
    let button = Button::new(text).fill(fill).corner_radius(14).wrap_mode(egui::TextWrapMode::Extend);
    // Not in a scope of its own: a row that wraps must see the chip itself.
    let usual = (ui.spacing().button_padding, ui.spacing().interact_size.y);
    (ui.spacing_mut().button_padding, ui.spacing_mut().interact_size.y) = (vec2(10.0, 3.0), 26.0);
    let response = ui.add(button);
    (ui.spacing_mut().button_padding, ui.spacing_mut().interact_size.y) = usual;
    response
}

/// A box to tick, with an outline that is seen on every background.
pub(crate) fn checkbox(ui: &mut Ui, on: &mut bool, text: &str) -> Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        let widgets = &mut ui.visuals_mut().widgets;
        for widget in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
            widget.bg_fill = palette.card;
            widget.bg_stroke = Stroke::new(1.0, palette.weak);
            widget.corner_radius = CornerRadius::same(4);
        }
        ui.checkbox(on, text)
    })
    .inner
}

/// A card.
pub(crate) fn card(ui: &Ui) -> Frame {
    let palette = Palette::of(ui);
    Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(CornerRadius::same(theme::ROUND))
        .inner_margin(Margin::symmetric(14, 12))
}

/// Text in the small size and the weak colour.
pub(crate) fn note(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = Palette::of(ui).weak;
    ui.label(RichText::new(text).font(theme::font(theme::SMALL)).color(color))
}

/// Semi-bold text.
pub(crate) fn strong(ui: &mut Ui, text: impl Into<String>, size: f32) -> Response {
    ui.label(RichText::new(text).font(theme::strong(size)))
}

/// A row that is filled from the right.
pub(crate) fn from_right<R>(ui: &mut Ui, height: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let size = vec2(ui.available_width(), height);
    ui.allocate_ui_with_layout(size, egui::Layout::right_to_left(egui::Align::Center), add).inner
}

/// A name for what follows.
pub(crate) fn field_label(ui: &mut Ui, text: &str) -> Response {
    ui.add_space(theme::GAP);
    ui.label(RichText::new(text).font(theme::strong(13.0)))
}

/// A thin bar, `part` of it filled.
pub(crate) fn bar(ui: &mut Ui, width: f32, part: f32, name: &str) -> Response {
    let palette = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = Some(f64::from(part.clamp(0.0, 1.0)));
        info
    });
    ui.painter().rect_filled(rect, 3, palette.raised);
    let mut filled = rect;
    filled.set_width(rect.width() * part.clamp(0.0, 1.0));
    ui.painter().rect_filled(filled, 3, palette.accent);
    response
}

/// A button to close what lies on top.
pub(crate) fn close_button(ui: &mut Ui, name: &str) -> Response {
    icon_button(ui, icons::X, name)
}

/// Rectangles of a run of characters of a laid-out text, one for each row.
pub(crate) fn rows_of(galley: &Galley, origin: Pos2, characters: &Range<usize>) -> Vec<Rect> {
    let mut rects = Vec::new();
    let mut start = 0;
    for row in &galley.rows {
        let length = row.char_count_including_newline().0;
        let end = start + length;
        if characters.start < end && characters.end > start {
            let from = row.x_offset(CharIndex(characters.start.saturating_sub(start)));
            let to = row.x_offset(CharIndex((characters.end - start).min(row.char_count_excluding_newline().0)));
            if to > from {
                let rect = row.rect();
                rects.push(Rect::from_min_max(
                    pos2(origin.x + row.pos.x + from, origin.y + rect.top()),
                    pos2(origin.x + row.pos.x + to, origin.y + rect.bottom()),
                ));
            }
        }
        start = end;
    }
    rects
}

/// With a large first letter: messages of the engine begin in the middle of a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Thousands with commas.
pub(crate) fn number(value: u32) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in words: "41 s", "3 min".
pub(crate) fn duration(seconds: f32) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

/// Megabytes in words.
pub(crate) fn megabytes(mib: u64) -> String {
    if mib < 1000 { format!("{mib} MB") } else { format!("{:.1} GB", mib as f32 / 1024.0) }
}
