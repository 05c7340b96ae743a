//! Messages to the text of a prompt, through the model's own Jinja template with the conventions of Hugging Face.
//!
//! A rendering is handed out in segments, so that the caller knows which text is the template's and which a message's: template
//! text may name special tokens, message text may not (see [`crate::tokenizer`]), and every token of the context can be traced to
//! its message. To tell them apart each content is rendered between two marks of private-use characters that occur in no message,
//! and the marks are taken out again. White space at the ends of a content stays outside the marks, because many templates trim it.
//! A content whose marks a template loses (by upper-casing, cutting, taking what stands behind `</think>`) is rendered again
//! without them, as template text, with the special tokens in it broken up by a zero-width space. The same is done with all
//! contents if the marks change the rendering in any other way.
//!
//! A template is a program from a stranger: its size, steps, data and recursion are limited.

mod jinja;

use std::hash::{BuildHasher, Hasher, RandomState};

use minijinja::{Environment, ErrorKind, Value};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// What models without a template of their own get: ChatML.
pub const CHATML: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The longest published templates have some 20 KB.
const LARGEST_TEMPLATE: usize = 1 << 20;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name in templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: String,
}

/// What to render beside the messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// End with the opening of the model's answer.
    pub add_generation_prompt: bool,
    /// For models that can think first: ask for it or switch it off; `None` leaves it to the template.
    pub enable_thinking: Option<bool>,
}

/// Where a part of a rendering comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// The template's own text.
    Template,
    /// The content of a message, or part of it.
    Message {
        /// Which one.
        index: usize,
        /// Where the segment's text begins in the content, in bytes.
        start: usize,
    },
}

/// A part of a rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Where it comes from.
    pub kind: SegmentKind,
}

/// A template, checked and ready.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    /// Texts of special tokens, for templates that lose the marks.
    special: Vec<String>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChatTemplate").field("kind", &self.kind_name()).finish_non_exhaustive()
    }
}

fn template_error(problem: impl Into<String>) -> Error {
    Error::Text {
        what: "chat template".into(),
        problem: problem.into(),
        advice: "If this is the model's own template, report it to foveal; a chat_template.jinja in the model's folder replaces it"
            .into(),
    }
}

impl ChatTemplate {
    /// `bos` and `eos` are the texts of these tokens, which some templates write themselves; empty where there is none.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        if source.len() > LARGEST_TEMPLATE {
            return Err(template_error(format!("it has {} bytes, expected at most {LARGEST_TEMPLATE}", source.len())));
        }
        let unreadable = |error: minijinja::Error| template_error(format!("it cannot be read: {error}"));
        let mut environment = jinja::environment();
        environment.set_syntax(jinja::syntax().map_err(unreadable)?);
        environment.add_template_owned("chat", source.to_owned()).map_err(unreadable)?;
        let template =
            Self { environment, source: source.into(), bos: bos.into(), eos: eos.into(), special: Vec::new() };
        Ok(template.with_special_tokens([bos.to_owned(), eos.to_owned()]))
    }

    /// The model's own template, or ChatML where it has none.
    pub fn for_tokenizer(tokenizer: &Tokenizer) -> Result<Self> {
        let settings = tokenizer.settings();
        let text = |id: Option<&u32>| id.map(|&id| tokenizer.token_text(id)).unwrap_or_default();
        let source = settings.chat_template.as_deref().unwrap_or(CHATML);
        let template = Self::new(source, &text(settings.bos.as_ref()), &text(settings.eos.first()))?;
        Ok(template.with_special_tokens(tokenizer.special_texts()))
    }

    /// Names special tokens that must be broken up where a template loses the marks of a content.
    pub fn with_special_tokens(mut self, tokens: impl IntoIterator<Item = String>) -> Self {
        // A token of one character cannot be broken up; none has been seen.
        self.special.extend(tokens.into_iter().filter(|token| token.chars().nth(1).is_some()));
        self
    }

    /// The family, for people.
    pub fn kind_name(&self) -> &'static str {
        let families = [
            ("<|im_start|>", "ChatML"),
            ("<|start_header_id|>", "Llama 3"),
            ("[INST]", "Llama 2 / Mistral"),
            ("<start_of_turn>", "Gemma"),
        ];
        families.iter().find(|(mark, _)| self.source.contains(mark)).map_or("other", |(_, name)| name)
    }

    /// Whether the template looks at `enable_thinking`.
    pub fn can_switch_thinking(&self) -> bool {
        self.source.contains("enable_thinking")
    }

    /// The whole prompt as one text. To encode it safely take [`Self::render_segments`].
    pub fn render(&self, messages: &[Message], options: RenderOptions) -> Result<String> {
        let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
        self.render_contents(messages, &contents, options)
    }

    /// The prompt in order, each part with its origin. Joined they are [`Self::render`], but for contents whose marks are lost.
    pub fn render_segments(&self, messages: &[Message], options: RenderOptions) -> Result<Vec<Segment>> {
        let marks = Marks::absent_from(messages);
        let defused: Vec<String> = messages.iter().map(|message| self.defuse(&message.content)).collect();
        // A template may ask whether a content is empty: only what has text gets marks.
        let mut marked: Vec<bool> = messages.iter().map(|message| !message.content.trim().is_empty()).collect();
        // At most once with all marks, once without those that were lost, once without any.
        for _ in 0..2 {
            let with_marks: Vec<String> = (messages.iter().enumerate())
                .map(
                    |(index, message)| {
                        if marked[index] { marks.put(index, &message.content) } else { defused[index].clone() }
                    },
                )
                .collect();
            let Ok(text) = self.render_contents(messages, &borrowed(&with_marks), options) else { break };
            let (segments, lost) = marks.split(&text, messages);
            if lost.is_empty() {
                let without: Vec<&str> = (messages.iter().enumerate())
                    .map(|(index, message)| if marked[index] { &message.content } else { &defused[index] }.as_str())
                    .collect();
                let joined: String = segments.iter().map(|segment| segment.text.as_str()).collect();
                if self.render_contents(messages, &without, options)? == joined {
                    return Ok(segments);
                }
                break;
            }
            for index in lost {
                marked[index] = false;
            }
        }
        let text = self.render_contents(messages, &borrowed(&defused), options)?;
        Ok(vec![Segment { text, kind: SegmentKind::Template }])
    }

    /// Puts a zero-width space behind the first character of every special token in a content.
    fn defuse(&self, content: &str) -> String {
        let mut text = content.to_owned();
        for token in &self.special {
            let mut characters = token.chars();
            if let Some(first) = characters.next() {
                text = text.replace(token, &format!("{first}\u{200b}{}", characters.as_str()));
            }
        }
        text
    }

    fn render_contents(&self, messages: &[Message], contents: &[&str], options: RenderOptions) -> Result<String> {
        let list: Vec<Value> = (messages.iter().zip(contents))
            .map(|(message, &content)| Value::from_pairs([("role", message.role.name()), ("content", content)]))
            .collect();
        let mut pairs: Vec<(&str, Value)> = vec![
            ("messages", list.into()),
            ("add_generation_prompt", options.add_generation_prompt.into()),
            ("bos_token", self.bos.as_str().into()),
            ("eos_token", self.eos.as_str().into()),
        ];
        // Templates ask whether it is defined.
        pairs.extend(options.enable_thinking.map(|on| ("enable_thinking", on.into())));
        let template = self.environment.get_template("chat");
        template.and_then(|template| template.render(Value::from_pairs(pairs))).map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => template_error("it does not end, or makes far too much text"),
            _ => template_error(error.to_string()),
        })
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Marks around contents: a private-use character, a number that makes them unique, the message's index, a closing character.
struct Marks {
    open: String,
    close: String,
}

