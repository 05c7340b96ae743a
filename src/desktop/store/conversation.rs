//! Asking and answering: send, answer again, edit as a branch, compare, stop.

use std::collections::VecDeque;

use super::{Action, Chat, ChatId, Compare, Draft, Effect, Focus, Notice, Phase, Store, Undo, Unsent, Work};
use crate::desktop::messages::{
    AttentionChoice, Command, DocumentId, DocumentText, FinishReason, GenerateRequest, MessageId, Role, Stats, Turn,
};

impl Store {
    pub(super) fn send(&mut self) -> Vec<Effect> {
        let leaf = self.chat().and_then(Chat::leaf);
        if !self.can_send() || self.lacks_documents(leaf, &self.draft.documents.clone()) {
            return Vec::new();
        }
        let draft = std::mem::take(&mut self.draft);
        let id = self.current;
        let now = self.now;
        let Some(chat) = self.chat_mut(id) else { return Vec::new() };
        let parent = chat.leaf();
        let question = chat.add(parent, Role::User, draft.text.trim().to_owned());
        if let Some(message) = chat.message_mut(question) {
            message.documents.clone_from(&draft.documents);
        }
        chat.changed = now;
        chat.follow_title();
        if let Some(&document) = draft.documents.first() {
            self.open_document = Some(document);
        }
        self.answer(id, question, None)
    }

    /// Another answer beside this one, to the same question.
    pub(super) fn regenerate(&mut self, answer: MessageId) -> Vec<Effect> {
        let question = self.chat().and_then(|chat| chat.message(answer)).and_then(|message| match message.role {
            Role::Assistant => message.parent,
            Role::User => Some(message.id),
        });
        match question {
            Some(question) if self.work.is_none() && !self.lacks_documents(Some(question), &[]) => {
                self.answer(self.current, question, None)
            }
            _ => Vec::new(),
        }
    }

    /// A changed question beside the old one.
    pub(super) fn edit_send(&mut self) -> Vec<Effect> {
        if self.work.is_some() || self.model_info().is_none() {
            return Vec::new();
        }
        let old = self.editing.as_ref().map(|(old, _)| *old);
        if self.lacks_documents(old, &[]) {
            return Vec::new();
        }
        let Some((old, text)) = self.editing.take() else { return Vec::new() };
        let (id, now) = (self.current, self.now);
        let Some(chat) = self.chat_mut(id) else { return Vec::new() };
        let Some((parent, documents)) = chat.message(old).map(|message| (message.parent, message.documents.clone()))
        else {
            return Vec::new();
        };
        let question = chat.add(parent, Role::User, text.trim().to_owned());
        if let Some(message) = chat.message_mut(question) {
            message.documents = documents;
        }
        chat.changed = now;
        chat.follow_title();
        self.answer(id, question, None)
    }

    /// The same question dense, then sparse.
    pub(super) fn compare(&mut self, question: MessageId) -> Vec<Effect> {
        if self.work.is_some() || self.model_info().is_none() || self.lacks_documents(Some(question), &[]) {
            return Vec::new();
        }
        self.compare = Some(Compare { question, dense: None, sparse: None });
        self.queue = VecDeque::from([(self.current, question, AttentionChoice::Sparse)]);
        self.answer(self.current, question, Some(AttentionChoice::Dense))
    }

    /// Starts what waits, if nothing runs.
    pub(super) fn next_in_queue(&mut self) -> Vec<Effect> {
        match self.queue.pop_front() {
            Some((chat, question, attention)) if self.work.is_none() => self.answer(chat, question, Some(attention)),
            _ => Vec::new(),
        }
    }

    /// True, with a card, where a document of the conversation up to this message is not there: an answer without it
    /// would be about something else than the question.
    fn lacks_documents(&mut self, last: Option<MessageId>, more: &[DocumentId]) -> bool {
        let path = self.chat().zip(last).map(|(chat, last)| chat.path_to(last)).unwrap_or_default();
        let mut wanted = path.iter().flat_map(|message| &message.documents).chain(more);
        let lacking = wanted.any(|id| !self.documents.contains_key(id));
        if lacking {
            let words = "A document of this conversation is no longer kept, so nothing was sent. Attach the same file \
                         again, or take it off by starting a new chat.";
            self.tell(Notice::Problem("A document is missing".into(), words.into()));
        }
        lacking
    }

