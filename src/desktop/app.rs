//! The window itself: brings events and actions to the store, carries out its effects, and lets the views draw.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use egui::{Context, Event as InputEvent, Ui, ViewportCommand};

use super::engine::{EngineHandle, EngineLoop, Wake};
use super::export::{TraceExport, png};
use super::history::History;
use super::letters::Letters;
use super::log::Log;
use super::messages::{CacheForm, Command, ModelChoice, WeightForm};
use super::pdf::PdfReader;
use super::store::{Action, ChatId, ChatSettings, Dialog, Document, Effect, Given, Notice, Settings, Store};
use super::views::{Views, picture};
use super::workers::{self, Job, Reply, Writer};
use super::{commands, theme};
use crate::error::{Error, Result};
use crate::gpu::Faults;

/// Pasted text longer than this becomes a document.
const LONG_PASTE: usize = 2000;
/// Shortest time between two scrolls to the hottest passage.
const FOLLOW_EVERY: Duration = Duration::from_millis(700);

/// How to open the window.
#[derive(Clone)]
pub struct DesktopOptions {
    /// The engine's loop; it is run on its own thread, and again if it crashed.
    pub engine: EngineLoop,
    /// Where chats, documents and settings are kept.
    pub data_folder: PathBuf,
    /// The model to open; none opens the last one, or the built-in one at first.
    pub model: Option<ModelChoice>,
    /// A document that is one click away: name, text, a question about it.
    pub sample: Option<(String, String, String)>,
    /// Documents to attach at once.
    pub documents: Vec<PathBuf>,
    /// What reads PDF files; without it they are refused.
    pub pdf: Option<PdfReader>,
    /// The device, for this run.
    pub device: Option<String>,
    /// Tokens of context, for this run.
    pub context: Option<u32>,
    /// What weights of plain numbers become, for this run.
    pub weights: Option<WeightForm>,
    /// How the context is kept, for this run.
    pub cache: Option<CacheForm>,
    /// Changes what the chats of this run start with.
    pub chat: Option<ChatChange>,
    /// The chat to show again, where the window before was lost with its device.
    pub reopened: Option<ChatId>,
    /// Faults on purpose, for tests.
    pub faults: Faults,
}

/// What flags make of a chat's settings.
pub type ChatChange = Arc<dyn Fn(&mut ChatSettings) + Send + Sync>;

/// The state of the window and its threads.
pub struct App {
    store: Store,
    views: Views,
    engine: Option<EngineHandle>,
    options: DesktopOptions,
    wake: Wake,
    reply: Reply,
    replies: Receiver<Action>,
    history: History,
    writer: Option<Writer>,
    applied: Option<Settings>,
    followed: Instant,
    letters: Letters,
    log: Log,
}

impl App {
    /// Starts the threads; the window can be drawn at once.
    pub fn new(context: &Context, options: DesktopOptions) -> Result<Self> {
        theme::set_fonts(context);
        let waker = context.clone();
        let wake: Wake = Arc::new(move |after| waker.request_repaint_after(after));
        let (reply, replies) = Reply::new(Arc::clone(&wake));
        let history = History::open(options.data_folder.clone())?;
        let settings = history.read_settings();
        let given = Given {
            device: options.device.clone(),
            context: options.context,
            weights: options.weights,
            cache: options.cache,
            chat: options.chat.as_ref().map(|change| {
                let mut chat = settings.new_chat.clone();
                change(&mut chat);
                chat
            }),
            reopened: options.reopened,
        };
        let mut store = Store::new(settings, given, now());
        if let Some((name, text, question)) = &options.sample {
            store.sample = Some(Document::new(name.clone(), text));
            store.sample_question.clone_from(question);
        }
        let threads = |error: std::io::Error| Error::File {
            path: "history thread".into(),
            problem: format!("it cannot be started: {error}"),
            advice: "Close some programs and try again".into(),
        };
        let writer = Writer::spawn(history.clone(), reply.clone()).map_err(threads)?;
        let all = history.clone();
        reply.spawn("Reading chats", move |reply| reply.send(Action::HistoryRead(Box::new(all.read_all()))));
        // A window that is opened again has them on its chat.
        if !options.documents.is_empty() && options.reopened.is_none() {
            workers::read_files(&reply, options.documents.clone(), options.pdf.clone());
        }
        let mut app = Self {
            store,
            views: Views::default(),
            engine: None,
            wake,
            reply,
            replies,
            history,
            writer: Some(writer),
            applied: None,
            followed: Instant::now(),
            letters: Letters::default(),
            log: Log::default(),
            options,
        };
        app.start_engine();
        let choice = app.options.model.clone().or(app.store.settings.model.clone()).unwrap_or(ModelChoice::BuiltIn);
        app.act(Action::Load(choice));
        Ok(app)
    }

