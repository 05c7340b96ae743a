//! Draws markdown: laid out once per block and width, painted with heat and marks behind the letters, selectable, and
//! clickable down to the byte of the source.

use std::ops::Range;
use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat};
use egui::text_selection::LabelSelectionState;
use egui::{
    Align, Color32, FontFamily, FontId, Galley, Pos2, Rect, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2,
};

use super::code::Code;
use super::markdown::{Block, Kind, Markdown, Run};
use super::widgets;
use crate::desktop::theme::{self, Palette};

/// A stretch of the source to mark behind its letters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) bytes: Range<usize>,
    pub(crate) fill: Option<Color32>,
    pub(crate) underline: Option<Color32>,
}

/// What the user did to the text.
#[derive(Debug, Default)]
pub(crate) struct ProseOutput {
    /// Byte of the source that was clicked.
    pub(crate) clicked: Option<usize>,
    /// Text to copy.
    pub(crate) copied: Option<String>,
    /// Where each block starts: byte of the source and y on screen.
    pub(crate) tops: Vec<(usize, f32)>,
}

/// What one frame may lay out of texts that are not seen, in bytes: the rest has a guessed height until its turn comes, so
/// that no frame takes long when a long chat is opened or the window gets another width.
#[derive(Debug, Default)]
pub(crate) struct Room(usize);

impl Room {
    /// For one frame.
    pub(crate) fn of_a_frame() -> Self {
        Self(6000)
    }

    /// True where there is still some; then this much is taken from it.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let some = self.0 > 0;
        // Also a short block has its price.
        self.0 = self.0.saturating_sub(bytes.max(100));
        some
    }
}

#[derive(Default)]
struct Laid {
    galley: Option<Arc<Galley>>,
    cells: Vec<Vec<Arc<Galley>>>,
    code: Code,
    height: f32,
    /// The block was changed since: what is still as it was is taken over.
    stale: bool,
}

/// A text, parsed and laid out.
#[derive(Default)]
pub(crate) struct Prose {
    markdown: Markdown,
    laid: Vec<Option<Laid>>,
    width: f32,
    dark: bool,
    pixels: f32,
    plain: bool,
}

impl Prose {
    /// A text that is shown as it is, without markdown.
    pub(crate) fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// Shows the text in the width that is there. What is not seen is laid out while there is room.
    pub(crate) fn show(&mut self, ui: &mut Ui, text: &str, marks: &[Mark], room: &mut Room) -> ProseOutput {
        let kept = if self.plain { self.markdown.update_plain(text) } else { self.markdown.update(text) };
        let look = (ui.available_width().floor(), ui.visuals().dark_mode, ui.pixels_per_point());
        if (self.width, self.dark, self.pixels) != look {
            (self.width, self.dark, self.pixels) = look;
            self.laid.clear();
        }
        self.laid.iter_mut().skip(kept).flatten().for_each(|laid| laid.stale = true);
        self.laid.resize_with(self.markdown.blocks.len(), || None);
        let mut output = ProseOutput::default();
        let mut guessed = false;
        ui.spacing_mut().item_spacing.y = 0.0;
        for (index, ((start, block), laid)) in self.markdown.blocks.iter().zip(&mut self.laid).enumerate() {
            let first = index == 0;
            let top = ui.cursor().top();
            output.tops.push((block.runs.first().map_or(*start, |run| run.source.start), top));
            let known = laid.as_ref().filter(|laid| !laid.stale).map(|laid| laid.height);
            let height = known.unwrap_or_else(|| guess(block, self.width));
            let rect = Rect::from_min_size(pos2(ui.max_rect().left(), top), vec2(self.width, height));
            if !ui.is_rect_visible(rect) && (known.is_some() || (laid.is_none() && !room.take(bytes_of(block)))) {
                ui.allocate_space(vec2(self.width, height));
                guessed |= known.is_none();
                continue;
            }
            let before = laid.take_if(|laid| laid.stale);
            let laid = laid.get_or_insert_with(|| lay_out(ui, block, self.width, before.unwrap_or_default()));
            ui.push_id(index, |ui| {
                if !first {
                    ui.add_space(space_before(block));
                }
                show_block(ui, block, laid, marks, &mut output);
            });
            laid.height = ui.cursor().top() - top;
        }
        if guessed {
            ui.ctx().request_repaint();
        }
        output
    }
}

