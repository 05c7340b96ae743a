//! The bar at the top: model, way of reading, speed, and the switches of the panes.

use egui::{Align, Align2, Button, Layout, Rect, Response, RichText, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::icons;
use super::widgets::{self, duration, number};
use crate::desktop::messages::{AttentionChoice, LoadStage};
use crate::desktop::store::{Action, Dialog, ModelState, Pane, Phase, Store};
use crate::desktop::theme::{self, Palette};
use crate::desktop::trace_data::Mode;

pub(crate) fn show(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let sidebar = store.settings.show_sidebar;
        if widgets::icon_toggle(ui, icons::SIDEBAR_SIMPLE, "Show or hide chats", sidebar).clicked() {
            actions.push(Action::Toggle(Pane::Sidebar));
        }
        model_button(ui, store, actions);
        ui.add_space(theme::GAP);
        mode_pill(ui, store, actions);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if widgets::icon_button(ui, icons::GEAR_SIX, "Settings").clicked() {
                actions.push(Action::Open(Dialog::Settings));
            }
            if widgets::icon_button(ui, icons::COMMAND, "Command palette").clicked() {
                actions.push(Action::Open(Dialog::Palette));
            }
            let documents = store.settings.show_documents;
            if widgets::icon_toggle(ui, icons::BOOK_OPEN, "Show or hide documents", documents).clicked() {
                actions.push(Action::Toggle(Pane::Documents));
            }
            let details = store.settings.show_details;
            if widgets::icon_toggle(ui, icons::GRID_FOUR, "Show or hide reading details", details).clicked() {
                actions.push(Action::Toggle(Pane::Details));
            }
            ui.add_space(theme::GAP);
            speed(ui, store);
        });
    });
}

fn model_button(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let (name, detail) = match &store.model {
        ModelState::None => ("Choose a model".to_owned(), String::new()),
        ModelState::Loading(_, _, stage, done, total) => {
            let part = if *total == 0 { String::new() } else { format!(" {} %", 100 * done / total) };
            (format!("{}{part}", stage_name(*stage)), String::new())
        }
        ModelState::Ready(_, info) => (info.name.clone(), info.device.clone()),
        ModelState::Failed(..) => ("No model".to_owned(), "choose one".to_owned()),
    };
    let mut job = egui::text::LayoutJob::default();
    let format = |font, color| egui::text::TextFormat { font_id: font, color, ..Default::default() };
    job.append(&name, 0.0, format(theme::strong(14.0), palette.text));
    if !detail.is_empty() {
        job.append(&detail, 8.0, format(theme::font(theme::SMALL), palette.weak));
    }
    let about = match store.model_info() {
        Some(info) => [Some(info.detail.clone()), info.notice.clone(), Some("Click to choose a model".into())]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(".\n"),
        None => "Choose a model".into(),
    };
    let response = ui.add(Button::new(job).frame_when_inactive(false)).on_hover_text(about);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Model: {name}")));
    if response.clicked() {
        actions.push(Action::Open(Dialog::Models));
    }
}

/// What is being done while a model opens.
pub(crate) fn stage_name(stage: LoadStage) -> &'static str {
    match stage {
        LoadStage::Reading => "Reading the model",
        LoadStage::Weights => "Moving weights to the GPU",
        LoadStage::Pipelines => "Building kernels",
        LoadStage::WarmUp => "Warming up",
    }
}

/// What the pill says.
pub(crate) fn mode_words(store: &Store) -> String {
    let next = match store.next_mode() {
        Some(Mode::Dense) => "; next: dense",
        Some(Mode::Sparse) => "; next: sparse",
        None => "",
    };
    current_mode_words(store) + next
}

fn current_mode_words(store: &Store) -> String {
    let choice = store.chat().map(|chat| chat.settings.attention).unwrap_or_default();
    let from = store.model_info().and_then(|info| info.sparse_from);
    let Some(step) = store.reading().and_then(|reading| reading.last_step()) else {
        return match (choice, from) {
            (AttentionChoice::Dense, _) => "Dense: will read everything".into(),
            (AttentionChoice::Sparse, _) => "Sparse: will read selected passages".into(),
            (AttentionChoice::Auto, Some(from)) => format!("Auto: sparse from {} tokens", number(from)),
            (AttentionChoice::Auto, None) if store.model_info().is_none() => "Attention: no model is open".into(),
            (AttentionChoice::Auto, None) => "Dense: this model has no sparse mode".into(),
        };
    };
    let length = step.cache_length;
    match step.mode {
        Mode::Dense => {
            let ahead = from.filter(|&from| from > length && choice == AttentionChoice::Auto);
            let ahead = ahead.map_or(String::new(), |from| format!("; sparse from {}", number(from)));
            format!("Dense: reads all {} tokens{ahead}", number(length))
        }
        Mode::Sparse => {
            let read = step.tokens_read();
            let share = 100.0 * read as f32 / length.max(1) as f32;
            format!("Sparse: reads {} of {} tokens, {share:.0} %", number(read), number(length))
        }
    }
}

