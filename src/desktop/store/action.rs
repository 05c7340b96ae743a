//! Everything a user, a helper thread or a shortcut can do to the store, and everything the store asks of the outside.

use std::ops::Range;
use std::path::PathBuf;

use super::chat::{Chat, ChatId};
use super::library::Document;
use super::settings::{ChatSettings, Settings};
use crate::desktop::attention::{ReaderFilter, Reading};
use crate::desktop::messages::{
    CacheForm, Command, DocumentId, EngineError, MessageId, ModelChoice, Pin, WeightForm, WorkId,
};

/// A window over the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialog {
    /// Settings of the program and of this chat.
    Settings,
    /// The same, opened where device and context are chosen.
    DeviceSettings,
    /// Which model to open.
    Models,
    /// Every command by name.
    Palette,
    /// Deleted chats.
    Trash,
    /// Keyboard shortcuts.
    Shortcuts,
}

/// A part of the window that can be folded away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The list of chats.
    Sidebar,
    /// The documents.
    Documents,
    /// Reader matrix, waterfall and table.
    Details,
}

/// Something to tell the user, until dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The engine failed.
    Failure(EngineError),
    /// A file could not be read or written; title and reason.
    Problem(String, String),
    /// Something was done that can be taken back.
    Undo(String),
    /// Something was done.
    Done(String),
}

impl Notice {
    /// Title of the card of a lost device, while it is replaced.
    pub const DEVICE_LOST: &str = "The graphics device was lost";
    /// Title of the card of a window that was lost with its device.
    pub const REOPENED: &str = "The window was opened again";

    /// Whether it is the card with this title.
    pub fn is_of(&self, title: &str) -> bool {
        matches!(self, Self::Problem(own, _) if own == title)
    }
}

/// A notice, and since when it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// What it says.
    pub notice: Notice,
    /// Milliseconds since 1970.
    pub since: u64,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum Action {
    /// Start an empty chat.
    NewChat,
    /// Show a chat.
    SelectChat(ChatId),
    /// Name a chat.
    RenameChat(ChatId, String),
    /// Begin or end typing a name.
    Renaming(Option<ChatId>),
    /// Move a chat to the trash.
    TrashChat(ChatId),
    /// Bring a chat back.
    RestoreChat(ChatId),
    /// Delete the chats in the trash for good.
    EmptyTrash,
    /// Take a document that no chat needs out of the library.
    ForgetDocument(DocumentId),
    /// Go to the field for that.
    SearchChats,
    /// Look for this text in chats.
    Search(String),
    /// The draft changed.
    Draft(String),
    /// Put a document of the library on the draft.
    Attach(DocumentId),
    /// Put the sample document on the draft.
    AttachSample,
    /// Take a document off the draft.
    Detach(DocumentId),
    /// Send the draft.
    Send,
    /// End the answer that is being written.
    Stop,
    /// Write another answer in the place of this one.
    Regenerate(MessageId),
    /// Begin to change a question.
    EditStart(MessageId),
    /// The changed text.
    EditText(String),
    /// Leave it as it was.
    EditCancel,
    /// Send the changed question as a branch.
    EditSend,
    /// Show another version of a message.
    ShowVersion(MessageId, isize),
    /// Delete a message and what follows it.
    Delete(MessageId),
    /// Take back the last deletion.
    Undo,
    /// Copy a text.
    Copy(String),
    /// Answer a question dense, then sparse.
    Compare(MessageId),
    /// Leave the comparison.
    CompareClose,
    /// Settings of the current chat.
    ChatSettings(Box<ChatSettings>),
    /// Settings of the program.
    Settings(Box<Settings>),
    /// Open a model.
    Load(ModelChoice),
    /// Open the current model again.
    Reload,
    /// Look what a model would need.
    Plan(ModelChoice),
    /// The same, with the picker open.
    Consider(ModelChoice),
    /// What weights of plain numbers become, and how the context is kept, from the next load on.
    Forms(WeightForm, CacheForm),
    /// Ask for a model folder.
    PickModelFolder,
    /// Ask for a model file.
    PickModelFile,
    /// Ask for documents.
    PickDocuments,
    /// Read these files as documents.
    ReadFiles(Vec<PathBuf>),
    /// A document was read: attach it.
    DocumentRead(Document),
    /// Show a document in its pane.
    OpenDocument(DocumentId),
    /// Show what was read for this answer.
    FocusAnswer(MessageId),
    /// Tokens of the answer to look at.
    FocusTokens(Option<Range<usize>>),
    /// A block to look at.
    FocusBlock(Option<u32>),
    /// A passage of a document: its block, and the document scrolled to it.
    FocusPassage(DocumentId, Range<u32>),
    /// Scroll the document to a block's text.
    ShowBlock(u32),
    /// Both: its card, and the document scrolled to it.
    OpenBlock(u32),
    /// Leave the document where it is while the answer is written, or follow again.
    HoldDocument(bool),
    /// Readers that count.
    Filter(ReaderFilter),
    /// Blocks that the panels show; none shows all.
    Zoom(Option<Range<u32>>),
    /// Replay: the token that is last.
    Scrub(usize),
    /// Hold a passage in or out.
    AddPin(Pin),
    /// Let it go.
    RemovePin(Pin),
    /// Let all go.
    RemovePins,
    /// Hold this passage in or out, or no longer, and answer again.
    WhatIf(Pin),
    /// Fold or unfold.
    Toggle(Pane),
    /// Open a dialog.
    Open(Dialog),
    /// Close it.
    Close,
    /// Dismiss a notice.
    Dismiss(usize),
    /// Tell the user something.
    Tell(Notice),
    /// Write the trace of the current answer as JSON.
    ExportTrace,
    /// Write the picture of the window as PNG.
    ExportPicture,
    /// Write the chat as Markdown.
    ExportChat,
    /// Chats, documents and trash were read from disk.
    HistoryRead(Box<HistoryRead>),
    /// What was read for the answers of a chat was read from disk.
    TracesRead(ChatId, Vec<Reading>),
    /// Close the window.
    Quit,
}

