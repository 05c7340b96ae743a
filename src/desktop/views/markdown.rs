//! Markdown as a list of blocks whose text knows the bytes it comes from.
//!
//! An answer grows at its end: [`Markdown::update`] parses again from the last two top-level blocks on, and tells which
//! blocks are as before, so that what was laid out from them is kept.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::math;

/// How a run of text looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) struck: bool,
    pub(crate) code: bool,
    pub(crate) link: Option<String>,
}

/// A run of text and where it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) look: Look,
    pub(crate) source: Range<usize>,
}

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Running text.
    Text,
    /// A title of this level.
    Heading(u8),
    /// Code in this language.
    Code(String),
    /// Cells by row; the first row is the head.
    Table(Vec<Vec<Vec<Run>>>),
    /// A line across.
    Rule,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) runs: Vec<Run>,
    /// Depth in lists.
    pub(crate) indent: usize,
    /// "•" or "1." before the first block of a list item.
    pub(crate) marker: Option<String>,
    /// Inside a quotation.
    pub(crate) quoted: bool,
}

impl Block {
    /// Its text without marks, for copying and for screen readers.
    pub(crate) fn plain(&self) -> String {
        match &self.kind {
            Kind::Table(rows) => {
                let cell = |runs: &Vec<Run>| runs.iter().map(|run| run.text.as_str()).collect::<String>();
                let row = |cells: &Vec<Vec<Run>>| cells.iter().map(cell).collect::<Vec<_>>().join("\t");
                rows.iter().map(row).collect::<Vec<_>>().join("\n")
            }
            _ => self.runs.iter().map(|run| run.text.as_str()).collect(),
        }
    }
}

/// A parsed text.
#[derive(Debug, Default)]
pub(crate) struct Markdown {
    source: String,
    /// Blocks, with the byte where their top-level block begins.
    pub(crate) blocks: Vec<(usize, Block)>,
}

impl Markdown {
    /// Brings the blocks up to this text. Returns how many of the first blocks stayed as they were.
    pub(crate) fn update(&mut self, text: &str) -> usize {
        if text == self.source {
            return self.blocks.len();
        }
        // What looks like a new paragraph may turn out to be the next row of the table, or item of the list, before it:
        // the last two top-level blocks are still open.
        let tail = match text.strip_prefix(self.source.as_str()) {
            Some(_) => {
                let last = self.blocks.last().map_or(0, |(start, _)| *start);
                self.blocks.iter().rev().map(|(start, _)| *start).find(|start| *start < last).unwrap_or(0)
            }
            None => 0,
        };
        let finished = self.blocks.partition_point(|(start, _)| *start < tail);
        let before = self.blocks.split_off(finished);
        parse(text, tail, &mut self.blocks);
        self.source.clear();
        self.source.push_str(text);
        // Items of a list are parsed again with each word of the last one, but what was laid out from them still holds.
        let now = self.blocks.get(finished..).unwrap_or(&[]);
        finished + before.iter().zip(now).take_while(|(before, now)| before == now).count()
    }

    /// Takes the text as one block without marks.
    pub(crate) fn update_plain(&mut self, text: &str) -> usize {
        if text == self.source && !self.blocks.is_empty() {
            return 1;
        }
        let run = Run { text: text.to_owned(), look: Look::default(), source: 0..text.len() };
        let block = Block { kind: Kind::Text, runs: vec![run], indent: 0, marker: None, quoted: false };
        self.blocks = vec![(0, block)];
        text.clone_into(&mut self.source);
        0
    }
}

#[derive(Default)]
struct Builder {
    runs: Vec<Run>,
    bold: usize,
    italic: usize,
    struck: usize,
    links: Vec<String>,
    /// Next number of each open list; none for bullets.
    lists: Vec<Option<u64>>,
    marker: Option<String>,
    quotes: usize,
    table: Option<Vec<Vec<Vec<Run>>>>,
    code: Option<String>,
    heading: Option<u8>,
}

