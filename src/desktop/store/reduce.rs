//! What each action does to the state.

use super::{Action, Dialog, Effect, Focus, HistoryRead, ModelState, Notice, Pane, PlanState, Store};
use crate::desktop::messages::{Command, DocumentId, LoadOptions, LoadStage, ModelChoice};

/// Damaged files that a card names.
const NAMED: usize = 4;

impl Store {
    /// Applies one action.
    pub fn apply(&mut self, action: Action) -> Vec<Effect> {
        let mut effects = self.reduce(action);
        let save = Effect::SaveChat(self.current);
        if self.keep_unsent() && !effects.contains(&save) {
            effects.insert(0, save);
        }
        if self.untraced.remove(&self.current) {
            effects.push(Effect::ReadTraces(self.current));
        }
        effects
    }

    fn reduce(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::NewChat => {
                self.new_chat();
                self.write_wish += 1;
            }
            Action::SelectChat(id) => self.select_chat(id),
            Action::RenameChat(id, title) => {
                self.renaming = None;
                if let Some(chat) = self.chat_mut(id).filter(|_| !title.trim().is_empty()) {
                    chat.title = title.trim().to_owned();
                    chat.named = true;
                    return vec![Effect::SaveChat(id)];
                }
            }
            Action::Renaming(chat) => {
                self.renaming = chat;
                self.settings.show_sidebar |= chat.is_some();
            }
            Action::TrashChat(id) => return self.trash_chat(id),
            Action::RestoreChat(id) => return self.restore_chat(id),
            Action::EmptyTrash => {
                let gone: Vec<_> = std::mem::take(&mut self.trash).into_iter().map(|chat| chat.id).collect();
                self.readings.retain(|(chat, _)| !gone.contains(chat));
                return vec![Effect::EmptyTrash(gone)];
            }
            Action::ForgetDocument(id) => return self.forget_document(id),
            Action::SearchChats => {
                self.settings.show_sidebar = true;
                self.search_wish += 1;
            }
            Action::Search(text) => self.search = text,
            Action::Draft(text) => {
                self.draft.text = text;
                return self.count_draft().into_iter().collect();
            }
            Action::Attach(id) => return self.attach(id),
            Action::AttachSample => {
                if let Some(sample) = self.sample.clone() {
                    if self.draft.text.is_empty() {
                        self.draft.text.clone_from(&self.sample_question);
                    }
                    return self.apply(Action::DocumentRead(sample));
                }
            }
            Action::Detach(id) => self.draft.documents.retain(|&other| other != id),
            Action::Send => return self.send(),
            Action::Stop => return self.stop(),
            Action::Regenerate(answer) => return self.regenerate(answer),
            Action::EditStart(id) => {
                let text = self.chat().and_then(|chat| chat.message(id)).map(|message| message.text.clone());
                self.editing = text.map(|text| (id, text));
            }
            Action::EditText(text) => {
                if let Some((_, current)) = &mut self.editing {
                    *current = text;
                }
            }
            Action::EditCancel => self.editing = None,
            Action::EditSend => return self.edit_send(),
            Action::ShowVersion(id, step) => {
                let current = self.current;
                if let Some(chat) = self.chat_mut(current) {
                    chat.show_version(id, step);
                    self.focus = Focus { filter: self.focus.filter.clone(), ..Focus::default() };
                    return vec![Effect::SaveChat(current)];
                }
            }
            Action::Delete(id) => return self.delete(id),
            Action::Undo => return self.undo(),
            Action::Copy(text) => return vec![Effect::Copy(text)],
            Action::Compare(question) => return self.compare(question),
            Action::CompareClose => self.compare = None,
            Action::ChatSettings(settings) => {
                let current = self.current;
                if let Some(chat) = self.chat_mut(current) {
                    chat.settings = *settings;
                    return vec![Effect::SaveChat(current)];
                }
            }
            Action::Settings(settings) => return self.change_settings(*settings),
            Action::Load(choice) => return self.load(choice),
            Action::Reload => return self.reload(),
            Action::Consider(choice) => {
                let mut effects = self.open(Dialog::Models);
                effects.extend(self.reduce(Action::Plan(choice)));
                return effects;
            }
            Action::Plan(choice) => {
                self.plan = PlanState::Waiting(choice.clone());
                return vec![Effect::Send(Command::Plan(choice, self.load_options()))];
            }
            Action::Forms(weights, cache) => {
                (self.settings.weights, self.settings.cache) = (weights, cache);
                (self.given.weights, self.given.cache) = (None, None);
                return vec![Effect::SaveSettings];
            }
            Action::PickModelFolder => return vec![Effect::PickModel { folder: true }],
            Action::PickModelFile => return vec![Effect::PickModel { folder: false }],
            Action::PickDocuments => return vec![Effect::PickDocuments],
            Action::ReadFiles(paths) => {
                self.files_pending += paths.len();
                return vec![Effect::ReadFiles(paths)];
            }
            Action::DocumentRead(document) => {
                let id = document.id;
                self.files_pending = self.files_pending.saturating_sub(1);
                self.documents.insert(id, document);
                self.write_wish += 1;
                let mut effects = vec![Effect::SaveDocument(id)];
                effects.extend(self.attach(id));
                return effects;
            }
            Action::OpenDocument(id) => self.open_document = Some(id),
            Action::FocusAnswer(id) => self.focus_answer(id),
            Action::FocusTokens(tokens) => {
                let chosen = tokens.is_some();
                self.focus.tokens = tokens;
                self.focus.scrub = None;
                if chosen {
                    self.show_hottest();
                }
            }
            Action::FocusBlock(block) => self.focus.block = block,
            Action::FocusPassage(document, bytes) => self.focus_passage(document, bytes),
            Action::ShowBlock(block) => self.show_block(block),
            Action::OpenBlock(block) => {
                self.focus.block = Some(block);
                self.show_block(block);
            }
            Action::HoldDocument(hold) => self.focus.hold_document = hold,
            Action::Filter(filter) => self.focus.filter = filter,
            Action::Zoom(zoom) => self.focus.zoom = zoom.filter(|blocks| !blocks.is_empty()),
            Action::Scrub(token) => {
                self.focus.scrub = Some(token);
                self.focus.tokens = None;
            }
            Action::AddPin(pin) => {
                return self.change_pins(|pins| {
                    // One rule for a passage: the new one.
                    pins.retain(|other| (other.document, &other.bytes) != (pin.document, &pin.bytes));
                    pins.push(pin);
                });
            }
            Action::RemovePins => return self.change_pins(Vec::clear),
            Action::WhatIf(pin) => {
                let held = self.chat().is_some_and(|chat| chat.pins.contains(&pin));
                let mut effects = self.reduce(if held { Action::RemovePin(pin) } else { Action::AddPin(pin) });
                if let Some(answer) = self.reading().map(|reading| reading.message) {
                    effects.extend(self.regenerate(answer));
                }
                return effects;
            }
            Action::RemovePin(pin) => return self.change_pins(|pins| pins.retain(|other| *other != pin)),
            Action::Toggle(pane) => {
                let shown = match pane {
                    Pane::Sidebar => &mut self.settings.show_sidebar,
                    Pane::Documents => &mut self.settings.show_documents,
                    Pane::Details => &mut self.settings.show_details,
                };
                *shown = !*shown;
                return vec![Effect::SaveSettings];
            }
            Action::Open(dialog) => return self.open(dialog),
            Action::Close => self.close(),
            Action::Dismiss(at) => {
                if at < self.notices.len() {
                    self.notices.remove(at);
                }
            }
            Action::Tell(notice) => {
                if matches!(notice, Notice::Problem(..)) {
                    self.files_pending = 0;
                }
                self.tell(notice);
            }
            Action::ExportTrace => return vec![Effect::ExportTrace],
            Action::ExportPicture => return vec![Effect::ExportPicture],
            Action::ExportChat => return self.export_chat(),
            Action::TracesRead(chat, readings) => self.traces_read(chat, readings),
            Action::HistoryRead(read) => self.history_read(*read),
            Action::Quit => return vec![Effect::Quit],
        }
        Vec::new()
    }

    fn attach(&mut self, id: DocumentId) -> Vec<Effect> {
        let already = self.chat().is_some_and(|chat| chat.documents().contains(&id));
        if !already && !self.draft.documents.contains(&id) {
            self.draft.documents.push(id);
        }
        self.open_document = Some(id);
        self.settings.show_documents = true;
        self.count_document(id).into_iter().collect()
    }

    /// Chats that have a document in any of their branches, in a draft or in the trash.
    pub fn chats_with(&self, id: DocumentId) -> usize {
        let said = |chat: &&super::Chat| {
            let said = chat.messages.iter().flat_map(|message| &message.documents);
            said.chain(&chat.unsent.documents).any(|other| *other == id)
        };
        self.chats.iter().chain(&self.trash).filter(said).count()
    }

    fn forget_document(&mut self, id: DocumentId) -> Vec<Effect> {
        if self.chats_with(id) > 0 || self.documents.remove(&id).is_none() {
            return Vec::new();
        }
        self.document_tokens.remove(&id);
        self.open_document = self.open_document.filter(|open| *open != id);
        vec![Effect::ForgetDocument(id)]
    }

    /// How a model would be opened now.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            device: self.given.device.clone().or_else(|| self.settings.device.clone()),
            context: self.given.context.or(self.settings.context),
            weights: self.given.weights.unwrap_or(self.settings.weights),
            cache: self.given.cache.unwrap_or(self.settings.cache),
            responsive: self.settings.responsive,
        }
    }

    fn load(&mut self, choice: ModelChoice) -> Vec<Effect> {
        let mut effects = self.stop();
        if let ModelState::Loading(_, running, ..) = self.model {
            effects.push(Effect::Stop(running));
        }
        let load = self.new_work();
        self.model = ModelState::Loading(choice.clone(), load, LoadStage::Reading, 0, 0);
        self.dialog = None;
        self.plan = PlanState::None;
        self.notices.retain(|posted| !matches!(posted.notice, Notice::Failure(_)));
        effects.push(Effect::Send(Command::Load(load, choice, self.load_options())));
        effects
    }

    fn reload(&mut self) -> Vec<Effect> {
        match &self.model {
            ModelState::None => Vec::new(),
            ModelState::Loading(choice, ..) | ModelState::Ready(choice, _) | ModelState::Failed(choice, _) => {
                let choice = choice.clone();
                self.load(choice)
            }
        }
    }

    fn change_settings(&mut self, mut settings: super::Settings) -> Vec<Effect> {
        settings.bound();
        let mut effects = vec![Effect::SaveSettings];
        if settings.responsive != self.settings.responsive {
            effects.push(Effect::Send(Command::Responsive(settings.responsive)));
        }
        if settings.device != self.settings.device {
            self.given.device = None;
        }
        if settings.context != self.settings.context {
            self.given.context = None;
        }
        if settings.new_chat != self.settings.new_chat {
            self.given.chat = None;
        }
        self.settings = settings;
        effects
    }

    fn change_pins(&mut self, change: impl FnOnce(&mut Vec<crate::desktop::messages::Pin>)) -> Vec<Effect> {
        let current = self.current;
        let Some(chat) = self.chat_mut(current) else { return Vec::new() };
        change(&mut chat.pins);
        vec![Effect::SaveChat(current)]
    }

    fn open(&mut self, dialog: Dialog) -> Vec<Effect> {
        self.dialog = Some(dialog);
        match dialog {
            Dialog::Models => {
                self.plan = PlanState::None;
                vec![Effect::Send(Command::ListDevices)]
            }
            Dialog::Settings | Dialog::DeviceSettings => vec![Effect::Send(Command::ListDevices)],
            _ => Vec::new(),
        }
    }

    /// Closes what lies on top: a dialog, then the comparison, then the focus.
    fn close(&mut self) {
        if self.dialog.take().is_some() {
            return;
        }
        if self.editing.take().is_some() || self.renaming.take().is_some() || self.compare.take().is_some() {
            return;
        }
        self.focus.block = None;
        self.focus.tokens = None;
        self.focus.scrub = None;
    }

    fn history_read(&mut self, read: HistoryRead) {
        for document in read.documents {
            self.documents.entry(document.id).or_insert(document);
        }
        for mut chat in read.chats {
            chat.unsent.documents.retain(|id| self.documents.contains_key(id));
            // One whose messages were all deleted is as good as a new one.
            if !chat.is_blank() && self.chat_by(chat.id).is_none() {
                self.untraced.insert(chat.id);
                self.chats.push(chat);
            }
        }
        for chat in read.trash {
            // A program that ended in the middle of the move leaves a chat in both places.
            if self.chats.iter().chain(&self.trash).all(|other| other.id != chat.id) {
                self.untraced.insert(chat.id);
                self.trash.push(chat);
            }
        }
        self.go_on();
        let mut lines: Vec<String> =
            read.damaged.iter().map(|(path, reason)| format!("{}: {reason}", path.display())).collect();
        let title = match lines.len() {
            0 => return,
            1 => "A file could not be read".to_owned(),
            count => format!("{count} files could not be read"),
        };
        let more = lines.len().saturating_sub(NAMED);
        lines.truncate(NAMED);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        self.tell(Notice::Problem(title, lines.join("\n")));
    }

    /// Shows the chat in which somebody was typing their first question when the program ended, or the one that was on
    /// screen when the window was lost, unless they have begun another.
    fn go_on(&mut self) {
        if let Some(chat) = self.given.reopened.take() {
            let words = "It ended without warning: the graphics device that draws it was lost, or foveal made a mistake \
                         (then please report it). Chats are kept; an answer that was being written was stopped.";
            self.tell(Notice::Problem(Notice::REOPENED.into(), words.into()));
            self.take_up(chat);
            return;
        }
        let begun = self.chats.iter().filter(|chat| chat.messages.is_empty() && !chat.unsent.is_empty());
        let latest = begun.max_by_key(|chat| chat.changed).map(|chat| chat.id);
        if let Some(id) = latest.filter(|_| self.chat().is_some_and(super::Chat::is_blank)) {
            self.take_up(id);
        }
    }

    /// Shows a chat in the place of the empty one that the program began with.
    fn take_up(&mut self, chat: super::ChatId) {
        self.select_chat(chat);
        let current = self.current;
        self.chats.retain(|chat| chat.id == current || !chat.is_blank());
    }

    fn export_chat(&self) -> Vec<Effect> {
        let Some(chat) = self.chat() else { return Vec::new() };
        let mut text = format!("# {}\n", chat.title);
        for message in chat.path() {
            let who = match message.role {
                crate::desktop::messages::Role::User => "You",
                crate::desktop::messages::Role::Assistant => "Answer",
            };
            text.push_str(&format!("\n## {who}\n\n"));
            for document in message.documents.iter().filter_map(|id| self.documents.get(id)) {
                text.push_str(&format!("*Document: {}*\n\n", document.name));
            }
            text.push_str(&message.text);
            text.push('\n');
        }
        vec![Effect::ExportText { name: format!("{}.md", file_stem(&chat.title)), text }]
    }
}

/// A title as a file name.
pub(crate) fn file_stem(title: &str) -> String {
    let kept: String = title
        .chars()
        .map(|letter| if letter.is_alphanumeric() || " -_".contains(letter) { letter } else { '_' })
        .collect();
    let kept = kept.trim().chars().take(50).collect::<String>();
    if kept.is_empty() { "chat".into() } else { kept }
}
