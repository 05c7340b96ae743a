//! Chats, documents and settings on disk.
//!
//! Below the data folder: `chats/ID.json`, `documents/ID.json`, `traces/CHAT-MESSAGE.json` for what was read for an
//! answer, `settings.json`, `trash/ID.json` for deleted chats and `damaged/` for files that could not be read: they are
//! moved there under their name, never deleted. Each file is one
//! JSON object `{"schema": 1, "kind": ..., "content": ...}`, written beside its place, flushed to the disk and renamed
//! over it, so that a crash leaves the old file or the new one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attention::Reading;
use super::messages::DocumentId;
use super::store::chat::ChatId;
use super::store::{Chat, Document, HistoryRead, Settings};
use crate::error::{Error, Result};

/// Version of the files; a higher one comes from a later program and is left alone.
const SCHEMA: u32 = 1;
/// Larger files are not ours.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    schema: u32,
    kind: String,
    content: T,
}

/// The head of a file, whatever its content is.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

/// The folder that holds everything.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

impl History {
    /// Uses this folder and makes its parts.
    pub fn open(folder: PathBuf) -> Result<Self> {
        let history = Self { folder };
        for part in ["chats", "documents", "traces", "trash", "damaged"] {
            let path = history.folder.join(part);
            fs::create_dir_all(&path)
                .map_err(|error| Error::not_written(&path, &error, "Make the folder writable, chats are kept there"))?;
        }
        Ok(history)
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads all that is there. Files that cannot be read are moved aside and named.
    pub fn read_all(&self) -> HistoryRead {
        let mut read = HistoryRead::default();
        read.chats = self.read_folder("chats", "chat", &mut read.damaged);
        read.trash = self.read_folder("trash", "chat", &mut read.damaged);
        read.chats.iter_mut().chain(&mut read.trash).for_each(Chat::mend);
        read.documents = self.read_folder("documents", "document", &mut read.damaged);
        read
    }

    /// Reads the settings; the usual ones when there are none. A damaged file is moved aside.
    pub fn read_settings(&self) -> Settings {
        let path = self.folder.join("settings.json");
        let mut settings: Settings = match path.exists().then(|| read_file(&path, "settings")) {
            Some(Ok(settings)) => settings,
            Some(Err(_)) => {
                self.set_aside(&path);
                Settings::default()
            }
            None => Settings::default(),
        };
        settings.bound();
        settings
    }

    /// Writes a chat. One that holds nothing has no file.
    pub fn write_chat(&self, chat: &Chat) -> Result<()> {
        let path = self.chat_path("chats", chat.id);
        if chat.is_blank() { remove(&path) } else { write_file(&path, "chat", chat) }
    }

    /// Writes a document, unless it is there: its name is a digest of its text.
    pub fn write_document(&self, document: &Document) -> Result<()> {
        let path = self.document_path(document.id);
        if path.exists() { Ok(()) } else { write_file(&path, "document", document) }
    }

    /// Writes the settings.
    pub fn write_settings(&self, settings: &Settings) -> Result<()> {
        write_file(&self.folder.join("settings.json"), "settings", settings)
    }

    /// Moves a chat to the trash; a chat that was never written is written there.
    pub fn trash_chat(&self, chat: &Chat) -> Result<()> {
        write_file(&self.chat_path("trash", chat.id), "chat", chat)?;
        remove(&self.chat_path("chats", chat.id))
    }

    /// Brings a chat back from the trash.
    pub fn restore_chat(&self, chat: &Chat) -> Result<()> {
        self.write_chat(chat)?;
        remove(&self.chat_path("trash", chat.id))
    }

    /// Deletes chats in the trash for good, with what was read in them.
    pub fn empty_trash(&self, chats: &[ChatId]) -> Result<()> {
        chats.iter().try_for_each(|id| {
            self.traces_of(*id).iter().try_for_each(|path| remove(path))?;
            remove(&self.chat_path("trash", *id))
        })
    }

    /// Writes what was read for an answer, without its single steps.
    pub fn write_trace(&self, chat: ChatId, reading: &Reading) -> Result<()> {
        let name = format!("{chat}-{}.json", reading.message);
        write_file(&self.folder.join("traces").join(name), "trace", reading)
    }

    /// What was read for the answers of a chat, by the numbers of their messages. Damaged files are moved aside: answers
    /// do without.
    pub fn read_traces(&self, chat: ChatId) -> Vec<Reading> {
        let mut readings = Vec::new();
        for path in self.traces_of(chat) {
            match read_file::<Reading>(&path, "trace").map(Reading::restored) {
                Ok(Some(reading)) => readings.push(reading),
                Ok(None) | Err(Unreadable::Damaged(_)) => {
                    tracing::warn!(?path, "what was read for an answer cannot be read");
                    self.set_aside(&path);
                }
                Err(Unreadable::Later(_)) => {}
            }
        }
        readings.sort_by_key(|reading| reading.message);
        readings
    }

    fn traces_of(&self, chat: ChatId) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.folder.join("traces")) else { return Vec::new() };
        let own = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.ends_with(".json") && name.strip_prefix(&format!("{chat}-")).is_some()
        };
        entries.flatten().map(|entry| entry.path()).filter(own).collect()
    }

    /// Deletes a document.
    pub fn forget_document(&self, id: DocumentId) -> Result<()> {
        remove(&self.document_path(id))
    }

    fn document_path(&self, id: DocumentId) -> PathBuf {
        self.folder.join("documents").join(format!("{id:016x}.json"))
    }

    fn chat_path(&self, part: &str, id: ChatId) -> PathBuf {
        self.folder.join(part).join(format!("{id}.json"))
    }

    fn read_folder<T: DeserializeOwned>(&self, part: &str, kind: &str, damaged: &mut Vec<(PathBuf, String)>) -> Vec<T> {
        let Ok(entries) = fs::read_dir(self.folder.join(part)) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut contents = Vec::new();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
            match read_file(&path, kind) {
                Ok(content) => contents.push(content),
                Err(Unreadable::Later(reason)) => damaged.push((path, reason)),
                Err(Unreadable::Damaged(reason)) => damaged.push((self.set_aside(&path).unwrap_or(path), reason)),
            }
        }
        contents
    }

    /// Moves a damaged file into its folder under a free name, and returns where it is now.
    fn set_aside(&self, path: &Path) -> Option<PathBuf> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let folder = self.folder.join("damaged");
        let free = (0..1000)
            .map(|number| if number == 0 { name.clone() } else { format!("{number}-{name}") })
            .map(|name| folder.join(name))
            .find(|path| !path.exists())?;
        fs::rename(path, &free).ok().map(|()| free)
    }
}