/// Letters of a block, about.
fn bytes_of(block: &Block) -> usize {
    let of = |runs: &[Run]| runs.iter().map(|run| run.text.len()).sum::<usize>();
    match &block.kind {
        Kind::Table(rows) => rows.iter().flatten().map(|cell| of(cell)).sum(),
        _ => of(&block.runs),
    }
}

/// Height of a block that is not laid out yet.
fn guess(block: &Block, width: f32) -> f32 {
    let inner = match &block.kind {
        Kind::Rule => 0.0,
        Kind::Table(rows) => rows.len() as f32 * 31.0,
        Kind::Code(_) => super::code::guess(block.runs.len()),
        Kind::Heading(_) | Kind::Text => guess_of_text(bytes_of(block), width - indent_of(block)),
    };
    space_before(block) + inner
}

/// Height of so many bytes of running text in this width.
pub(crate) fn guess_of_text(bytes: usize, width: f32) -> f32 {
    let letters_in_row = (width / (theme::BODY * 0.5)).max(1.0);
    (bytes as f32 / letters_in_row).ceil().max(1.0) * (theme::BODY * theme::LINE).round()
}

fn space_before(block: &Block) -> f32 {
    match block.kind {
        Kind::Heading(_) => 18.0,
        Kind::Text if block.indent > 0 => 4.0,
        _ => 10.0,
    }
}

fn indent_of(block: &Block) -> f32 {
    block.indent as f32 * 22.0 + if block.quoted { 16.0 } else { 0.0 }
}

fn lay_out(ui: &Ui, block: &Block, width: f32, before: Laid) -> Laid {
    let palette = Palette::of(ui);
    let inner = (width - indent_of(block)).max(40.0);
    let mut laid = Laid::default();
    match &block.kind {
        Kind::Rule => {}
        Kind::Table(rows) => {
            let columns = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
            let cell_width = (inner / columns as f32 - 20.0).max(30.0).round();
            let known = |row: usize, column: usize| before.cells.get(row).and_then(|cells| cells.get(column));
            let cell = |row: usize, (column, runs): (usize, &Vec<Run>)| {
                let job = job(runs, palette, 14.0, row == 0, cell_width);
                match known(row, column).filter(|galley| *galley.job == job) {
                    Some(galley) => Arc::clone(galley),
                    None => ui.fonts_mut(|fonts| fonts.layout_job(job)),
                }
            };
            laid.cells = rows
                .iter()
                .enumerate()
                .map(|(row, cells)| cells.iter().enumerate().map(|runs| cell(row, runs)).collect())
                .collect();
        }
        Kind::Code(language) => laid.code = Code::lay_out(ui, block, language, inner, before.code),
        Kind::Heading(level) => {
            let size = [21.0, 18.0, 16.0, 15.0].get(usize::from(*level) - 1).copied().unwrap_or(15.0);
            laid.galley = Some(ui.fonts_mut(|fonts| fonts.layout_job(job(&block.runs, palette, size, true, inner))));
        }
        Kind::Text => {
            let job = job(&block.runs, palette, theme::BODY, false, inner);
            laid.galley = Some(ui.fonts_mut(|fonts| fonts.layout_job(job)));
        }
    }
    laid
}

