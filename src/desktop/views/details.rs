//! The expert panels below the conversation, on the ribbon's axis: reader matrix, waterfall over the answer's tokens,
//! and the table of blocks that says the same in words.

use egui::{
    Align2, Color32, ColorImage, Key, Rect, RichText, Role, Sense, Stroke, TextureHandle, TextureOptions, Ui,
    WidgetInfo, pos2, vec2,
};
use egui_extras::{Column, TableBuilder};

use super::picture::{self, Picture};
use super::ribbon::{Axis, votes_in_words};
use super::waterfall::Waterfall;
use super::{icons, widgets};
use crate::desktop::attention::{ReaderFilter, Reading};
use crate::desktop::store::{Action, Store};
use crate::desktop::theme::{self, Palette};

/// Which panel is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Readers,
    Waterfall,
    Table,
}

/// Textures and choices that outlive a frame.
#[derive(Default)]
pub(crate) struct Details {
    tab: Tab,
    matrix: Option<(Stamp, usize, TextureHandle, Vec<f32>)>,
    waterfall: Waterfall,
    ranking: Option<(usize, u32, Vec<u32>)>,
}

/// What a texture was made from.
pub(crate) type Stamp = (u64, std::ops::Range<u32>, usize, bool);

pub(crate) const HEIGHT: f32 = 150.0;
/// Blocks in the table.
const LISTED: usize = 60;