enum Unreadable {
    /// From a later version of the program: not to be touched.
    Later(String),
    /// Not what it should be.
    Damaged(String),
}

fn read_file<T: DeserializeOwned>(path: &Path, kind: &str) -> std::result::Result<T, Unreadable> {
    let damaged = |reason: String| Unreadable::Damaged(reason);
    let length = fs::metadata(path).map_err(|error| damaged(error.to_string()))?.len();
    if length > MOST_BYTES {
        return Err(damaged(format!("{} MiB, more than a chat can have; kept aside", length >> 20)));
    }
    let text = fs::read_to_string(path).map_err(|error| damaged(format!("{error}; kept aside")))?;
    let head: Head = serde_json::from_str(&text).map_err(|error| damaged(format!("{error}; kept aside")))?;
    if head.schema > SCHEMA {
        return Err(Unreadable::Later(format!("written by a later version of foveal (schema {})", head.schema)));
    }
    let envelope: Envelope<T> = serde_json::from_str(&text).map_err(|error| damaged(format!("{error}; kept aside")))?;
    if envelope.kind != kind {
        return Err(damaged(format!("expected a {kind}, found a {}; kept aside", envelope.kind)));
    }
    Ok(envelope.content)
}

fn write_file<T: Serialize>(path: &Path, kind: &str, content: &T) -> Result<()> {
    let advice = "Nothing is lost while the window is open; free some space or make the folder writable";
    let failed = |error: std::io::Error| Error::not_written(path, &error, advice);
    let envelope = Envelope { schema: SCHEMA, kind: kind.into(), content };
    let text = serde_json::to_vec(&envelope).map_err(|error| failed(error.into()))?;
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    drop(file);
    fs::rename(&beside, path).map_err(failed)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::not_written(path, &error, "Make the folder writable"))
        }
        _ => Ok(()),
    }
}