fn parse(text: &str, tail: usize, blocks: &mut Vec<(usize, Block)>) {
    let Some(rest) = text.get(tail..) else { return };
    let rest = &*math::with_dollars(rest);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    let mut builder = Builder::default();
    let mut depth = 0usize;
    let mut start = tail;
    for (event, range) in Parser::new_ext(rest, options).into_offset_iter() {
        let source = tail + range.start..tail + range.end;
        if depth == 0 {
            start = source.start;
        }
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some(block) = builder.event(event, source) {
            blocks.push((start, block));
        }
    }
    // A tight list item at the very end has no closing paragraph.
    if let Some(block) = builder.flush(Kind::Text) {
        blocks.push((start, block));
    }
}

impl Builder {
    fn event(&mut self, event: Event<'_>, source: Range<usize>) -> Option<Block> {
        match event {
            Event::Start(tag) => return self.start(tag),
            Event::End(tag) => return self.end(tag),
            Event::Text(text) => self.push(&text, source),
            Event::Code(text) => self.push_as(text.to_string(), source, Look { code: true, ..self.look() }),
            Event::InlineMath(formula) | Event::DisplayMath(formula) => {
                self.push_as(math::readable(&formula), source, Look { italic: true, ..self.look() });
            }
            Event::Html(text) | Event::InlineHtml(text) => self.push(&text, source),
            Event::SoftBreak => self.push(" ", source),
            Event::HardBreak => self.push("\n", source),
            Event::Rule => return Some(self.block(Kind::Rule, Vec::new())),
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
        None
    }

    fn start(&mut self, tag: Tag<'_>) -> Option<Block> {
        match tag {
            Tag::Strong => self.bold += 1,
            Tag::Emphasis => self.italic += 1,
            Tag::Strikethrough => self.struck += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.links.push(dest_url.to_string()),
            Tag::Heading { level, .. } => self.heading = Some(level_of(level)),
            Tag::BlockQuote(_) => self.quotes += 1,
            Tag::CodeBlock(kind) => {
                self.code = Some(match kind {
                    CodeBlockKind::Fenced(language) => language.split(' ').next().unwrap_or("").to_owned(),
                    CodeBlockKind::Indented => String::new(),
                });
            }
            Tag::List(first) => {
                // The words of the item that holds this list come first.
                let before = self.flush(Kind::Text);
                self.lists.push(first);
                return before;
            }
            Tag::Item => {
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}.");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "•".into(),
                });
            }
            Tag::Table(_) => self.table = Some(Vec::new()),
            Tag::TableHead | Tag::TableRow => {
                if let Some(rows) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            _ => {}
        }
        None
    }

    fn end(&mut self, tag: TagEnd) -> Option<Block> {
        match tag {
            TagEnd::Strong => self.bold = self.bold.saturating_sub(1),
            TagEnd::Emphasis => self.italic = self.italic.saturating_sub(1),
            TagEnd::Strikethrough => self.struck = self.struck.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                self.links.pop();
            }
            TagEnd::Heading(_) => {
                let level = self.heading.take().unwrap_or(1);
                return self.flush(Kind::Heading(level));
            }
            TagEnd::CodeBlock => {
                let language = self.code.take().unwrap_or_default();
                let runs = std::mem::take(&mut self.runs);
                return Some(self.block(Kind::Code(language), runs));
            }
            TagEnd::Paragraph | TagEnd::HtmlBlock | TagEnd::Item => return self.flush(Kind::Text),
            TagEnd::BlockQuote(_) => {
                let block = self.flush(Kind::Text);
                self.quotes = self.quotes.saturating_sub(1);
                return block;
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::TableCell => {
                let runs = std::mem::take(&mut self.runs);
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(runs);
                }
            }
            TagEnd::Table => {
                let rows = self.table.take().unwrap_or_default();
                return Some(self.block(Kind::Table(rows), Vec::new()));
            }
            _ => {}
        }
        None
    }

    fn look(&self) -> Look {
        Look {
            bold: self.bold > 0,
            italic: self.italic > 0,
            struck: self.struck > 0,
            code: false,
            link: self.links.last().cloned(),
        }
    }

    fn push(&mut self, text: &str, source: Range<usize>) {
        // Code has a run for each line, so that it can be laid out in pieces.
        if self.code.is_some() && text.len() == source.len() {
            let mut start = source.start;
            for line in text.split_inclusive('\n') {
                self.push_as(line.to_owned(), start..start + line.len(), self.look());
                start += line.len();
            }
            return;
        }
        self.push_as(text.to_owned(), source, self.look());
    }

    fn push_as(&mut self, text: String, source: Range<usize>, look: Look) {
        self.runs.push(Run { text, look, source });
    }

    fn flush(&mut self, kind: Kind) -> Option<Block> {
        let runs = std::mem::take(&mut self.runs);
        (!runs.is_empty()).then(|| self.block(kind, runs))
    }

    fn block(&mut self, kind: Kind, runs: Vec<Run>) -> Block {
        Block { kind, runs, indent: self.lists.len(), marker: self.marker.take(), quoted: self.quotes > 0 }
    }
}