fn job(runs: &[Run], palette: &Palette, size: f32, bold: bool, width: f32) -> LayoutJob {
    let mut job = LayoutJob::default();
    job.wrap.max_width = width;
    for run in runs {
        let font = match (run.look.code, bold || run.look.bold) {
            (true, _) => FontId::new(size - 1.5, FontFamily::Monospace),
            (false, true) => theme::strong(size),
            (false, false) => theme::font(size),
        };
        let linked = run.look.link.is_some();
        job.append(
            &run.text,
            0.0,
            TextFormat {
                font_id: font,
                color: if linked { palette.accent } else { palette.text },
                background: if run.look.code { palette.raised } else { Color32::TRANSPARENT },
                italics: run.look.italic,
                strikethrough: if run.look.struck { Stroke::new(1.0, palette.text) } else { Stroke::NONE },
                underline: if linked { Stroke::new(1.0, palette.accent) } else { Stroke::NONE },
                line_height: Some((size * theme::LINE).round()),
                valign: Align::Center,
                ..TextFormat::default()
            },
        );
    }
    job
}

fn show_block(ui: &mut Ui, block: &Block, laid: &Laid, marks: &[Mark], output: &mut ProseOutput) {
    let palette = Palette::of(ui);
    let left = indent_of(block);
    match (&block.kind, &laid.galley) {
        (Kind::Rule, _) => {
            ui.separator();
        }
        (Kind::Table(rows), _) => show_table(ui, rows, laid, left, marks, output),
        (Kind::Code(_), _) => laid.code.show(ui, block, left, marks, output),
        (_, Some(galley)) => {
            let size = galley.size();
            let (rect, response) =
                ui.allocate_exact_size(vec2(left + size.x, size.y), Sense::click_and_drag() - Sense::FOCUSABLE);
            let origin = rect.min + vec2(left, 0.0);
            if block.quoted {
                let line = Rect::from_min_size(rect.min, vec2(3.0, size.y));
                ui.painter().rect_filled(line, 2, palette.line);
            }
            if let Some(marker) = &block.marker {
                let place = pos2(origin.x - 8.0, origin.y + theme::BODY * theme::LINE / 2.0);
                ui.painter().text(place, egui::Align2::RIGHT_CENTER, marker, theme::font(14.0), palette.weak);
            }
            paint_text(ui, &response, galley, origin, &block.runs, marks, output);
        }
        _ => {}
    }
}

/// Letters of a galley with the marks behind them; they can be selected, and a click leads to their byte.
pub(super) fn paint_text(
    ui: &Ui,
    response: &Response,
    galley: &Arc<Galley>,
    origin: Pos2,
    runs: &[Run],
    marks: &[Mark],
    output: &mut ProseOutput,
) {
    let (first, end) = (runs.first().map_or(0, |run| run.source.start), runs.last().map_or(0, |run| run.source.end));
    let mut own = marks.iter().filter(|mark| mark.bytes.start < end && mark.bytes.end > first).peekable();
    // Counted once: an answer may have a mark for each of its words.
    let counts = if own.peek().is_some() { counts_of(runs) } else { Vec::new() };
    for mark in own {
        for characters in characters_of(runs, &counts, &mark.bytes) {
            for rect in widgets::rows_of(galley, origin, &characters) {
                if let Some(fill) = mark.fill {
                    ui.painter().rect_filled(rect.expand2(vec2(1.0, -1.0)), 3, fill);
                }
                if let Some(color) = mark.underline {
                    let y = rect.bottom() - 2.0;
                    ui.painter().hline(rect.x_range(), y, Stroke::new(2.0, color));
                }
            }
        }
    }
    let text = galley.text();
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    let color = Palette::of(ui).text;
    LabelSelectionState::label_text_selection(ui, response, origin, Arc::clone(galley), color, Stroke::NONE);
    if response.clicked()
        && let Some(position) = response.interact_pointer_pos()
    {
        let character = galley.cursor_from_pos(position - origin).index.0;
        if let Some((run, byte)) = byte_of(runs, character) {
            match &run.look.link {
                Some(link) if link.starts_with("http") => ui.ctx().open_url(egui::OpenUrl::new_tab(link)),
                _ => output.clicked = Some(byte),
            }
        }
    }
}