fn mode_pill(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let words = mode_words(store);
    let sparse = words.starts_with("Sparse");
    let color = if sparse { palette.accent } else { palette.text };
    let galley = ui.painter().layout_no_wrap(words.clone(), theme::font(13.0), color);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 44.0, 28.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Attention. {words}")));
    let fill = if sparse { palette.accent_soft } else { palette.raised };
    ui.painter().rect_filled(rect, 14, fill);
    if response.has_focus() || response.hovered() {
        let stroke = egui::Stroke::new(1.0, color);
        ui.painter().rect_stroke(rect, 14, stroke, egui::StrokeKind::Inside);
    }
    // Shape beside colour: a full bar when everything is read, separate marks when parts are.
    let glyph = Rect::from_min_size(pos2(rect.left() + 12.0, rect.center().y - 5.0), vec2(14.0, 10.0));
    if sparse {
        for offset in [0.0, 5.5, 11.0] {
            let mark = Rect::from_min_size(glyph.min + vec2(offset, 0.0), vec2(3.0, 10.0));
            ui.painter().rect_filled(mark, 1, color);
        }
    } else {
        ui.painter().rect_filled(glyph, 2, color);
    }
    ui.painter().galley(pos2(glyph.right() + 8.0, rect.center().y - galley.size().y / 2.0), galley, color);
    menu(&response, store, actions);
}

fn menu(response: &Response, store: &Store, actions: &mut Vec<Action>) {
    let Some(chat) = store.chat() else { return };
    egui::Popup::menu(response).show(|ui| {
        ui.set_min_width(300.0);
        let experimental = store.model_info().is_some_and(|info| info.sparse_experimental);
        let sparse = if experimental { "Sparse (experimental)" } else { "Sparse" };
        for (choice, name, words) in [
            (AttentionChoice::Auto, "Automatic", "Dense while short, sparse when long"),
            (AttentionChoice::Dense, "Dense", "Reads everything, slower when long"),
            (AttentionChoice::Sparse, sparse, "Reads the passages that it selects"),
        ] {
            let on = chat.settings.attention == choice;
            let button = Button::selectable(on, name).right_text(RichText::new(words).small().weak());
            if ui.add(button).accessible_name(name).clicked() {
                let mut settings = chat.settings.clone();
                settings.attention = choice;
                actions.push(Action::ChatSettings(Box::new(settings)));
            }
        }
        widgets::note(ui, "For this chat, from the next answer on");
    });
}

fn speed(ui: &mut Ui, store: &Store) {
    let palette = Palette::of(ui);
    let words = if let Some(work) = store.current_work() {
        match (&work.phase, work.speed()) {
            (Phase::Writing, Some(speed)) => {
                format!("{speed:.1} tok/s · first {}", duration(work.first_token.unwrap_or(0.0)))
            }
            _ => String::new(),
        }
    } else {
        let last =
            store.chat().and_then(|chat| chat.path().into_iter().rev().find_map(|message| message.stats.clone()));
        last.filter(|stats| stats.decode_seconds > 0.0 && stats.generated_tokens > 1).map_or(String::new(), |stats| {
            let speed = (stats.generated_tokens - 1) as f32 / stats.decode_seconds;
            format!("{speed:.1} tok/s · first {}", duration(stats.first_token_seconds))
        })
    };
    if !words.is_empty() {
        let font = theme::font(theme::SMALL);
        let galley = ui.painter().layout_no_wrap(words.clone(), font, palette.weak);
        // In a narrow window the way of reading goes before the speed, which also stands under the answer.
        if ui.available_width() < galley.size().x + theme::SPACE {
            return;
        }
        let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        let place = Align2::LEFT_CENTER.anchor_size(rect.left_center(), galley.size());
        ui.painter().galley(place.min, galley, palette.weak);
        response.on_hover_text("Tokens per second, and seconds until the first one");
    }
}
