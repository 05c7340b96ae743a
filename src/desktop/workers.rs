//! Work beside the drawing: reading files, dialogs of the desktop, writing chats. Each result comes back as an action.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rfd::FileHandle;

use super::attention::Reading;
use super::engine::Wake;
use super::history::History;
use super::messages::{DocumentId, ModelChoice};
use super::pdf::PdfReader;
use super::store::{Action, Chat, ChatId, Document, Notice, Settings};
use crate::error::{Error, Result};

/// Largest document file.
pub(super) const MOST_BYTES: u64 = 32 << 20;
/// Time in which changes of a chat are gathered before it is written.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Nobody closes a dialog faster than this.
const NO_DIALOG: Duration = Duration::from_millis(300);

/// Something to write.
pub(crate) enum Job {
    Chat(Box<Chat>),
    Trash(Box<Chat>),
    Restore(Box<Chat>),
    EmptyTrash(Vec<ChatId>),
    Trace(ChatId, Box<Reading>),
    Document(Document),
    ForgetDocument(DocumentId),
    Settings(Box<Settings>),
    End,
}

/// Sends results to the window and wakes it.
#[derive(Clone)]
pub(crate) struct Reply {
    actions: Sender<Action>,
    wake: Wake,
}

impl Reply {
    pub(crate) fn new(wake: Wake) -> (Self, Receiver<Action>) {
        let (actions, receiver) = channel();
        (Self { actions, wake }, receiver)
    }

    pub(crate) fn send(&self, action: Action) {
        if self.actions.send(action).is_ok() {
            (self.wake)(Duration::ZERO);
        }
    }

    /// Runs work on its own thread; a panic in it becomes a notice.
    pub(crate) fn spawn(&self, name: &str, work: impl FnOnce(&Self) + Send + 'static) {
        let reply = self.clone();
        let title = format!("{name} failed");
        let started = std::thread::Builder::new().name(name.into()).spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&reply)));
            if result.is_err() {
                let words = "the file is damaged in a way that cannot be read";
                reply.send(Action::Tell(Notice::Problem(title, words.into())));
            }
        });
        if let Err(error) = started {
            self.send(Action::Tell(Notice::Problem(format!("{name} failed"), error.to_string())));
        }
    }
}

/// The thread that writes chats.
pub(crate) struct Writer {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn spawn(history: History, reply: Reply) -> std::io::Result<Self> {
        let (jobs, receiver) = channel();
        let thread =
            std::thread::Builder::new().name("history".into()).spawn(move || write_all(&history, &receiver, &reply))?;
        Ok(Self { jobs, thread: Some(thread) })
    }

    pub(crate) fn send(&self, job: Job) {
        // The thread ends only with the window.
        let _ = self.jobs.send(job);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.send(Job::End);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own message.
            let _ = thread.join();
        }
    }
}

fn write_all(history: &History, jobs: &Receiver<Job>, reply: &Reply) {
    let mut waiting: BTreeMap<ChatId, (Instant, Box<Chat>)> = BTreeMap::new();
    let tell = |result: Result<()>| {
        if let Err(error) = result {
            reply.send(Action::Tell(Notice::Problem("Not saved".into(), error.to_string())));
        }
    };
    loop {
        let due = waiting.values().map(|(since, _)| *since + DEBOUNCE).min();
        let wait = due.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()));
        match jobs.recv_timeout(wait) {
            Ok(Job::Chat(chat)) => {
                let since = waiting.get(&chat.id).map_or_else(Instant::now, |(since, _)| *since);
                waiting.insert(chat.id, (since, chat));
            }
            Ok(Job::Trash(chat)) => {
                waiting.remove(&chat.id);
                tell(history.trash_chat(&chat));
            }
            Ok(Job::Restore(chat)) => tell(history.restore_chat(&chat)),
            Ok(Job::EmptyTrash(chats)) => tell(history.empty_trash(&chats)),
            Ok(Job::Trace(chat, reading)) => tell(history.write_trace(chat, &reading)),
            Ok(Job::ForgetDocument(id)) => tell(history.forget_document(id)),
            Ok(Job::Document(document)) => tell(history.write_document(&document)),
            Ok(Job::Settings(settings)) => tell(history.write_settings(&settings)),
            Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => {
                waiting.into_values().for_each(|(_, chat)| tell(history.write_chat(&chat)));
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        waiting.retain(|_, (since, chat)| {
            let keep = since.elapsed() < DEBOUNCE;
            if !keep {
                tell(history.write_chat(chat));
            }
            keep
        });
    }
}

/// Reads files as documents, one after the other.
pub(crate) fn read_files(reply: &Reply, paths: Vec<PathBuf>, pdf: Option<PdfReader>) {
    reply.spawn("Reading a document", move |reply| {
        for path in paths {
            match read_document(&path, pdf.as_ref()) {
                Ok(document) => reply.send(Action::DocumentRead(document)),
                Err(error) => {
                    reply.send(Action::Tell(Notice::Problem("The document cannot be read".into(), error.to_string())));
                }
            }
        }
    });
}