    /// True where the device that draws is to be lost with this frame.
    pub(super) fn loses_window(&self) -> bool {
        self.options.faults.lose_window()
    }

    /// The state, for tests and for the title of the window.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Does something as if the user had.
    pub fn act(&mut self, action: Action) {
        self.store.set_now(now());
        let effects = self.store.apply(action);
        effects.into_iter().for_each(|effect| self.carry_out(effect, None));
    }

    /// Ends the answer that is being written and waits until everything is on the disk.
    pub fn close(&mut self) {
        if self.writer.is_some() {
            self.act(Action::Stop);
        }
        // Its end writes what waits.
        self.writer = None;
    }

    /// Brings everything that came since the last frame into the store. Runs also while the window is hidden.
    pub fn logic(&mut self, context: &Context) {
        self.store.set_now(now());
        let replies: Vec<Action> = self.replies.try_iter().collect();
        let mut effects: Vec<Effect> = replies.into_iter().flat_map(|action| self.store.apply(action)).collect();
        let events: Vec<_> = self.engine.iter().flat_map(EngineHandle::drain).collect();
        for event in events {
            effects.extend(self.store.event(event));
        }
        self.follow_heat();
        if let Some(left) = self.store.expire_notices() {
            context.request_repaint_after(Duration::from_millis(left));
        }
        effects.into_iter().for_each(|effect| self.carry_out(effect, Some(context)));
        if self.applied.as_ref() != Some(&self.store.settings) {
            theme::apply(context, &self.store.settings);
            self.applied = Some(self.store.settings.clone());
        }
    }

