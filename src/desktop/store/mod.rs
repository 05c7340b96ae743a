//! The state of the window, without any drawing: chats, documents, model, the answer being written, what is looked at.
//!
//! [`Store::apply`] takes an [`Action`] and [`Store::event`] an engine event; both change the state and return
//! [`Effect`]s for the outside. Nothing else changes it, so every behaviour can be tested without a window.

pub mod action;
pub mod chat;
mod context;
mod conversation;
mod events;
mod focus;
pub mod library;
mod notices;
mod reduce;
pub(crate) use reduce::file_stem;
pub mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

pub use action::{Action, Dialog, Effect, HistoryRead, Notice, Pane, Posted};
use chat::Removed;
pub use chat::{Chat, ChatId, Message, Unsent};
pub use context::ContextUse;
pub use library::Document;
pub use settings::{ChatSettings, Given, Settings, ThemeChoice};

use super::attention::{ReaderFilter, Reading};
use super::messages::{
    AttentionChoice, DeviceInfo, DocumentId, EngineError, LoadStage, MemoryPlan, MessageId, Mode, ModelChoice,
    ModelInfo, WorkId,
};

/// The model, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// None asked for.
    None,
    /// Being opened: its load, stage, done, total.
    Loading(ModelChoice, WorkId, LoadStage, u64, u64),
    /// Open.
    Ready(ModelChoice, ModelInfo),
    /// Could not be opened, or was lost.
    Failed(ModelChoice, EngineError),
}

/// What would be needed for the model that the picker points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanState {
    /// Nothing asked.
    None,
    /// Asked.
    Waiting(ModelChoice),
    /// Answered.
    Ready(MemoryPlan),
    /// It cannot be opened.
    Failed(ModelChoice, EngineError),
}

/// How far an answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Sent, nothing heard yet.
    Waiting,
    /// The prompt is being read: tokens done, in all, seconds.
    Prefill(u32, u32, f32),
    /// Tokens come.
    Writing,
}

/// The answer being written.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Its number.
    pub generation: WorkId,
    /// Its chat.
    pub chat: ChatId,
    /// The message it fills.
    pub message: MessageId,
    /// How far it is.
    pub phase: Phase,
    /// Seconds of its latest tokens, for the speed.
    pub times: VecDeque<f32>,
    /// Seconds of its first token.
    pub first_token: Option<f32>,
    /// Tokens so far.
    pub tokens: u32,
    /// When it was last written to the disk.
    saved: u64,
}

impl Work {
    /// Tokens per second over the latest tokens.
    pub fn speed(&self) -> Option<f32> {
        let (first, last) = (self.times.front()?, self.times.back()?);
        let seconds = last - first;
        (self.times.len() > 1 && seconds > 0.0).then(|| (self.times.len() - 1) as f32 / seconds)
    }

    /// Seconds until the prompt is read, from the speed so far.
    pub fn prefill_left(&self) -> Option<f32> {
        match self.phase {
            Phase::Prefill(done, total, seconds) if done > 0 && seconds > 0.2 => {
                Some(seconds / done as f32 * total.saturating_sub(done) as f32)
            }
            _ => None,
        }
    }
}

/// The question being typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// Documents on it.
    pub documents: Vec<DocumentId>,
    /// Its tokens, when counted.
    pub tokens: Option<u32>,
}

/// What the attention view looks at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Focus {
    /// The answer; none is the latest one.
    pub answer: Option<MessageId>,
    /// Tokens of it; none is the live mean while it is written, and all of it afterwards.
    pub tokens: Option<Range<usize>>,
    /// Replay: the live mean up to this token.
    pub scrub: Option<usize>,
    /// A block.
    pub block: Option<u32>,
    /// Readers that count.
    pub filter: ReaderFilter,
    /// Blocks in view; none is all.
    pub zoom: Option<Range<u32>>,
    /// The user scrolled the document: it stays there until the next answer.
    pub hold_document: bool,
    /// Bytes of the open document to scroll to; the number tells a new wish from an old one.
    pub scroll: Option<(u64, DocumentId, Range<u32>)>,
}

/// Two answers side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The question.
    pub question: MessageId,
    /// Its dense answer, once begun.
    pub dense: Option<MessageId>,
    /// Its sparse answer, once begun.
    pub sparse: Option<MessageId>,
}

/// What [`Action::Undo`] takes back.
#[derive(Debug, Clone)]
enum Undo {
    Messages(ChatId, Removed),
    Chat(ChatId),
}

/// What a count of tokens is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Counting {
    Draft,
    Document(DocumentId),
}

