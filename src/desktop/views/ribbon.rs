//! The ribbon: the whole context as one strip, with a band of sources above, heat below, and what is read by rule
//! hatched. It shares its axis with the matrix and the waterfall.

use std::ops::Range;

use egui::{
    Align2, Color32, Mesh, Painter, Pos2, Rangef, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2,
    vec2,
};

use super::picture::{Picture, blocks_under, excerpt};
use super::widgets::{self, number};
use crate::desktop::attention::Reading;
use crate::desktop::store::{Action, Store};
use crate::desktop::theme::{self, Palette};
use crate::desktop::trace_data::{Mode, Source};

/// The shared axis: where it is drawn and which blocks it shows.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) x: Rangef,
    pub(crate) view: Range<u32>,
}

impl Axis {
    pub(crate) fn new(ui: &Ui, store: &Store, reading: Option<&Reading>) -> Self {
        let full = ui.max_rect();
        let blocks = reading.map_or(1, |reading| reading.blocks().max(1));
        let view = store.focus.zoom.clone().map_or(0..blocks, |zoom| zoom.start.min(blocks - 1)..zoom.end.min(blocks));
        let view = if view.is_empty() { 0..blocks } else { view };
        Self { x: Rangef::new(full.left() + theme::GUTTER, full.right() - theme::MARGIN), view }
    }

    pub(crate) fn columns(&self) -> usize {
        self.x.span().max(1.0) as usize
    }

    pub(crate) fn x_of(&self, block: f32) -> f32 {
        let count = (self.view.end - self.view.start).max(1) as f32;
        self.x.min + (block - self.view.start as f32) / count * self.x.span()
    }

    pub(crate) fn block_at(&self, x: f32) -> Option<u32> {
        let part = (x - self.x.min) / self.x.span().max(1.0);
        let count = self.view.end - self.view.start;
        (0.0..1.0)
            .contains(&part)
            .then(|| self.view.start + ((part * count as f32) as u32).min(count.saturating_sub(1)))
    }
}

/// Where the ribbon was drawn.
pub(crate) struct Drawn {
    axis: Axis,
    heat: Rect,
}

impl Drawn {
    /// The middle of a block, in points of the window.
    pub(crate) fn place_of(&self, block: u32) -> Option<Pos2> {
        let shown = self.axis.view.contains(&block);
        shown.then(|| pos2(self.axis.x_of(block as f32 + 0.5), self.heat.center().y))
    }
}

const BAND: f32 = 6.0;
const HEAT: f32 = 26.0;
/// Stretches between the numbers of the axis.
const TICKS: u32 = 4;
/// Width that a number wants.
const ROOM: f32 = 56.0;

