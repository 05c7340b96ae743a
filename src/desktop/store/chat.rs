//! One conversation as a tree: every edit and every new answer is a branch beside the old one, nothing is overwritten.
//!
//! Messages stand in a list by ascending number; each knows its parent and which of its children is shown. This is
//! also the shape of the file (see [`history`](crate::desktop::history)).

use serde::{Deserialize, Serialize};

use super::settings::ChatSettings;
use crate::desktop::messages::{DocumentId, FinishReason, MessageId, Mode, Pin, Role, Stats};

/// Number of a chat: milliseconds since 1970 when it was started, made unique.
pub type ChatId = u64;

/// Title of a chat in which nothing was said.
const NEW: &str = "New chat";

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its number in the chat.
    pub id: MessageId,
    /// The message before it; none for the first ones.
    pub parent: Option<MessageId>,
    /// Who says it.
    pub role: Role,
    /// What it says.
    pub text: String,
    /// The model's thinking before the text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    /// Documents attached to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentId>,
    /// Which of the messages after it is shown.
    #[serde(default)]
    pub shown: Option<MessageId>,
    /// How it ended; none while it is written or when the program ended before it.
    #[serde(default)]
    pub finish: Option<FinishReason>,
    /// Its numbers.
    #[serde(default)]
    pub stats: Option<Stats>,
    /// How its first word was read, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where the way of reading changed: byte in the text and the new mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub switches: Vec<(u32, Mode)>,
    /// The model that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// A short note on how it came about: "dense", "without a passage".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What is typed in a chat and not sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unsent {
    /// The text of the next question.
    pub text: String,
    /// Documents on it.
    pub documents: Vec<DocumentId>,
    /// A question that is being changed, and its new text.
    pub editing: Option<(MessageId, String)>,
}

impl Unsent {
    /// True where nothing is typed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Its number.
    pub id: ChatId,
    /// Its name in the list.
    pub title: String,
    /// The user gave the name: it no longer follows the first question.
    #[serde(default)]
    pub named: bool,
    /// Milliseconds since 1970 of the last change.
    pub changed: u64,
    /// Its settings.
    pub settings: ChatSettings,
    /// Passages held in or kept out.
    #[serde(default)]
    pub pins: Vec<Pin>,
    /// What is typed in it and not sent.
    #[serde(default, skip_serializing_if = "Unsent::is_empty")]
    pub unsent: Unsent,
    /// All messages of all branches, by number.
    pub messages: Vec<Message>,
    /// Which of the first messages is shown.
    #[serde(default)]
    pub shown: Option<MessageId>,
    /// Number of the next message. Those of deleted messages are not given again: traces and undo know messages by them.
    #[serde(default)]
    next: MessageId,
}

/// Messages that were taken out of a chat, and where they belong.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Removed {
    /// By number; the first is the one that was deleted, the others followed it.
    messages: Vec<Message>,
}

impl Message {
    /// How its last word was read.
    pub fn last_mode(&self) -> Option<Mode> {
        self.switches.last().map(|(_, mode)| *mode).or(self.mode)
    }
}

impl Chat {
    /// An empty chat.
    pub fn new(id: ChatId, settings: ChatSettings) -> Self {
        Self {
            id,
            title: NEW.into(),
            named: false,
            changed: id,
            settings,
            pins: Vec::new(),
            unsent: Unsent::default(),
            messages: Vec::new(),
            shown: None,
            next: 0,
        }
    }

    /// Brings a chat from a file into order: numbers ascend, are unique, and parents come before children.
    pub fn mend(&mut self) {
        self.messages.sort_by_key(|message| message.id);
        self.messages.dedup_by_key(|message| message.id);
        for message in &mut self.messages {
            message.parent = message.parent.filter(|&parent| parent < message.id);
        }
        let last = self.messages.last().map_or(0, |last| last.id.saturating_add(1));
        self.next = self.next.max(last);
        let known = |(id, _): &(MessageId, String)| self.messages.iter().any(|message| message.id == *id);
        self.unsent.editing = self.unsent.editing.take().filter(known);
    }

    /// A message by number.
    pub fn message(&self, id: MessageId) -> Option<&Message> {
        let index = self.messages.binary_search_by_key(&id, |message| message.id).ok()?;
        self.messages.get(index)
    }

    /// A message by number, to change.
    pub fn message_mut(&mut self, id: MessageId) -> Option<&mut Message> {
        let index = self.messages.binary_search_by_key(&id, |message| message.id).ok()?;
        self.messages.get_mut(index)
    }

    /// Adds a message after `parent` and shows it.
    pub fn add(&mut self, parent: Option<MessageId>, role: Role, text: String) -> MessageId {
        let id = self.messages.last().map_or(0, |last| last.id.saturating_add(1)).max(self.next);
        self.next = id.saturating_add(1);
        self.messages.push(Message {
            id,
            parent,
            role,
            text,
            thinking: String::new(),
            documents: Vec::new(),
            shown: None,
            finish: None,
            stats: None,
            mode: None,
            switches: Vec::new(),
            model: String::new(),
            note: String::new(),
        });
        self.show(id);
        id
    }

