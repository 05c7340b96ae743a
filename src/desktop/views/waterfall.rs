//! The answer over time: a row for each token, or for a few of them where the answer is longer than the panel is high.

use std::ops::Range;

use egui::{Align2, Rect, Role, Sense, Stroke, TextureHandle, Ui, WidgetInfo, pos2, vec2};

use super::details::{HEIGHT, Stamp, image, texture};
use super::picture;
use super::ribbon::Axis;
use super::widgets;
use crate::desktop::attention::{Reading, snap};
use crate::desktop::messages::{MessageId, Part};
use crate::desktop::store::{Action, ChatId, Store};
use crate::desktop::theme::{self, Palette};

/// Rows of at least a pixel.
const MOST_ROWS: usize = HEIGHT as usize;
/// Tokens that one frame takes in, where the panel is opened on a long answer.
const AT_ONCE: usize = 250;

/// Heats by block of an answer that grows, in rows of as many tokens as it takes to show all of it.
#[derive(Default)]
pub(crate) struct Rows {
    of: Option<(ChatId, MessageId)>,
    /// Tokens so far.
    tokens: usize,
    /// Tokens of a row: a power of two.
    stride: usize,
    rows: Vec<Vec<f32>>,
}

impl Rows {
    /// Brings the rows up to the reading by at most so many tokens: of several tokens of a row the strongest heat of each
    /// block counts.
    pub(crate) fn update(&mut self, chat: ChatId, reading: &Reading, most: usize) {
        let of = Some((chat, reading.message));
        if self.of != of || self.tokens > reading.written.len() {
            *self = Self { of, stride: 1, ..Self::default() };
        }
        let end = reading.written.len().min(self.tokens.saturating_add(most));
        for token in self.tokens..end {
            let heats = picture::token_heats(reading, token);
            match self.rows.last_mut().filter(|_| !token.is_multiple_of(self.stride)) {
                Some(row) => strongest(row, &heats),
                None => self.rows.push(heats),
            }
            if self.rows.len() > MOST_ROWS {
                self.stride *= 2;
                let pairs = std::mem::take(&mut self.rows);
                for (index, row) in pairs.into_iter().enumerate() {
                    match self.rows.last_mut().filter(|_| !index.is_multiple_of(2)) {
                        Some(first) => strongest(first, &row),
                        None => self.rows.push(row),
                    }
                }
            }
        }
        self.tokens = end;
    }

    /// Tokens of a row.
    fn tokens_of(&self, row: usize) -> Range<usize> {
        row * self.stride..((row + 1) * self.stride).min(self.tokens)
    }
}

fn strongest(row: &mut Vec<f32>, other: &[f32]) {
    if row.len() < other.len() {
        row.resize(other.len(), 0.0);
    }
    row.iter_mut().zip(other).for_each(|(one, other)| *one = one.max(*other));
}

/// The panel.
#[derive(Default)]
pub(crate) struct Waterfall {
    rows: Rows,
    made: Option<(Stamp, TextureHandle)>,
}

