//! A block of code: coloured and laid out in pieces of some lines, so that only its end is laid out again while it
//! grows, and only what is seen is painted.

use std::ops::Range;
use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Align2, FontFamily, FontId, Galley, Rect, Sense, Stroke, StrokeKind, Ui, UiBuilder, pos2, vec2};

use super::markdown::{Block, Run};
use super::prose::{Mark, ProseOutput, paint_text};
use super::{icons, widgets};
use crate::desktop::theme::{self, Palette};

/// Size of the letters.
const SIZE: f32 = 13.0;
/// Height of the line with the language and the button.
const HEAD: f32 = 30.0;
/// Space left and right of the text.
const SIDE: f32 = 14.0;
/// Lines after which a line that begins at the margin begins another piece: strings and comments of several lines, whose
/// colours depend on how they begin, seldom reach over one.
const ENOUGH: usize = 24;
/// Most lines of a piece.
const MOST: usize = 80;

/// Height of so many lines that are not laid out yet.
pub(super) fn guess(lines: usize) -> f32 {
    lines as f32 * SIZE * 1.2 + HEAD + 12.0
}

/// Some lines, laid out.
struct Piece {
    runs: Range<usize>,
    galley: Arc<Galley>,
}

/// A block of code, laid out.
#[derive(Default)]
pub(super) struct Code {
    language: String,
    width: f32,
    pieces: Vec<Piece>,
}

impl Code {
    /// Lays out what is not yet as in `before`.
    pub(super) fn lay_out(ui: &Ui, block: &Block, language: &str, width: f32, before: Self) -> Self {
        let same = before.language == language && before.width == width;
        let mut known = if same { before.pieces } else { Vec::new() }.into_iter();
        let ranges = pieces(&block.runs);
        let last = ranges.len().saturating_sub(1);
        let lay = |(index, runs): (usize, Range<usize>)| {
            let mut text: String =
                block.runs.get(runs.clone()).unwrap_or(&[]).iter().map(|run| run.text.as_str()).collect();
            // Each piece ends where the next begins; at the end no empty lines are shown.
            let shown = if index == last {
                text.trim_end_matches('\n').len()
            } else {
                text.len() - usize::from(text.ends_with('\n'))
            };
            text.truncate(shown);
            let galley = match known.next().filter(|piece| piece.galley.text() == text) {
                Some(piece) => piece.galley,
                None => {
                    let mut job = coloured(ui, &text, language);
                    job.wrap.max_width = width - 2.0 * SIDE;
                    job.wrap.break_anywhere = true;
                    ui.fonts_mut(|fonts| fonts.layout_job(job))
                }
            };
            Piece { runs, galley }
        };
        let pieces = ranges.into_iter().enumerate().map(lay).collect();
        Self { language: language.to_owned(), width, pieces }
    }

    /// Draws it, moved by `left`.
    pub(super) fn show(&self, ui: &mut Ui, block: &Block, left: f32, marks: &[Mark], output: &mut ProseOutput) {
        let palette = Palette::of(ui);
        let height: f32 = self.pieces.iter().map(|piece| piece.galley.size().y).sum();
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height + HEAD + 12.0), Sense::hover());
        let frame = Rect::from_min_max(rect.min + vec2(left, 0.0), rect.max);
        ui.painter().rect(frame, 8, palette.side, Stroke::new(1.0, palette.line), StrokeKind::Inside);
        let name = if self.language.is_empty() { "code" } else { &self.language };
        let place = frame.min + vec2(SIDE, HEAD / 2.0 + 1.0);
        ui.painter().text(place, Align2::LEFT_CENTER, name, theme::font(theme::SMALL), palette.weak);
        let corner = Rect::from_min_size(pos2(frame.right() - 34.0, frame.top() + 1.0), vec2(30.0, 30.0));
        let copy = ui
            .scope_builder(UiBuilder::new().max_rect(corner), |ui| widgets::icon_button(ui, icons::COPY, "Copy code"));
        if copy.inner.clicked() {
            output.copied = Some(block.plain());
        }
        let mut top = frame.top() + HEAD;
        for (index, Piece { runs, galley }) in self.pieces.iter().enumerate() {
            let place = Rect::from_x_y_ranges(frame.x_range(), top..=top + galley.size().y);
            top = place.bottom();
            if ui.is_rect_visible(place) {
                let response =
                    ui.interact(place, ui.scope_id().with(index), Sense::click_and_drag() - Sense::FOCUSABLE);
                let own = block.runs.get(runs.clone()).unwrap_or(&[]);
                paint_text(ui, &response, galley, place.min + vec2(SIDE, 0.0), own, marks, output);
            }
        }
    }
}

/// Runs of each piece. Where one begins depends on nothing that comes later, so that pieces stay while the text grows.
fn pieces(runs: &[Run]) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let at_margin = run.text.starts_with(|letter: char| !letter.is_whitespace());
        match pieces.last_mut() {
            Some(piece) if piece.len() < ENOUGH || (piece.len() < MOST && !at_margin) => piece.end = index + 1,
            _ => pieces.push(index..index + 1),
        }
    }
    pieces
}

/// Code with its colours, and without where the language is not known.
fn coloured(ui: &Ui, text: &str, language: &str) -> LayoutJob {
    let theme = theme::code(ui.visuals().dark_mode, SIZE);
    let mut job = egui_extras::syntax_highlighting::highlight(ui.ctx(), ui.style(), &theme, text, language);
    if let [only] = &mut job.sections[..] {
        only.format.color = Palette::of(ui).text;
        only.format.font_id = FontId::new(SIZE, FontFamily::Monospace);
    }
    job
}

#[cfg(test)]
mod tests {
    use super::{ENOUGH, MOST, pieces};
    use crate::desktop::views::markdown::{Kind, Markdown};

    /// A function of five lines, many times, and a list that no line at the margin ends.
    fn code() -> String {
        let function = "fn burn(lamp: &Lamp) {\n    if lamp.is_full() {\n        lamp.burn();\n    }\n}\n";
        format!("```rust\n{}const ALL: [u8; 300] = [\n{}];\n```", function.repeat(20), "    1,\n".repeat(300))
    }

    #[test]
    fn pieces_hold_all_lines_once_and_stay_while_the_text_grows() {
        let text = code();
        let (mut growing, mut before) = (Markdown::default(), Vec::new());
        for end in (8..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            growing.update(&text[..end]);
            let Some((_, block)) = growing.blocks.first() else { continue };
            assert!(matches!(&block.kind, Kind::Code(language) if language == "rust"));
            let now = pieces(&block.runs);
            let settled = before.len().saturating_sub(1);
            assert_eq!(now.get(..settled), before.get(..settled), "at {end}");
            before = now;
        }
        let (_, block) = &growing.blocks[0];
        assert_eq!(block.runs.len(), 402, "a run for each line");
        assert!(before.windows(2).all(|pair| pair[0].end == pair[1].start) && before.len() > 6);
        assert_eq!((before[0].start, before[before.len() - 1].end), (0, 402));
        assert!(before.iter().all(|piece| piece.len() <= MOST));
        assert!(before.iter().rev().skip(1).all(|piece| piece.len() >= ENOUGH));
        let at_margin = |run: usize| !block.runs[run].text.starts_with(' ');
        assert!(before[1..4].iter().all(|piece| at_margin(piece.start)));
    }
}