    /// Draws one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        let begun = Instant::now();
        let context = ui.ctx().clone();
        let mut actions = self.input(&context);
        // Before the text fields, which know some of the same keys.
        actions.extend(commands::pressed(&context, &self.store));
        self.views.show(ui, &self.store, &mut actions);
        self.log.tell(&self.store, &self.views, context.pixels_per_point());
        self.letters.draw_some(&context, begun);
        if actions.is_empty() {
            return;
        }
        for action in actions {
            let effects = self.store.apply(action);
            effects.into_iter().for_each(|effect| self.carry_out(effect, Some(&context)));
        }
        // What was just done shows in the next frame.
        context.request_repaint();
    }

    /// Files that were dropped and long texts that were pasted.
    fn input(&mut self, context: &Context) -> Vec<Action> {
        let mut actions = Vec::new();
        let dropped: Vec<PathBuf> =
            context.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
        let is_model = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf");
        let (models, documents): (Vec<_>, Vec<_>) = dropped.into_iter().partition(is_model);
        if let Some(path) = models.into_iter().next() {
            actions.push(Action::Open(Dialog::Models));
            actions.push(Action::Plan(ModelChoice::Path(path)));
        }
        if !documents.is_empty() {
            actions.push(Action::ReadFiles(documents));
        }
        let composer = super::views::composer_id();
        let typed = context.input(|input| input.events.iter().any(|event| matches!(event, InputEvent::Text(_))));
        if typed && self.store.dialog.is_none() && context.memory(|memory| memory.focused().is_none()) {
            // What is typed anywhere is meant for the message.
            context.memory_mut(|memory| memory.request_focus(composer));
        }
        let composing = context.memory(|memory| memory.has_focus(composer));
        context.input_mut(|input| {
            input.events.retain(|event| match event {
                InputEvent::Paste(text) if composing && text.len() > LONG_PASTE => {
                    actions
                        .push(Action::DocumentRead(Document::new("Pasted text".into(), &text.replace("\r\n", "\n"))));
                    false
                }
                // File managers copy a file as its path.
                InputEvent::Paste(text) if composing && pasted_file(text).is_some() => {
                    actions.push(Action::ReadFiles(pasted_file(text).into_iter().collect()));
                    false
                }
                _ => true,
            });
        });
        actions
    }

    fn follow_heat(&mut self) {
        if self.followed.elapsed() < FOLLOW_EVERY {
            return;
        }
        if let Some(block) = self.store.block_to_follow() {
            self.followed = Instant::now();
            self.act(Action::ShowBlock(block));
        }
    }

    fn start_engine(&mut self) {
        match EngineHandle::spawn(Arc::clone(&self.wake), Arc::clone(&self.options.engine)) {
            Ok(engine) => {
                engine.send(Command::ListDevices);
                self.engine = Some(engine);
            }
            Err(error) => {
                let words = format!("{error}. Close some programs and start foveal again");
                self.store.apply(Action::Tell(Notice::Problem("The engine cannot start".into(), words)));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, context: Option<&Context>) {
        match effect {
            Effect::Send(command) => {
                if let Some(engine) = &self.engine {
                    engine.send(command);
                }
            }
            Effect::Stop(work) => {
                if let Some(engine) = &self.engine {
                    engine.stop(work);
                }
            }
            Effect::Respawn => self.start_engine(),
            Effect::SaveChat(id) => {
                if let Some(chat) = self.store.chat_by(id) {
                    self.write(Job::Chat(Box::new(chat.clone())));
                }
            }
            Effect::SaveTrace(chat, message) => {
                if let Some(reading) = self.store.reading_in(chat, message) {
                    self.write(Job::Trace(chat, Box::new(reading.without_steps())));
                }
            }
            Effect::ReadTraces(chat) => {
                let history = self.history.clone();
                let read = move |reply: &Reply| reply.send(Action::TracesRead(chat, history.read_traces(chat)));
                self.reply.spawn("Reading traces", read);
            }
            Effect::TrashChat(id) => {
                if let Some(chat) = self.store.trash.iter().find(|chat| chat.id == id) {
                    self.write(Job::Trash(Box::new(chat.clone())));
                }
            }
            Effect::RestoreChat(id) => {
                if let Some(chat) = self.store.chat_by(id) {
                    self.write(Job::Restore(Box::new(chat.clone())));
                }
            }
            Effect::EmptyTrash(chats) => self.write(Job::EmptyTrash(chats)),
            Effect::ForgetDocument(id) => self.write(Job::ForgetDocument(id)),
            Effect::SaveSettings => self.write(Job::Settings(Box::new(self.store.settings.clone()))),
            Effect::SaveDocument(id) => {
                if let Some(document) = self.store.documents.get(&id) {
                    self.write(Job::Document(document.clone()));
                }
            }
            Effect::Copy(text) => {
                if let Some(context) = context {
                    context.copy_text(text);
                }
            }
            Effect::PickModel { folder } => workers::pick_model(&self.reply, folder),
            Effect::PickDocuments => workers::pick_documents(&self.reply),
            Effect::ReadFiles(paths) => workers::read_files(&self.reply, paths, self.options.pdf.clone()),
            Effect::ExportText { name, text } => self.save(&name, move || Ok(text.into_bytes())),
            Effect::ExportTrace => {
                if let Some(export) = TraceExport::new(&self.store) {
                    let name = export.name.clone();
                    self.save(&name, move || {
                        export.to_json().map(String::into_bytes).map_err(|error| Error::Text {
                            what: "trace".into(),
                            problem: error.to_string(),
                            advice: "Please report it".into(),
                        })
                    });
                }
            }
            Effect::ExportPicture => {
                if let Some(context) = context {
                    let (reply, folder) = (self.reply.clone(), self.options.data_folder.clone());
                    context.request_screenshot(move |picture| {
                        workers::save(&reply, folder, "foveal.png", move || png(&picture))
                    });
                }
            }
            Effect::Quit => {
                if let Some(context) = context {
                    context.send_viewport_cmd(ViewportCommand::Close);
                }
            }
        }
    }

    fn save(&self, name: &str, content: impl FnOnce() -> Result<Vec<u8>> + Send + 'static) {
        workers::save(&self.reply, self.options.data_folder.clone(), name, content);
    }

    fn write(&self, job: Job) {
        if let Some(writer) = &self.writer {
            writer.send(job);
        }
    }

    /// The trace of the answer in focus as JSON, as "Export the trace" writes it.
    pub fn trace_json(&self) -> Option<String> {
        TraceExport::new(&self.store).and_then(|export| export.to_json().ok())
    }

    /// Votes and heat as the ribbon draws them, by block: for tests that compare the picture with the trace.
    pub fn drawn_votes(&self) -> &[f32] {
        &self.views.picture.shade.votes
    }

    /// Rows of the reader matrix and of the waterfall, over the whole context at this many columns.
    pub fn drawn_panels(&self, columns: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let Some(reading) = self.store.reading() else { return Default::default() };
        let view = 0..reading.blocks();
        let matrix = picture::reader_rows(reading, &self.store.span(reading), &view, columns);
        let tokens = 0..reading.written.len();
        (matrix, tokens.map(|token| picture::row_of(&picture::token_heats(reading, token), &view, columns)).collect())
    }
}

/// However the window ends.
impl Drop for App {
    fn drop(&mut self) {
        self.close();
    }
}

/// The file that a pasted line names.
fn pasted_file(text: &str) -> Option<PathBuf> {
    let line = text.trim();
    let path = PathBuf::from(line.strip_prefix("file://").unwrap_or(line));
    (!line.contains('\n') && path.is_absolute() && path.is_file()).then_some(path)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