/// Shows the ribbon and tells where.
pub(crate) fn show(ui: &mut Ui, store: &Store, picture: &Picture, actions: &mut Vec<Action>) -> Option<Drawn> {
    let palette = Palette::of(ui);
    let reading = store.reading();
    let axis = Axis::new(ui, store, reading);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 58.0), Sense::click_and_drag());
    let name = reading.map_or("Context ribbon: nothing read yet".to_owned(), |reading| {
        format!("Context ribbon, {} blocks", reading.blocks())
    });
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    let painter = ui.painter_at(rect);
    let band = Rect::from_x_y_ranges(axis.x, rect.top() + 4.0..=rect.top() + 4.0 + BAND);
    let heat = Rect::from_x_y_ranges(axis.x, band.bottom() + 2.0..=band.bottom() + 2.0 + HEAT);
    let label = pos2(rect.left(), heat.center().y);
    painter.text(label, Align2::LEFT_CENTER, "Context", theme::font(theme::SMALL), palette.weak);
    painter.rect_filled(heat, 4, palette.heat(0.0));
    let Some(reading) = reading else {
        let words = "What the model reads will appear here, block by block";
        painter.text(heat.center(), Align2::CENTER_CENTER, words, theme::font(theme::SMALL), palette.weak);
        return None;
    };
    paint_band(&painter, palette, reading, &axis, band);
    let dense = !picture.shade.sparse;
    if dense {
        let words = match reading.last_step().map(|step| step.mode) {
            Some(Mode::Dense) => "Dense: all blocks are read",
            Some(Mode::Sparse) if !reading.has_steps() => "What was read for single words is kept until foveal ends",
            Some(Mode::Sparse) => "Nothing was selected for these words",
            None if store.settings.trace => "The prompt is being read",
            None => "Recording what is read is off (Settings)",
        };
        painter.rect_filled(heat, 4, palette.raised);
        painter.text(heat.center(), Align2::CENTER_CENTER, words, theme::font(theme::SMALL), palette.weak);
    } else {
        painter.add(Shape::mesh(heat_mesh(palette, picture, &axis, heat)));
        paint_forced(&painter, palette, picture, &axis, heat);
    }
    paint_axis(&painter, palette, reading, &axis, heat);
    let top = store.focus.block.filter(|block| axis.view.contains(block));
    if let Some(block) = top {
        let x = axis.x_of(block as f32)..=axis.x_of(block as f32 + 1.0).max(axis.x_of(block as f32) + 3.0);
        let caret = Rect::from_x_y_ranges(x, heat.y_range()).expand(1.5);
        painter.rect_stroke(caret, 2, Stroke::new(1.5, palette.text), egui::StrokeKind::Outside);
    }
    if store.focus.zoom.is_some() {
        let place = Rect::from_center_size(pos2(rect.right() - 24.0, heat.center().y), vec2(48.0, 24.0));
        if ui.put(place, egui::Button::new("All").small()).on_hover_text("Show the whole context").clicked() {
            actions.push(Action::Zoom(None));
        }
    }
    interact(ui, store, reading, picture, &axis, &response, heat, actions);
    let step = widgets::arrow_steps(ui, &response, heat);
    if step != 0 {
        let from = store.focus.block.or_else(|| reading.ranking().first().copied());
        let to = from.and_then(|block| block.checked_add_signed(step as i32)).filter(|block| *block < reading.blocks());
        // The first arrow leads to the block that was chosen most.
        actions.extend(if store.focus.block.is_some() { to } else { from }.map(Action::OpenBlock));
    }
    Some(Drawn { axis, heat })
}

#[expect(clippy::too_many_arguments, reason = "one place where pointer, picture and axis meet")]
fn interact(
    ui: &Ui,
    store: &Store,
    reading: &Reading,
    picture: &Picture,
    axis: &Axis,
    response: &Response,
    heat: Rect,
    actions: &mut Vec<Action>,
) {
    let drag = egui::Id::unique("ribbon drag");
    if let Some(position) = response.interact_pointer_pos() {
        let block = axis.block_at(position.x.clamp(axis.x.min, axis.x.max - 1.0));
        if response.clicked() {
            if let Some(block) = block {
                actions.push(Action::OpenBlock(block));
            }
        } else if response.drag_started() {
            ui.data_mut(|data| data.insert_temp(drag, block));
        } else if let (Some(Some(from)), Some(to)) = (ui.data(|data| data.get_temp::<Option<u32>>(drag)), block) {
            let range = from.min(to)..from.max(to) + 1;
            let x = axis.x_of(range.start as f32)..=axis.x_of(range.end as f32);
            let palette = Palette::of(ui);
            let chosen = Rect::from_x_y_ranges(x, heat.y_range());
            ui.painter().rect_stroke(chosen, 2, Stroke::new(1.5, palette.accent), egui::StrokeKind::Inside);
            if response.drag_stopped() && range.len() > 2 {
                actions.push(Action::Zoom(Some(range)));
            }
        }
        return;
    }
    if let Some(block) = response.hover_pos().and_then(|position| axis.block_at(position.x)) {
        response.show_tooltip_ui(|ui| block_tip(ui, store, reading, picture, block));
    }
}

/// What a tooltip says about a block.
pub(crate) fn block_tip(ui: &mut Ui, store: &Store, reading: &Reading, picture: &Picture, block: u32) {
    let (source, words) = excerpt(store, reading, block, 120);
    widgets::note(ui, format!("Block {block} · {source}"));
    ui.label(words);
    widgets::note(ui, votes_in_words(picture, block));
}

/// "4.2 of 10 readers, chance 0.5", or that it is read by rule.
pub(crate) fn votes_in_words(picture: &Picture, block: u32) -> String {
    let shade = &picture.shade;
    if !shade.sparse {
        return "read with everything else: dense".into();
    }
    if shade.pinned.binary_search(&block).is_ok() {
        return "always read: pinned by you".into();
    }
    if shade.is_forced(block) {
        return "always read: start of the context or local window".into();
    }
    let votes = shade.votes.get(block as usize).copied().unwrap_or(0.0);
    let words = format!("{votes:.1} of {:.0} readers, chance {:.1}", shade.readers, shade.chance);
    match shade.excluded.binary_search(&block) {
        Ok(_) if votes == 0.0 => "not read: hidden by you".into(),
        // The budget is larger than the rest of the text.
        Ok(_) => format!("{words}; hidden by you, but there was nothing else to read"),
        Err(_) => words,
    }
}

