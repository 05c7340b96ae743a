//! Asking and answering: send, answer again, edit as a branch, compare, stop.

use std::collections::VecDeque;

use super::{Action, Chat, ChatId, Compare, Draft, Effect, Focus, Notice, Phase, Store, Work};
use crate::desktop::messages::{
    AttentionChoice, Command, DocumentId, DocumentText, FinishReason, GenerateRequest, MessageId, Role, Stats, Turn,
};

impl Store {
    pub(super) fn send(&mut self) -> Vec<Effect> {
        if !self.can_send() {
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
            Some(question) if self.work.is_none() => self.answer(self.current, question, None),
            _ => Vec::new(),
        }
    }

    /// A changed question beside the old one.
    pub(super) fn edit_send(&mut self) -> Vec<Effect> {
        if self.work.is_some() || self.model_info().is_none() {
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
        if self.work.is_some() || self.model_info().is_none() {
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
        });
        self.focus = Focus { filter: self.focus.filter.clone(), ..Focus::default() };
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
            prompt_tokens: self.readings.last().map_or(0, |(_, reading)| reading.prompt_tokens()),
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
        vec![Effect::SaveChat(work.chat)]
    }

    pub(super) fn delete(&mut self, message: MessageId) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.current_work().is_some() {
            effects = self.stop();
        }
        let (id, now) = (self.current, self.now);
        let Some(chat) = self.chat_mut(id) else { return effects };
        let before = chat.clone();
        chat.remove(message);
        chat.changed = now;
        chat.follow_title();
        self.undo = Some(Box::new(before));
        self.notices.retain(|notice| !matches!(notice, Notice::Undo(_)));
        self.notices.push(Notice::Undo("Message deleted".into()));
        self.compare = None;
        effects.push(Effect::SaveChat(id));
        effects
    }

    pub(super) fn undo(&mut self) -> Vec<Effect> {
        self.notices.retain(|notice| !matches!(notice, Notice::Undo(_)));
        let Some(before) = self.undo.take() else { return Vec::new() };
        let id = before.id;
        if let Some(at) = self.trash.iter().position(|chat| chat.id == id) {
            self.trash.remove(at);
            self.chats.push(*before);
            self.current = id;
            return vec![Effect::RestoreChat(id)];
        }
        match self.chat_mut(id) {
            Some(chat) => *chat = *before,
            None => return Vec::new(),
        }
        vec![Effect::SaveChat(id)]
    }

    pub(super) fn trash_chat(&mut self, id: ChatId) -> Vec<Effect> {
        let Some(at) = self.chats.iter().position(|chat| chat.id == id) else { return Vec::new() };
        let mut effects = Vec::new();
        if self.work.as_ref().is_some_and(|work| work.chat == id) {
            effects = self.stop();
        }
        let chat = self.chats.remove(at);
        self.notices.retain(|notice| !matches!(notice, Notice::Undo(_)));
        self.notices.push(Notice::Undo(format!("\"{}\" moved to the trash", chat.title)));
        self.undo = Some(Box::new(chat.clone()));
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
        let blank = |chat: &&Chat| chat.messages.is_empty() && !chat.named;
        if let Some(id) = self.chats.iter().find(blank).map(|chat| chat.id) {
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

    pub(super) fn select_chat(&mut self, id: ChatId) {
        if self.chat_by(id).is_none() {
            return;
        }
        self.current = id;
        self.focus = Focus { filter: self.focus.filter.clone(), ..Focus::default() };
        self.editing = None;
        self.compare = None;
        self.draft = Draft::default();
        self.open_document = self.chat().and_then(|chat| chat.documents().first().copied());
    }
}