const OPEN: char = '\u{F8F0}';
const CLOSE: char = '\u{F8F1}';
const END: char = '\u{F8F2}';

impl Marks {
    /// Marks with a random number, so that no message can be written to contain them; and none does.
    fn absent_from(messages: &[Message]) -> Self {
        loop {
            let number = RandomState::new().build_hasher().finish();
            let marks = Self { open: format!("{OPEN}{number}:"), close: format!("{CLOSE}{number}:") };
            let occurs =
                |message: &Message| message.content.contains(&marks.open) || message.content.contains(&marks.close);
            if !messages.iter().any(occurs) {
                return marks;
            }
        }
    }

    fn put(&self, index: usize, content: &str) -> String {
        let Self { open, close } = self;
        let core = content.trim();
        let (before, after) = content.split_once(core).unwrap_or_default();
        format!("{before}{open}{index}{END}{core}{close}{index}{END}{after}")
    }

    /// The parts of a rendering, and the messages whose marks are not as they were put, or whose content between them is not.
    fn split(&self, text: &str, messages: &[Message]) -> (Vec<Segment>, Vec<usize>) {
        let mut segments = Vec::new();
        let mut lost = Vec::new();
        let mut rest = text;
        while let Some((before, index, behind, opens)) = self.next_mark(rest) {
            push(&mut segments, before, SegmentKind::Template);
            rest = behind;
            let core = messages.get(index).map(|message| message.content.trim());
            let closing = format!("{}{index}{END}", self.close);
            match core.and_then(|core| behind.strip_prefix(core)?.strip_prefix(&closing).map(|rest| (core, rest))) {
                Some((core, after)) if opens => {
                    let start = messages
                        .get(index)
                        .map_or(0, |message| message.content.len() - message.content.trim_start().len());
                    push(&mut segments, core, SegmentKind::Message { index, start });
                    rest = after;
                }
                _ => lost.extend(core.map(|_| index)),
            }
        }
        push(&mut segments, rest, SegmentKind::Template);
        (segments, lost)
    }

    /// The next mark: what stands before it, its message, what stands behind it, and whether it opens.
    fn next_mark<'a>(&self, text: &'a str) -> Option<(&'a str, usize, &'a str, bool)> {
        let found = [(text.find(&self.open), true), (text.find(&self.close), false)];
        let (at, opens) = found.into_iter().filter_map(|(at, opens)| Some((at?, opens))).min()?;
        let (number, behind) = text.get(at + self.open.len()..)?.split_once(END)?;
        Some((text.get(..at)?, number.parse().ok()?, behind, opens))
    }
}

fn push(segments: &mut Vec<Segment>, text: &str, kind: SegmentKind) {
    match segments.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.kind == SegmentKind::Template && kind == SegmentKind::Template => last.text.push_str(text),
        _ => segments.push(Segment { text: text.to_owned(), kind }),
    }
}