/// The strongest heat under each pixel.
pub(crate) fn column_heat(picture: &Picture, axis: &Axis) -> Vec<f32> {
    let columns = axis.columns();
    (0..columns)
        .map(|column| {
            blocks_under(&axis.view, columns, column).map(|block| picture.shade.heat(block)).fold(0.0, f32::max)
        })
        .collect()
}

fn heat_mesh(palette: &Palette, picture: &Picture, axis: &Axis, area: Rect) -> Mesh {
    let mut mesh = Mesh::default();
    for (column, heat) in column_heat(picture, axis).into_iter().enumerate() {
        if heat > 0.0 {
            let left = axis.x.min + column as f32;
            mesh.add_colored_rect(Rect::from_x_y_ranges(left..=left + 1.0, area.y_range()), palette.heat(heat));
        }
    }
    mesh
}

fn paint_forced(painter: &Painter, palette: &Palette, picture: &Picture, axis: &Axis, area: Rect) {
    let mut blocks = picture.shade.forced.iter().copied().peekable();
    while let Some(first) = blocks.next() {
        let mut last = first;
        while let Some(next) = blocks.next_if(|&next| next == last + 1) {
            last = next;
        }
        let x = axis.x_of(first as f32).max(axis.x.min)..=axis.x_of(last as f32 + 1.0).min(axis.x.max);
        if x.start() < x.end() {
            hatch(painter, Rect::from_x_y_ranges(x, area.y_range()), palette.forced);
        }
    }
}

/// Slanted lines: another channel than colour, so that it does not compete with the heat.
pub(crate) fn hatch(painter: &Painter, area: Rect, color: Color32) {
    let painter = painter.with_clip_rect(area.intersect(painter.clip_rect()));
    let mut x = area.left() - area.height();
    while x < area.right() {
        let line: [Pos2; 2] = [pos2(x, area.bottom()), pos2(x + area.height(), area.top())];
        painter.line_segment(line, Stroke::new(1.0, color));
        x += 5.0;
    }
}

fn paint_band(painter: &Painter, palette: &Palette, reading: &Reading, axis: &Axis, band: Rect) {
    let size = reading.block_size() as f32;
    painter.rect_filled(band, 2, palette.raised);
    for segment in reading.map.segments() {
        if segment.source == Source::Template {
            continue;
        }
        let x = axis.x_of(segment.tokens.start as f32 / size).max(axis.x.min)
            ..=axis.x_of(segment.tokens.end as f32 / size).min(axis.x.max);
        if x.start() < x.end() {
            painter.rect_filled(Rect::from_x_y_ranges(x, band.y_range()), 2, palette.band(segment.source));
        }
    }
}

/// Numbers below the heat, fewer where they would touch.
fn paint_axis(painter: &Painter, palette: &Palette, reading: &Reading, axis: &Axis, heat: Rect) {
    let size = reading.block_size();
    let font = theme::font(11.0);
    let (first, end) = (axis.view.start.saturating_mul(size), axis.view.end.saturating_mul(size));
    let end = end.min(reading.map.len()).max(first);
    let x_of = |token: u32| axis.x_of(token as f32 / size as f32).min(axis.x.max);
    let between = (x_of(end) - x_of(first)) / TICKS as f32;
    let step = if between < ROOM || end - first < TICKS { TICKS } else { 1 };
    for tick in (0..=TICKS).step_by(step as usize) {
        let token = first + (u64::from(end - first) * u64::from(tick) / u64::from(TICKS)) as u32;
        let (align, text) = match tick {
            0 => (Align2::LEFT_TOP, number(token)),
            TICKS => (Align2::RIGHT_TOP, format!("{} tokens", number(token))),
            _ => (Align2::CENTER_TOP, number(token)),
        };
        let x = if tick == TICKS { x_of(token).max(axis.x.min + 2.0 * ROOM) } else { x_of(token) };
        painter.text(pos2(x, heat.bottom() + 3.0), align, text, font.clone(), palette.weak);
    }
}