/// The state of the window.
#[derive(Debug, Clone)]
pub struct Store {
    /// All chats.
    pub chats: Vec<Chat>,
    /// Chats in the trash.
    pub trash: Vec<Chat>,
    /// The chat on screen.
    pub current: ChatId,
    /// Documents by number.
    pub documents: BTreeMap<DocumentId, Document>,
    /// Tokens of documents, where counted.
    pub document_tokens: BTreeMap<DocumentId, u32>,
    /// The document that comes with the program.
    pub sample: Option<Document>,
    /// A question about it, to begin with.
    pub sample_question: String,
    /// The model.
    pub model: ModelState,
    /// The model under the picker.
    pub plan: PlanState,
    /// Devices of this machine.
    pub devices: Vec<DeviceInfo>,
    /// The answer being written.
    pub work: Option<Work>,
    /// Settings of the program.
    pub settings: Settings,
    /// The question being typed.
    pub draft: Draft,
    /// The question being changed.
    pub editing: Option<(MessageId, String)>,
    /// The chat being named.
    pub renaming: Option<ChatId>,
    /// Traces of answers, oldest first.
    pub readings: Vec<(ChatId, Reading)>,
    /// What is looked at.
    pub focus: Focus,
    /// The document in the pane.
    pub open_document: Option<DocumentId>,
    /// Files being read.
    pub files_pending: usize,
    /// The open dialog.
    pub dialog: Option<Dialog>,
    /// Cards and notes, latest last.
    pub notices: Vec<Posted>,
    /// What the command line asked for.
    pub given: Given,
    /// Text looked for in chats.
    pub search: String,
    /// Rises with every wish to type it.
    pub search_wish: u64,
    /// Rises where the user will want to type a question next.
    pub write_wish: u64,
    /// The comparison on screen.
    pub compare: Option<Compare>,
    /// Chats from the disk whose traces were not looked for yet.
    untraced: BTreeSet<ChatId>,
    /// The last deletion.
    undo: Option<Undo>,
    /// Answers to write after this one: question, attention.
    queue: VecDeque<(ChatId, MessageId, AttentionChoice)>,
    counting: Vec<(WorkId, Counting)>,
    next_work: WorkId,
    next_scroll: u64,
    now: u64,
}

impl Store {
    /// An empty window with one empty chat.
    pub fn new(settings: Settings, given: Given, now: u64) -> Self {
        let chat = Chat::new(now, given.chat.as_ref().unwrap_or(&settings.new_chat).clone());
        Self {
            current: chat.id,
            chats: vec![chat],
            trash: Vec::new(),
            documents: BTreeMap::new(),
            document_tokens: BTreeMap::new(),
            sample: None,
            sample_question: String::new(),
            model: ModelState::None,
            plan: PlanState::None,
            devices: Vec::new(),
            work: None,
            settings,
            given,
            draft: Draft::default(),
            editing: None,
            renaming: None,
            readings: Vec::new(),
            focus: Focus::default(),
            open_document: None,
            files_pending: 0,
            dialog: None,
            notices: Vec::new(),
            search: String::new(),
            search_wish: 0,
            write_wish: 0,
            compare: None,
            untraced: BTreeSet::new(),
            undo: None,
            queue: VecDeque::new(),
            counting: Vec::new(),
            next_work: 1,
            next_scroll: 0,
            now,
        }
    }

    /// Tells the store the time, in milliseconds since 1970.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// The chat on screen.
    pub fn chat(&self) -> Option<&Chat> {
        self.chat_by(self.current)
    }

    /// A chat by number.
    pub fn chat_by(&self, id: ChatId) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    fn chat_mut(&mut self, id: ChatId) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    /// The open model.
    pub fn model_info(&self) -> Option<&ModelInfo> {
        match &self.model {
            ModelState::Ready(_, info) => Some(info),
            _ => None,
        }
    }

    /// The answer being written in the chat on screen.
    pub fn current_work(&self) -> Option<&Work> {
        self.work.as_ref().filter(|work| work.chat == self.current)
    }

    /// True when the draft can be sent.
    pub fn can_send(&self) -> bool {
        !self.draft.text.trim().is_empty() && self.model_info().is_some() && self.work.is_none()
    }

    /// Chats that hold the searched text, latest first.
    pub fn listed_chats(&self) -> Vec<&Chat> {
        let wanted = self.search.trim().to_lowercase();
        let holds = |chat: &Chat| {
            wanted.is_empty()
                || chat.title.to_lowercase().contains(&wanted)
                || chat.messages.iter().any(|message| message.text.to_lowercase().contains(&wanted))
        };
        let mut chats: Vec<&Chat> = self.chats.iter().filter(|chat| holds(chat)).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.changed));
        chats
    }

    /// Tokens of a text when nobody has counted them: English runs at about four bytes a token.
    pub fn estimate_tokens(bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
    }

    /// The mode of the last step of the focused answer.
    pub fn mode(&self) -> Option<Mode> {
        self.reading().and_then(Reading::last_step).map(|step| step.mode)
    }

    /// True where an answer now would read everything, as far as is known: by the chat's choice, or as the answer in
    /// focus did.
    pub fn reads_densely(&self) -> bool {
        match self.chat().map(|chat| chat.settings.attention) {
            Some(AttentionChoice::Dense) => true,
            Some(AttentionChoice::Sparse) => false,
            _ => self.mode() == Some(Mode::Dense),
        }
    }

    /// True where a deletion can be taken back.
    pub fn can_undo(&self) -> bool {
        self.undo.is_some()
    }

    fn new_work(&mut self) -> WorkId {
        let work = self.next_work;
        self.next_work += 1;
        work
    }
}