    /// Begins an answer to a question. `attention` overrides the chat's choice and is noted on the answer.
    fn answer(&mut self, id: ChatId, question: MessageId, attention: Option<AttentionChoice>) -> Vec<Effect> {
        let Some(model) = self.model_info().map(|model| model.name.clone()) else { return Vec::new() };
        let generation = self.new_work();
        let trace = self.settings.trace;
        let Some(chat) = self.chat_mut(id) else { return Vec::new() };
        let mut notes = Vec::new();
        match attention {
            Some(AttentionChoice::Dense) => notes.push("dense"),
            Some(AttentionChoice::Sparse) => notes.push("sparse"),
            _ => {}
        }
        if !chat.pins.is_empty() {
            notes.push("what if");
        }
        let answer = chat.add(Some(question), Role::Assistant, String::new());
        if let Some(message) = chat.message_mut(answer) {
            message.model = model;
            message.note = notes.join(", ");
        }
        chat.show(question);
        let settings = chat.settings.clone();
        let pins = chat.pins.clone();
        let Some(chat) = self.chat_by(id) else { return Vec::new() };
        let request = GenerateRequest {
            generation,
            answer,
            system: settings.system,
            turns: self.turns(chat, question),
            sampling: settings.sampling,
            attention: attention.unwrap_or(settings.attention),
            thinking: settings.thinking,
            trace,
            pins,
        };
        if let Some(compare) = self.compare.as_mut().filter(|compare| compare.question == question) {
            match attention {
                Some(AttentionChoice::Dense) => compare.dense = Some(answer),
                Some(AttentionChoice::Sparse) => compare.sparse = Some(answer),
                _ => {}
            }
        }
        self.work = Some(Work {
            generation,
            chat: id,
            message: answer,
            phase: Phase::Waiting,
            times: VecDeque::new(),
            first_token: None,
            tokens: 0,
            saved: self.now,
        });
        if id == self.current {
            self.focus = Focus { filter: self.focus.filter.clone(), ..Focus::default() };
        }
        vec![Effect::SaveChat(id), Effect::Send(Command::Generate(Box::new(request)))]
    }

    fn turns(&self, chat: &Chat, question: MessageId) -> Vec<Turn> {
        let mut sent: Vec<DocumentId> = Vec::new();
        chat.path_to(question)
            .into_iter()
            .filter(|message| message.role == Role::User || !message.text.is_empty())
            .map(|message| {
                let documents = message
                    .documents
                    .iter()
                    .filter_map(|id| self.documents.get(id))
                    .filter(|document| !sent.contains(&document.id))
                    .map(|document| DocumentText {
                        id: document.id,
                        name: document.name.clone(),
                        text: document.text.clone(),
                    })
                    .collect::<Vec<_>>();
                sent.extend(documents.iter().map(|document| document.id));
                Turn { message: message.id, role: message.role, documents, text: message.text.clone() }
            })
            .collect()
    }

    /// Ends the answer in the window at once; the engine follows within one chunk.
    pub(super) fn stop(&mut self) -> Vec<Effect> {
        self.queue.clear();
        let Some(work) = self.work.take() else { return Vec::new() };
        let stats = Stats {
            prompt_tokens: self.reading_mut(work.chat, work.message).map_or(0, |reading| reading.prompt_tokens()),
            reused_tokens: 0,
            generated_tokens: work.tokens,
            first_token_seconds: work.first_token.unwrap_or(0.0),
            decode_seconds: match (work.first_token, work.times.back()) {
                (Some(first), Some(last)) => last - first,
                _ => 0.0,
            },
        };
        let mut effects = vec![Effect::Stop(work.generation)];
        effects.extend(self.finish(&work, FinishReason::Stopped, stats));
        effects
    }

    /// Writes the end of an answer into its message.
    pub(super) fn finish(&mut self, work: &Work, reason: FinishReason, stats: Stats) -> Vec<Effect> {
        let now = self.now;
        if let Some(chat) = self.chat_mut(work.chat) {
            if let Some(message) = chat.message_mut(work.message) {
                message.finish = Some(reason);
                message.stats = Some(stats);
            }
            chat.changed = now;
        }
        self.bound_traces();
        let mut effects = vec![Effect::SaveChat(work.chat)];
        if self.reading_in(work.chat, work.message).is_some_and(|reading| reading.last_step().is_some()) {
            effects.push(Effect::SaveTrace(work.chat, work.message));
        }
        effects
    }