impl Waterfall {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, reading: &Reading, actions: &mut Vec<Action>) {
        let palette = Palette::of(ui);
        let axis = Axis::new(ui, store, Some(reading));
        self.rows.update(store.current, reading, AT_ONCE);
        if self.rows.tokens < reading.written.len() {
            ui.ctx().request_repaint();
        }
        let Rows { tokens, stride, rows, .. } = &self.rows;
        let (tokens, stride, shown) = (*tokens, *stride, rows.len());
        let answer = (u64::from(reading.message) << 32) | tokens as u64;
        let stamp = (answer, axis.view.clone(), axis.columns(), ui.visuals().dark_mode);
        if self.made.as_ref().is_none_or(|(made, _)| *made != stamp) {
            let columns = axis.columns().min(700);
            let pixels: Vec<_> = rows.iter().map(|heats| picture::row_of(heats, &axis.view, columns)).collect();
            self.made = Some((stamp, texture(ui, "waterfall", palette, &pixels)));
        }
        let Some((_, texture)) = &self.made else { return };
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Waterfall, {tokens} tokens")));
        let row = (HEIGHT / shown.max(1) as f32).min(14.0);
        let area = Rect::from_min_size(pos2(axis.x.min, rect.top()), vec2(axis.x.span(), row * shown as f32));
        image(ui, texture, area);
        for index in 0..shown {
            let place =
                Rect::from_min_size(pos2(rect.left(), area.top() + index as f32 * row), vec2(area.width(), row));
            self.beside(ui, store, reading, index, place, area.right());
        }
        if row < 11.0 {
            let words = match stride {
                1 => format!("{tokens} tokens"),
                _ => format!("{tokens} tokens,\n{stride} a row"),
            };
            let galley = ui.painter().layout(words, theme::font(10.5), palette.weak, theme::GUTTER);
            ui.painter().galley(rect.left_top(), galley, palette.weak);
        }
        let chosen = store.focus.tokens.clone().or(store.focus.scrub.map(|token| token..token + 1));
        if let Some(chosen) = chosen.filter(|chosen| chosen.start < tokens) {
            let top = area.top() + (chosen.start / stride) as f32 * row;
            let bottom = area.top() + chosen.end.min(tokens).div_ceil(stride) as f32 * row;
            let lines = Rect::from_x_y_ranges(axis.x, top..=bottom.max(top + 1.0));
            ui.painter().rect_stroke(lines, 1, Stroke::new(1.5, palette.accent), egui::StrokeKind::Outside);
        }
        let step = widgets::arrow_steps(ui, &response, area);
        if step != 0 {
            let row = store.focus.tokens.as_ref().map(|chosen| chosen.start / stride);
            let next = row.map_or(Some(0), |row| row.checked_add_signed(step)).filter(|next| *next < shown);
            actions.extend(next.map(|next| Action::FocusTokens(Some(self.rows.tokens_of(next)))));
        }
        if let Some(position) = response.interact_pointer_pos().filter(|_| response.clicked()) {
            let index = ((position.y - area.top()) / row).max(0.0) as usize;
            if index < shown {
                actions.push(Action::FocusTokens(Some(self.rows.tokens_of(index))));
                if let Some(block) = axis.block_at(position.x) {
                    actions.push(Action::FocusBlock(Some(block)));
                }
            }
        }
        response.on_hover_text(
            "The answer from top to bottom; of several tokens in a row the strongest. The bar at the right: how much the \
             choices changed. Click a row to see its tokens everywhere.",
        );
    }

    /// The word left of a row and the bar right of it.
    fn beside(&self, ui: &Ui, store: &Store, reading: &Reading, index: usize, place: Rect, right: f32) {
        let palette = Palette::of(ui);
        let own = reading.written.get(self.rows.tokens_of(index)).unwrap_or(&[]);
        let turnover = own.iter().map(|written| written.turnover).fold(0.0, f32::max);
        let size = vec2(turnover * (theme::MARGIN - 12.0), (place.height() - 0.5).max(0.5));
        let bar = Rect::from_min_size(pos2(right + 6.0, place.top()), size);
        ui.painter().rect_filled(bar, 0, palette.forced);
        let message = store.chat().and_then(|chat| chat.message(reading.message));
        if let (Some(message), [written]) = (message.filter(|_| place.height() >= 11.0), own) {
            let text = match written.part {
                Part::Thinking => &message.thinking,
                Part::Answer => &message.text,
            };
            let word = text.get(snap(text, &written.bytes)).unwrap_or("").trim();
            ui.painter().text(place.left_center(), Align2::LEFT_CENTER, word, theme::font(10.5), palette.weak);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{AT_ONCE, MOST_ROWS, Rows};
    use crate::desktop::attention::Reading;
    use crate::desktop::messages::Part;
    use crate::desktop::trace_data::{ContextMap, StepTrace};
    use crate::desktop::views::picture::token_heats;

    /// Rows that grow with the answer are those of the whole answer, and no token is left out of them.
    #[test]
    fn a_long_answer_is_shown_whole() {
        let mut reading = Reading::new(3, ContextMap::default());
        let mut rows = Rows::default();
        for token in 0..700u32 {
            let picks = [vec![0, 1 + token * 7 % 60], vec![0, 1 + token * 7 % 60], vec![0, 5], vec![0, token % 64]];
            let step =
                StepTrace::sparse(64 * 64 + token, 64, 2, 2, picks.iter().map(Vec::as_slice), |block| block == 0);
            reading.push(Part::Answer, token..token + 1, Some(Arc::new(step)));
            rows.update(1, &reading, AT_ONCE);
        }
        let mut at_once = Rows::default();
        at_once.update(1, &reading, AT_ONCE);
        assert_eq!(at_once.tokens, AT_ONCE);
        at_once.update(1, &reading, usize::MAX);
        assert_eq!((rows.stride, rows.rows.len(), &rows.rows), (8, 88, &at_once.rows));
        assert!(rows.rows.len() <= MOST_ROWS);
        for (index, row) in rows.rows.iter().enumerate() {
            let tokens: Vec<Vec<f32>> = rows.tokens_of(index).map(|token| token_heats(&reading, token)).collect();
            assert!(!tokens.is_empty());
            for (block, heat) in row.iter().enumerate() {
                let expected = tokens.iter().filter_map(|heats| heats.get(block)).copied().fold(0.0, f32::max);
                assert_eq!(*heat, expected, "row {index}, block {block}");
            }
        }
    }
}