/// What was found on disk.
#[derive(Debug, Clone, Default)]
pub struct HistoryRead {
    /// Chats.
    pub chats: Vec<Chat>,
    /// Chats in the trash.
    pub trash: Vec<Chat>,
    /// Documents.
    pub documents: Vec<Document>,
    /// Files that could not be read, where they are kept, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// What the store asks of the outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell the engine.
    Send(Command),
    /// Stop work now.
    Stop(WorkId),
    /// Start a new engine thread in place of one that crashed.
    Respawn,
    /// Write a chat.
    SaveChat(ChatId),
    /// Write what was read for an answer.
    SaveTrace(ChatId, MessageId),
    /// Look for what was read for the answers of a chat.
    ReadTraces(ChatId),
    /// Move a chat's file to the trash.
    TrashChat(ChatId),
    /// Move it back.
    RestoreChat(ChatId),
    /// Delete the files of these chats in the trash.
    EmptyTrash(Vec<ChatId>),
    /// Delete the file of a document.
    ForgetDocument(DocumentId),
    /// Write the settings.
    SaveSettings,
    /// Write a document.
    SaveDocument(DocumentId),
    /// Put a text on the clipboard.
    Copy(String),
    /// Ask for a model.
    PickModel {
        /// A folder, not a file.
        folder: bool,
    },
    /// Ask for documents.
    PickDocuments,
    /// Read files as documents.
    ReadFiles(Vec<PathBuf>),
    /// Ask where to write this text, and write it.
    ExportText {
        /// Proposed file name.
        name: String,
        /// Content.
        text: String,
    },
    /// Write the trace of the focused answer as JSON.
    ExportTrace,
    /// Take a picture of the window and ask where to write it.
    ExportPicture,
    /// Close the window.
    Quit,
}