    pub(super) fn delete(&mut self, message: MessageId) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.current_work().is_some() {
            effects = self.stop();
        }
        let (id, now) = (self.current, self.now);
        let Some(chat) = self.chat_mut(id) else { return effects };
        let Some(removed) = chat.take_out(message) else { return effects };
        chat.changed = now;
        chat.follow_title();
        self.undo = Some(Undo::Messages(id, removed));
        self.tell(Notice::Undo("Message deleted".into()));
        self.compare = None;
        effects.push(Effect::SaveChat(id));
        effects
    }

    pub(super) fn undo(&mut self) -> Vec<Effect> {
        self.notices.retain(|posted| !matches!(posted.notice, Notice::Undo(_)));
        match self.undo.take() {
            Some(Undo::Messages(id, removed)) => {
                let now = self.now;
                let back = self.chat_mut(id).is_some_and(|chat| {
                    let back = chat.put_back(removed);
                    chat.changed = now;
                    chat.follow_title();
                    back
                });
                if back { vec![Effect::SaveChat(id)] } else { Vec::new() }
            }
            Some(Undo::Chat(id)) => self.restore_chat(id),
            None => Vec::new(),
        }
    }

    pub(super) fn restore_chat(&mut self, id: ChatId) -> Vec<Effect> {
        let Some(at) = self.trash.iter().position(|chat| chat.id == id) else { return Vec::new() };
        let chat = self.trash.remove(at);
        self.chats.push(chat);
        self.select_chat(id);
        vec![Effect::RestoreChat(id)]
    }

    pub(super) fn trash_chat(&mut self, id: ChatId) -> Vec<Effect> {
        let Some(at) = self.chats.iter().position(|chat| chat.id == id) else { return Vec::new() };
        let mut effects = Vec::new();
        if self.work.as_ref().is_some_and(|work| work.chat == id) {
            effects = self.stop();
        }
        let chat = self.chats.remove(at);
        self.tell(Notice::Undo(format!("\"{}\" moved to the trash", chat.title)));
        self.undo = Some(Undo::Chat(id));
        self.trash.push(chat);
        effects.push(Effect::TrashChat(id));
        if self.current == id {
            match self.listed_chats().first().map(|chat| chat.id) {
                Some(next) => self.select_chat(next),
                None => effects.extend(self.apply(Action::NewChat)),
            }
        }
        effects
    }

    pub(super) fn new_chat(&mut self) {
        // One in which nothing was said yet, be it with what was being typed in it.
        let new = |chat: &&Chat| chat.messages.is_empty() && !chat.named;
        if let Some(id) = self.chats.iter().find(new).map(|chat| chat.id) {
            return self.select_chat(id);
        }
        let used = |id: ChatId| self.chats.iter().chain(&self.trash).any(|chat| chat.id == id);
        let mut id = self.now;
        while used(id) {
            id = id.saturating_add(1);
        }
        let settings = self.given.chat.as_ref().unwrap_or(&self.settings.new_chat).clone();
        self.chats.push(Chat::new(id, settings));
        self.select_chat(id);
    }

    /// Notes in the chat on screen what is typed in it, so that it is kept with it: true where that changed.
    pub(super) fn keep_unsent(&mut self) -> bool {
        let (id, now) = (self.current, self.now);
        let Some(chat) = self.chats.iter_mut().find(|chat| chat.id == id) else { return false };
        let (draft, kept) = (&self.draft, &mut chat.unsent);
        if (&draft.text, &draft.documents, &self.editing) == (&kept.text, &kept.documents, &kept.editing) {
            return false;
        }
        let (text, documents) = (draft.text.clone(), draft.documents.clone());
        *kept = Unsent { text, documents, editing: self.editing.clone() };
        if chat.messages.is_empty() {
            chat.changed = now;
            chat.follow_title();
        }
        true
    }

    /// Shows a chat, with what was being typed in it.
    pub(super) fn select_chat(&mut self, id: ChatId) {
        if id == self.current || self.chat_by(id).is_none() {
            return;
        }
        self.current = id;
        let Unsent { text, documents, editing } = self.chat().map(|chat| chat.unsent.clone()).unwrap_or_default();
        (self.draft, self.editing) = (Draft { text, documents, tokens: None }, editing);
        self.focus = Focus { filter: self.focus.filter.clone(), ..Focus::default() };
        self.compare = None;
        let documents = self.chat().map(Chat::documents).unwrap_or_default();
        self.open_document = documents.first().or(self.draft.documents.first()).copied();
    }
}