impl Details {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, picture: &Picture, actions: &mut Vec<Action>) {
        ui.horizontal(|ui| {
            for (tab, name) in [(Tab::Readers, "Readers"), (Tab::Waterfall, "Over time"), (Tab::Table, "Top blocks")] {
                if widgets::chip(ui, name, self.tab == tab).clicked() {
                    self.tab = tab;
                }
            }
            ui.add_space(theme::SPACE);
            filters(ui, store, actions);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                export(ui, store, actions);
                replay(ui, store, actions);
            });
        });
        let shown = store.reading().filter(|reading| reading.was_sparse());
        let Some(reading) = shown.filter(|reading| self.tab == Tab::Table || reading.has_steps()) else {
            let words = match store.reading() {
                Some(reading) if reading.was_sparse() => {
                    "Of answers from before, sums are kept: see the document, the ribbon and the top blocks. Answer again to \
                     see each reader and word."
                }
                Some(_) => "Everything was read: dense attention selects nothing, so there is nothing to compare here.",
                None => "Ask about a long document to see which reader chooses which passages.",
            };
            ui.allocate_ui(vec2(ui.available_width(), HEIGHT), |ui| {
                ui.centered_and_justified(|ui| widgets::note(ui, words));
            });
            return;
        };
        ui.add_space(4.0);
        match self.tab {
            Tab::Readers => self.readers(ui, store, reading, picture, actions),
            Tab::Waterfall => self.waterfall.show(ui, store, reading, actions),
            Tab::Table => {
                let size = vec2(ui.available_width(), HEIGHT);
                ui.allocate_ui_with_layout(size, egui::Layout::top_down(egui::Align::Min), |ui| {
                    self.table(ui, store, reading, picture, actions);
                });
            }
        }
    }

    fn readers(&mut self, ui: &mut Ui, store: &Store, reading: &Reading, picture: &Picture, actions: &mut Vec<Action>) {
        let palette = Palette::of(ui);
        let axis = Axis::new(ui, store, Some(reading));
        let stamp = (picture.version, axis.view.clone(), axis.columns(), ui.visuals().dark_mode);
        if self.matrix.as_ref().is_none_or(|(made, ..)| *made != stamp) {
            let span = store.span(reading);
            let rows = picture::reader_rows(reading, &span, &axis.view, axis.columns());
            let agreement = picture::agreement(reading, &span);
            self.matrix = Some((stamp, rows.len(), texture(ui, "readers", palette, &rows), agreement));
        }
        let Some((_, readers, texture, agreement)) = &self.matrix else { return };
        let count = (*readers).max(1);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::click());
        let name = format!("Reader matrix, {count} readers");
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        let area = Rect::from_x_y_ranges(axis.x, rect.top()..=rect.bottom() - 2.0);
        let row = area.height() / count as f32;
        image(ui, texture, area);
        let heads = reading.last_step().map_or(1, |step| step.kv_heads.max(1) as usize);
        let every = ((12.0 * heads as f32 / (row * heads as f32)).ceil() as usize).max(1);
        for reader in 0..count {
            let y = area.top() + (reader as f32 + 0.5) * row;
            let (layer, head) = (reader / heads, reader % heads);
            let chosen = store.focus.filter == ReaderFilter::One(layer as u32, head as u32);
            if chosen {
                let line = Rect::from_x_y_ranges(axis.x, y - row / 2.0..=y + row / 2.0).expand(1.0);
                ui.painter().rect_stroke(line, 1, Stroke::new(1.5, palette.accent), egui::StrokeKind::Outside);
            }
            if reader % (every * heads) == 0 || chosen || row >= 12.0 {
                let label =
                    if row >= 12.0 { format!("layer {layer}, KV head {head}") } else { format!("layer {layer}") };
                let font = theme::font(11.0);
                ui.painter().text(pos2(rect.left(), y), Align2::LEFT_CENTER, label, font.clone(), palette.weak);
                let part = agreement.get(reader).copied().unwrap_or(0.0);
                let what = if reader == 0 { " shared" } else { "" };
                let words = format!("{:.0} %{what}", 100.0 * part);
                ui.painter().text(pos2(rect.right() - 4.0, y), Align2::RIGHT_CENTER, words, font, palette.weak);
            }
        }
        let step = widgets::arrow_steps(ui, &response, area);
        if step != 0 {
            let next = match store.focus.filter {
                ReaderFilter::One(layer, head) => (layer as usize * heads + head as usize).checked_add_signed(step),
                _ => Some(0),
            };
            let one = next.filter(|next| *next < count);
            actions
                .extend(one.map(|one| Action::Filter(ReaderFilter::One((one / heads) as u32, (one % heads) as u32))));
        }
        let at = |y: f32| (((y - area.top()) / row) as usize).min(count - 1);
        if let Some(position) = response.interact_pointer_pos().filter(|_| response.clicked()) {
            let reader = at(position.y);
            let one = ReaderFilter::One((reader / heads) as u32, (reader % heads) as u32);
            let filter = if store.focus.filter == one { ReaderFilter::All } else { one };
            actions.push(Action::Filter(filter));
        } else if let Some(position) = response.hover_pos() {
            let reader = at(position.y);
            let part = agreement.get(reader).copied().unwrap_or(0.0);
            response.show_tooltip_ui(|ui| {
                ui.label(format!("Layer {}, KV head {}", reader / heads, reader % heads));
                widgets::note(
                    ui,
                    format!(
                        "{:.0} % of its choices are shared by others. Click to see only its choices.",
                        100.0 * part
                    ),
                );
            });
        }
    }

    fn table(&mut self, ui: &mut Ui, store: &Store, reading: &Reading, picture: &Picture, actions: &mut Vec<Action>) {
        let stamp = (reading.written.len(), reading.message);
        if self.ranking.as_ref().is_none_or(|(written, message, _)| (*written, *message) != stamp) {
            self.ranking = Some((stamp.0, stamp.1, reading.ranking().into_iter().take(LISTED).collect()));
        }
        let Some((_, _, ranking)) = &self.ranking else { return };
        arrows(ui, store, ranking, actions);
        let palette = Palette::of(ui);
        let head = |ui: &mut Ui, text: &str| {
            ui.label(RichText::new(text).font(theme::strong(theme::SMALL)).color(palette.weak));
        };
        ui.set_min_height(HEIGHT);
        ui.spacing_mut().item_spacing.y = 0.0;
        TableBuilder::new(ui)
            .id_salt("top blocks")
            .sense(Sense::click())
            .max_scroll_height(HEIGHT - 26.0)
            .min_scrolled_height(HEIGHT - 26.0)
            .column(Column::exact(64.0))
            .column(Column::exact(250.0))
            .column(Column::exact(110.0))
            .column(Column::exact(140.0))
            .column(Column::remainder().clip(true))
            .header(22.0, |mut row| {
                for name in ["Block", "Now", "Answer mean", "Read during", "Text"] {
                    row.col(|ui| head(ui, name));
                }
            })
            .body(|body| {
                body.rows(26.0, ranking.len(), |mut row| {
                    let Some(&block) = ranking.get(row.index()) else { return };
                    row.set_selected(store.focus.block == Some(block));
                    let (mean, during, ..) = reading.block_sums(block);
                    let (source, words) = picture::excerpt(store, reading, block, 90);
                    row.col(|ui| {
                        let on = store.focus.block == Some(block);
                        let button = egui::Button::selectable(on, block.to_string()).small();
                        let response = ui.add(button).accessible_name(format!("Block {block}"));
                        if response.clicked() {
                            actions.push(Action::OpenBlock(block));
                        }
                    });
                    row.col(|ui| {
                        ui.label(RichText::new(votes_in_words(picture, block)).small());
                    });
                    row.col(|ui| {
                        ui.label(RichText::new(format!("{mean:.1}")).small());
                    });
                    row.col(|ui| {
                        ui.label(RichText::new(format!("{during} of {} tokens", reading.written.len())).small());
                    });
                    row.col(|ui| {
                        ui.label(RichText::new(format!("{source}: {words}")).small());
                    });
                    if row.response().clicked() {
                        actions.push(Action::OpenBlock(block));
                    }
                });
            });
    }
}