/// Reads text, Markdown, source code, or the text of a PDF where there is something to read it with.
pub fn read_document(path: &Path, pdf: Option<&PdfReader>) -> Result<Document> {
    let name = path.file_name().map_or_else(|| "document".into(), |name| name.to_string_lossy().into_owned());
    let refused = |problem: String, advice: &str| Error::File { path: path.to_owned(), problem, advice: advice.into() };
    let data = std::fs::metadata(path).map_err(|error| Error::io(path, &error, "Check the path"))?;
    if data.is_dir() {
        return Err(refused("it is a folder".into(), "Choose the files inside it"));
    }
    if data.len() > MOST_BYTES {
        let problem = format!("it has {} MB, the limit is {} MB", data.len() >> 20, MOST_BYTES >> 20);
        return Err(refused(problem, "Split it, or save the part you need as text"));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error, "Check the rights of the file"))?;
    let text = if bytes.starts_with(b"%PDF") {
        drop(bytes);
        let pdf = pdf.ok_or_else(|| refused("PDF files are not read here".into(), "Save it as text first"))?;
        pdf.read(path)?
    } else {
        decode(&bytes).ok_or_else(|| {
            refused("it is not text".into(), "Attach text, Markdown, source code, or a PDF that holds text")
        })?
    };
    let text = text.replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err(refused("it holds no text".into(), "A scanned PDF needs text recognition first"));
    }
    Ok(Document::new(name, &text))
}

/// UTF-8, UTF-16 with its mark, or the Western European encoding of older files. Zero bytes and other marks for machines
/// mean that it is no text.
fn decode(bytes: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(read).collect::<Vec<_>>();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => {
            if bytes.iter().any(|&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)) {
                return None;
            }
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            Some(text.unwrap_or_else(|_| bytes.iter().map(|&byte| western(byte)).collect()))
        }
    }
}

/// A letter of Windows-1252, which is Latin-1 with letters in place of 32 marks for machines.
fn western(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    usize::from(byte).checked_sub(0x80).and_then(|at| UPPER.get(at)).copied().unwrap_or(char::from(byte))
}

/// Asks for documents.
pub(crate) fn pick_documents(reply: &Reply) {
    let dialog = rfd::AsyncFileDialog::new().set_title("Attach documents").pick_files();
    ask(reply, dialog, |files| Action::ReadFiles(files.iter().map(|file| file.path().to_owned()).collect()));
}

/// Asks for a model.
pub(crate) fn pick_model(reply: &Reply, folder: bool) {
    let dialog = rfd::AsyncFileDialog::new().set_title("Open a model");
    let plan = |file: FileHandle| Action::Plan(ModelChoice::Path(file.path().to_owned()));
    if folder {
        ask(reply, dialog.pick_folder(), plan);
    } else {
        ask(reply, dialog.add_filter("GGUF", &["gguf"]).pick_file(), plan);
    }
}

/// Waits for a dialog on its own thread. Where the desktop has none the answer comes at once, and other ways are named.
fn ask<T>(
    reply: &Reply,
    dialog: impl Future<Output = Option<T>> + Send + 'static,
    action: impl FnOnce(T) -> Action + Send + 'static,
) {
    reply.spawn("Choosing a file", move |reply| {
        let asked = Instant::now();
        match pollster::block_on(dialog) {
            Some(chosen) => reply.send(action(chosen)),
            None if asked.elapsed() < NO_DIALOG => {
                let words = "This desktop offers no file dialog. Drop the file on the window, or paste its path into the \
                             message field (documents) or the model list (models).";
                reply.send(Action::Tell(Notice::Problem("No file dialog".into(), words.into())));
            }
            None => {}
        }
    });
}

/// Makes the content and writes it under a free name in the downloads folder, or in `otherwise` where there is none. No
/// dialog is asked: desktops without a portal have none, and the note says where the file is.
pub(crate) fn save(
    reply: &Reply,
    otherwise: PathBuf,
    name: &str,
    content: impl FnOnce() -> Result<Vec<u8>> + Send + 'static,
) {
    let name = name.to_owned();
    reply.spawn("Saving", move |reply| {
        let downloads = directories::UserDirs::new().and_then(|user| user.download_dir().map(Path::to_owned));
        let folder = downloads.filter(|folder| folder.is_dir()).unwrap_or(otherwise);
        let path = free_path(&folder, &name);
        let written = content().and_then(|bytes| {
            std::fs::write(&path, bytes).map_err(|error| Error::not_written(&path, &error, "Make the folder writable"))
        });
        reply.send(Action::Tell(match written {
            Ok(()) => Notice::Done(format!("Saved {}", path.display())),
            Err(error) => Notice::Problem("Not saved".into(), error.to_string()),
        }));
    });
}

/// `name` in the folder, with a number before its endings when it is taken.
fn free_path(folder: &Path, name: &str) -> PathBuf {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    (0..10_000)
        .map(|number| match number {
            0 => folder.join(name),
            _ => folder.join(format!("{stem} {number}.{ending}")),
        })
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join(name))
}