    /// The messages on screen, first to last.
    pub fn path(&self) -> Vec<&Message> {
        let mut path = Vec::new();
        let mut next = self.shown;
        // A damaged file may point in a circle: no path is longer than the list.
        while let Some(message) = next.and_then(|id| self.message(id)).filter(|_| path.len() < self.messages.len()) {
            path.push(message);
            next = message.shown;
        }
        path
    }

    /// How this answer begins to be read, where the answer before it was read in the other way.
    pub fn switched_before(&self, answer: &Message) -> Option<Mode> {
        let path = self.path_to(answer.parent?);
        let before = path.iter().rev().find_map(|message| message.last_mode())?;
        answer.mode.filter(|mode| *mode != before)
    }

    /// The messages up to this one, first to last.
    pub fn path_to(&self, id: MessageId) -> Vec<&Message> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some(message) = next.and_then(|id| self.message(id)).filter(|_| path.len() < self.messages.len()) {
            path.push(message);
            next = message.parent;
        }
        path.reverse();
        path
    }

    /// The last message on screen.
    pub fn leaf(&self) -> Option<MessageId> {
        self.path().last().map(|message| message.id)
    }

    /// Messages that stand in the same place, this one included.
    pub fn versions(&self, id: MessageId) -> Vec<MessageId> {
        let Some(message) = self.message(id) else { return Vec::new() };
        self.messages.iter().filter(|other| other.parent == message.parent).map(|other| other.id).collect()
    }

    /// Shows this message in its place.
    pub fn show(&mut self, id: MessageId) {
        let Some(parent) = self.message(id).map(|message| message.parent) else { return };
        self.set_shown(parent, Some(id));
    }

    /// Shows the version `step` places away, if there is one.
    pub fn show_version(&mut self, id: MessageId, step: isize) {
        let versions = self.versions(id);
        let wanted = versions.iter().position(|&other| other == id).and_then(|at| at.checked_add_signed(step));
        if let Some(&other) = wanted.and_then(|at| versions.get(at)) {
            self.show(other);
        }
    }

    /// Removes a message and all that follow it, and shows a neighbour in its place.
    pub fn remove(&mut self, id: MessageId) {
        self.take_out(id);
    }

    /// The same, and what was removed.
    pub(super) fn take_out(&mut self, id: MessageId) -> Option<Removed> {
        let parent = self.message(id)?.parent;
        let versions = self.versions(id);
        let at = versions.iter().position(|&other| other == id).unwrap_or(0);
        let neighbour = versions.get(at + 1).or_else(|| at.checked_sub(1).and_then(|before| versions.get(before)));
        self.set_shown(parent, neighbour.copied());
        let mut gone = vec![id];
        // Numbers ascend from parents to children, so one pass finds the whole branch.
        for message in &self.messages {
            if message.parent.is_some_and(|parent| gone.contains(&parent)) {
                gone.push(message.id);
            }
        }
        let (messages, kept) =
            std::mem::take(&mut self.messages).into_iter().partition(|message| gone.contains(&message.id));
        self.messages = kept;
        Some(Removed { messages })
    }

    /// Puts removed messages back into their places and shows them; what was said since stays beside them. False where
    /// the message that they followed is gone.
    pub(super) fn put_back(&mut self, removed: Removed) -> bool {
        let Some((first, parent)) = removed.messages.first().map(|first| (first.id, first.parent)) else {
            return false;
        };
        if parent.is_some_and(|parent| self.message(parent).is_none()) {
            return false;
        }
        self.messages.extend(removed.messages);
        self.mend();
        self.show(first);
        true
    }

    /// Documents in the context of the messages on screen, in their order, each once.
    pub fn documents(&self) -> Vec<DocumentId> {
        let mut documents = Vec::new();
        for &id in self.path().iter().flat_map(|message| &message.documents) {
            if !documents.contains(&id) {
                documents.push(id);
            }
        }
        documents
    }

    /// Names the chat after its first question, be it asked or only typed, unless the user named it.
    pub fn follow_title(&mut self) {
        if self.named {
            return;
        }
        let title = title_of(self.path().first().map_or(&self.unsent.text, |first| &first.text));
        self.title = title;
    }

    /// True while it holds nothing that anybody said, typed or named: then it has no file.
    pub fn is_blank(&self) -> bool {
        !self.named && self.messages.is_empty() && self.unsent.is_empty()
    }

    fn set_shown(&mut self, parent: Option<MessageId>, shown: Option<MessageId>) {
        match parent {
            None => self.shown = shown,
            Some(parent) => {
                if let Some(parent) = self.message_mut(parent) {
                    parent.shown = shown;
                }
            }
        }
    }
}

/// The first line of a text that has words, cut to the width of a list.
fn title_of(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or(NEW).trim();
    let mut title: String = line.chars().take(60).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    title
}