/// Arrow keys walk through the table while no text is being typed.
fn arrows(ui: &Ui, store: &Store, ranking: &[u32], actions: &mut Vec<Action>) {
    if ui.ctx().text_edit_focused() {
        return;
    }
    let step =
        ui.input(|input| i32::from(input.key_pressed(Key::ArrowDown)) - i32::from(input.key_pressed(Key::ArrowUp)));
    if step == 0 {
        return;
    }
    let at = store.focus.block.and_then(|block| ranking.iter().position(|&other| other == block));
    let next = at.map_or(Some(0), |at| at.checked_add_signed(step as isize));
    if let Some(&block) = next.and_then(|next| ranking.get(next)) {
        actions.push(Action::OpenBlock(block));
    }
}

fn filters(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let layers = store.model_info().map_or(0, |info| info.layers);
    let third = layers.div_ceil(3);
    let entries = [
        ("All layers", ReaderFilter::All),
        ("Early", ReaderFilter::Layers(0..third)),
        ("Middle", ReaderFilter::Layers(third..(2 * third).min(layers))),
        ("Late", ReaderFilter::Layers((2 * third).min(layers)..layers)),
    ];
    for (name, filter) in entries {
        if widgets::chip(ui, name, store.focus.filter == filter).clicked() {
            actions.push(Action::Filter(filter));
        }
    }
    if let ReaderFilter::One(layer, head) = store.focus.filter
        && widgets::chip(ui, &format!("Layer {layer}, head {head} ×"), true).clicked()
    {
        actions.push(Action::Filter(ReaderFilter::All));
    }
}

fn replay(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let Some(reading) = store.reading().filter(|reading| reading.has_steps() && store.current_work().is_none()) else {
        return;
    };
    let last = reading.written.len().saturating_sub(1);
    let mut token = store.focus.scrub.unwrap_or(last);
    ui.spacing_mut().slider_width = 180.0;
    let slider = ui.add(egui::Slider::new(&mut token, 0..=last).show_value(false));
    if slider.accessible_name("Replay the answer").on_hover_text("Replay the answer token by token").changed() {
        actions.push(Action::Scrub(token));
    }
    widgets::note(ui, "Replay");
    let part = store.focus.scrub.is_some() || store.focus.tokens.is_some();
    if part && widgets::chip(ui, "Whole answer", false).clicked() {
        actions.push(Action::FocusTokens(None));
    }
}

fn export(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let response = widgets::icon_button(ui, icons::EXPORT, "Export what was read");
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(210.0);
        ui.add_enabled_ui(store.reading().is_some(), |ui| {
            if ui.button("Trace of the answer (JSON)").clicked() {
                actions.push(Action::ExportTrace);
            }
        });
        if ui.button("Picture of the window (PNG)").clicked() {
            actions.push(Action::ExportPicture);
        }
    });
}

pub(crate) fn texture(ui: &Ui, name: &str, palette: &Palette, rows: &[Vec<f32>]) -> TextureHandle {
    let width = rows.first().map_or(1, Vec::len).max(1);
    // Tens of thousands of pixels a frame: their colours are mixed once, in more steps than an eye sees.
    let colours: [Color32; 256] = std::array::from_fn(|step| palette.heat(step as f32 / 255.0));
    let mut image = ColorImage::filled([width, rows.len().max(1)], colours[0]);
    for (pixel, heat) in image.pixels.iter_mut().zip(rows.iter().flatten()) {
        *pixel = colours[(heat.clamp(0.0, 1.0) * 255.0) as usize & 255];
    }
    ui.ctx().load_texture(name, image, TextureOptions::NEAREST)
}

pub(crate) fn image(ui: &Ui, texture: &TextureHandle, area: Rect) {
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    ui.painter().image(texture.id(), area, whole, Color32::WHITE);
}