fn level_of(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Markdown};

    #[test]
    fn formulas_in_brackets_are_read_too() {
        let text = "so \\(x^2 \\le y\\) holds:\n\n\\[ \\sum x_1 \\]\n\n`\\(kept\\)`";
        let mut markdown = Markdown::default();
        markdown.update(text);
        let plain: Vec<String> = markdown.blocks.iter().map(|(_, block)| block.plain()).collect();
        assert_eq!(plain, ["so x² ≤ y holds:", "∑ x₁", "\\(kept\\)"]);
        let formula = markdown.blocks[0].1.runs.iter().find(|run| run.look.italic).unwrap();
        assert_eq!(&text[formula.source.clone()], "\\(x^2 \\le y\\)");
    }

    #[test]
    fn what_is_laid_out_in_a_list_is_kept_while_it_grows() {
        let mut markdown = Markdown::default();
        let items: String = (0..50).map(|item| format!("- item {item} of a long list\n")).collect();
        markdown.update(&items);
        let kept = markdown.update(&(items + "- one more"));
        assert_eq!((kept, markdown.blocks.len()), (50, 51));
    }

    /// Growing byte by byte must end where parsing at once ends, and each run must stand where it says.
    #[test]
    fn growing_equals_parsing_at_once() {
        let text = "# Title\n\nSome **bold** text\nand more 中文.\n\n1. one\n2. two\n   - deep\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\nfn f() {}\n```\n\nlast $x^2$";
        let mut growing = Markdown::default();
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            growing.update(&text[..end]);
        }
        let mut whole = Markdown::default();
        whole.update(text);
        assert_eq!(growing.blocks, whole.blocks);
        let kinds: Vec<&Kind> = whole.blocks.iter().map(|(_, block)| &block.kind).collect();
        assert!(matches!(kinds[0], Kind::Heading(1)));
        assert_eq!(whole.blocks[2].1.marker.as_deref(), Some("1."));
        assert_eq!(whole.blocks[4].1.indent, 2);
        assert!(whole.blocks[5].1.quoted);
        assert!(matches!(kinds[6], Kind::Table(rows) if rows.len() == 2 && rows[1].len() == 2));
        assert!(matches!(kinds[7], Kind::Code(language) if language == "rust"));
        assert_eq!(whole.blocks[8].1.plain(), "last x²");
        for run in whole.blocks.iter().flat_map(|(_, block)| &block.runs).filter(|run| !run.text.contains('²')) {
            assert_eq!(text[run.source.clone()].trim_matches('\n').trim(), run.text.trim_matches('\n').trim());
        }
    }
}