/// Source byte of a character of the laid-out text.
fn byte_of(runs: &[Run], character: usize) -> Option<(&Run, usize)> {
    let mut before = 0;
    for run in runs {
        let count = run.text.chars().count();
        if character < before + count {
            let inside: usize = run.text.chars().take(character - before).map(char::len_utf8).sum();
            return Some((run, (run.source.start + inside).min(run.source.end.saturating_sub(1))));
        }
        before += count;
    }
    None
}

/// Characters of each run.
fn counts_of(runs: &[Run]) -> Vec<usize> {
    runs.iter().map(|run| run.text.chars().count()).collect()
}

/// Characters of the laid-out text that come from these bytes of the source.
fn characters_of(runs: &[Run], counts: &[usize], bytes: &Range<usize>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut before = 0;
    for (run, &count) in runs.iter().zip(counts) {
        if run.source.start < bytes.end && run.source.end > bytes.start {
            let at = |byte: usize| {
                let inside = byte.saturating_sub(run.source.start);
                run.text.char_indices().take_while(|(start, _)| *start < inside).count()
            };
            let end = if bytes.end >= run.source.end { count } else { at(bytes.end) };
            let range = before + at(bytes.start)..before + end.max(at(bytes.start));
            match found.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => found.push(range),
            }
        }
        before += count;
    }
    found
}

fn show_table(ui: &mut Ui, rows: &[Vec<Vec<Run>>], laid: &Laid, left: f32, marks: &[Mark], output: &mut ProseOutput) {
    let palette = Palette::of(ui);
    let columns = laid.cells.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        laid.cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.size().x).fold(0.0, f32::max) + 24.0
    };
    let widths: Vec<f32> = (0..columns).map(width_of).collect();
    let height_of = |row: &Vec<Arc<Galley>>| row.iter().map(|cell| cell.size().y).fold(0.0, f32::max) + 10.0;
    let total = vec2(widths.iter().sum::<f32>(), laid.cells.iter().map(height_of).sum::<f32>());
    let (rect, _) = ui.allocate_exact_size(vec2(left + total.x, total.y), Sense::hover());
    let mut y = rect.top();
    for (index, (row, runs)) in laid.cells.iter().zip(rows).enumerate() {
        let mut x = rect.left() + left;
        let height = height_of(row);
        // Of a long table most rows are not seen.
        if !ui.is_rect_visible(Rect::from_x_y_ranges(rect.x_range(), y..=y + height)) {
            y += height;
            continue;
        }
        for (column, ((cell, runs), width)) in row.iter().zip(runs).zip(&widths).enumerate() {
            let place = Rect::from_min_size(pos2(x, y), vec2(*width, height));
            let sense = Sense::click_and_drag() - Sense::FOCUSABLE;
            let response = ui.interact(place, ui.scope_id().with((index, column)), sense);
            paint_text(ui, &response, cell, place.min + vec2(4.0, 5.0), runs, marks, output);
            x += width;
        }
        y += height;
        let weight = if index == 0 { 1.5 } else { 1.0 };
        let across = rect.left() + left..=rect.left() + left + total.x;
        ui.painter().hline(across, y, Stroke::new(weight, palette.line));
    }
}

#[cfg(test)]
mod tests {
    use super::{byte_of, characters_of, counts_of};
    use crate::desktop::views::markdown::Markdown;

    /// Every character of a laid-out text must lead to its byte and back.
    #[test]
    fn characters_and_bytes_are_inverse() {
        let text = "He **promised 二百 tons** of 🎉 coal";
        let mut markdown = Markdown::default();
        markdown.update(text);
        let runs = &markdown.blocks[0].1.runs;
        let shown: Vec<char> = markdown.blocks[0].1.plain().chars().collect();
        for (index, letter) in shown.iter().enumerate() {
            let (_, byte) = byte_of(runs, index).unwrap();
            assert!(text[byte..].starts_with(*letter), "{letter} at {byte}");
            let bytes = byte..byte + letter.len_utf8();
            assert_eq!(characters_of(runs, &counts_of(runs), &bytes), vec![index..index + 1]);
        }
        assert!(byte_of(runs, shown.len()).is_none());
    }
}
