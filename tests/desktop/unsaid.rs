//! Nothing that was said or typed is lost: random actions on the store, and the few that once lost something.

use std::collections::BTreeMap;

use foveal::desktop::messages::{Command, EngineError, Event, FailureKind, MessageId, Part, Role, WorkId};
use foveal::desktop::store::{Action, Chat, ChatId, Document, Effect, Notice, Store};
use proptest::prelude::*;

use super::store::{ask, finish, ready, texts, token};

/// One of the things that can happen, with numbers to choose what it happens to.
fn happenings() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    prop::collection::vec((0u8..20, 0usize..64, 0usize..64), 1..80)
}

/// What must still be there.
#[derive(Default)]
struct Kept {
    /// Every message that was said and not deleted for good, as it was seen last.
    said: BTreeMap<(ChatId, MessageId), (Role, String)>,
    /// What the last deletion took, until the next one.
    deleted: Vec<(ChatId, MessageId)>,
    /// Numbers that were given once, with the beginning of their text.
    given: BTreeMap<(ChatId, MessageId), (Role, String)>,
    typed: BTreeMap<ChatId, String>,
}

fn all_chats(store: &Store) -> impl Iterator<Item = &Chat> {
    store.chats.iter().chain(&store.trash)
}

impl Kept {
    /// Compares with the store and takes note of what is new.
    fn check(&mut self, store: &Store) -> Result<(), TestCaseError> {
        for ((chat, message), (role, text)) in &self.said {
            if self.deleted.contains(&(*chat, *message)) {
                continue;
            }
            let found = all_chats(store).find(|other| other.id == *chat).and_then(|chat| chat.message(*message));
            // An answer without a word may go when it fails.
            if text.is_empty() && found.is_none() {
                continue;
            }
            let found = found.map(|message| message.text.as_str());
            prop_assert!(found.is_some_and(|found| found.starts_with(text)), "{role:?} {text:?} became {found:?}");
        }
        self.said.retain(|key, _| !self.deleted.contains(key));
        for chat in all_chats(store) {
            for message in &chat.messages {
                let key = (chat.id, message.id);
                let now = (message.role, message.text.clone());
                let first = self.given.entry(key).or_insert_with(|| now.clone());
                prop_assert!(
                    first.0 == now.0 && now.1.starts_with(&first.1),
                    "number {key:?} was {first:?} and is given again to {now:?}"
                );
                *first = now.clone();
                self.said.insert(key, now);
            }
            let path = chat.path();
            for pair in path.windows(2) {
                prop_assert_eq!(pair[1].parent, Some(pair[0].id));
            }
        }
        if let Some(work) = &store.work {
            let chat = store.chat_by(work.chat);
            prop_assert!(chat.is_some_and(|chat| chat.message(work.message).is_some()), "work fills no message");
        }
        let typed = self.typed.get(&store.current).map_or("", String::as_str);
        prop_assert_eq!(&store.draft.text, typed, "what was typed in this chat");
        prop_assert!(store.chat().is_some());
        Ok(())
    }
}

fn generating(store: &Store) -> Option<WorkId> {
    store.work.as_ref().map(|work| work.generation)
}

fn pick<T: Copy>(all: &[T], at: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[at % all.len()])
}

/// The action, or what the engine says.
fn happen(store: &mut Store, kept: &mut Kept, number: usize, (kind, one, two): (u8, usize, usize)) {
    let on_path: Vec<MessageId> = store.chat().unwrap().path().iter().map(|message| message.id).collect();
    let of_role = |role: Role| {
        let chat = store.chat().unwrap();
        let own: Vec<MessageId> =
            chat.path().iter().filter(|message| message.role == role).map(|message| message.id).collect();
        pick(&own, one)
    };
    let chats: Vec<ChatId> = store.chats.iter().map(|chat| chat.id).collect();
    let thrown: Vec<ChatId> = store.trash.iter().map(|chat| chat.id).collect();
    let current = store.current;
    match kind {
        0..3 => {
            let text = format!("words {number}");
            kept.typed.insert(current, text.clone());
            store.apply(Action::Draft(text));
        }
        3..6 => {
            if store.can_send() {
                kept.typed.remove(&current);
            }
            store.apply(Action::Send);
        }
        6..9 => {
            if let Some(generation) = generating(store) {
                store.event(token(generation, &format!("answer {number} "), Part::Answer));
                if one.is_multiple_of(2) {
                    finish(store, generation);
                }
            }
        }
        9 => drop(store.apply(Action::Stop)),
        10 | 11 => {
            if let Some(message) = pick(&on_path, one) {
                let chat = store.chat().unwrap();
                let below =
                    chat.messages.iter().filter(|other| chat.path_to(other.id).iter().any(|on| on.id == message));
                kept.deleted = below.map(|message| (current, message.id)).collect();
                store.apply(Action::Delete(message));
            }
        }
        12 => {
            store.apply(Action::Undo);
            let there = |key: &(ChatId, MessageId)| {
                all_chats(store).any(|chat| chat.id == key.0 && chat.message(key.1).is_some())
            };
            kept.deleted.retain(|key| !there(key));
        }
        13 => drop(store.apply(Action::NewChat)),
        14 => drop(store.apply(Action::SelectChat(pick(&chats, one).unwrap()))),
        15 => drop(store.apply(Action::TrashChat(pick(&chats, one).unwrap()))),
        16 => {
            if let Some(chat) = pick(&thrown, one) {
                store.apply(Action::RestoreChat(chat));
            }
        }
        17 => {
            if let Some(answer) = of_role(Role::Assistant) {
                store.apply(Action::Regenerate(answer));
            }
        }
        18 => {
            if let Some(question) = of_role(Role::User) {
                store.apply(Action::EditStart(question));
                store.apply(Action::EditText(format!("changed {number}")));
                store.apply(Action::EditSend);
            }
        }
        _ => {
            if let Some(message) = pick(&on_path, one) {
                store.apply(Action::ShowVersion(message, two as isize % 3 - 1));
            }
            if two.is_multiple_of(9) {
                let kind = if two.is_multiple_of(2) {
                    FailureKind::Other
                } else {
                    FailureKind::ContextFull { needed: 2, capacity: 1 }
                };
                store.event(Event::Failed(generating(store), EngineError { kind, message: "scripted".into() }));
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_said_or_typed_is_lost(happenings in happenings()) {
        let mut store = ready();
        let mut kept = Kept::default();
        for (number, happening) in happenings.into_iter().enumerate() {
            store.set_now(1000 + number as u64 * 10);
            happen(&mut store, &mut kept, number, happening);
            kept.check(&store)?;
        }
    }
}

#[test]
fn undo_keeps_what_was_said_since() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    store.apply(Action::Delete(1));
    let again = super::store::generation(&store.apply(Action::Regenerate(0)));
    assert_eq!(store.work.as_ref().unwrap().message, 2, "the number of the deleted answer is not given again");
    store.event(token(again, "b", Part::Answer));
    finish(&mut store, again);
    assert_eq!(texts(&store), ["one", "b"]);
    store.apply(Action::Undo);
    assert_eq!(texts(&store), ["one", "a"], "the deleted answer is back");
    assert_eq!(store.chat().unwrap().versions(1), [1, 2], "beside the new one");
}

#[test]
fn numbers_of_deleted_messages_stay_used_after_a_restart() {
    let mut chat = Chat::new(1, Default::default());
    chat.add(None, Role::User, "one".into());
    chat.add(Some(0), Role::Assistant, "a".into());
    chat.remove(1);
    let mut again: Chat = serde_json::from_str(&serde_json::to_string(&chat).unwrap()).unwrap();
    again.mend();
    assert_eq!(again.add(Some(0), Role::Assistant, "b".into()), 2);
    // A file from before there was a count.
    let mut old = serde_json::to_value(&again).unwrap();
    old.as_object_mut().unwrap().remove("next");
    let mut old: Chat = serde_json::from_value(old).unwrap();
    old.mend();
    assert_eq!(old.add(Some(0), Role::Assistant, "c".into()), 3);
}

#[test]
fn each_chat_keeps_what_is_typed_in_it() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    let document = Document::new("a.txt".into(), "text");
    let id = document.id;
    store.apply(Action::Draft("half a question".into()));
    store.apply(Action::DocumentRead(document));
    store.apply(Action::EditStart(0));
    store.apply(Action::EditText("one and".into()));
    store.apply(Action::SelectChat(1000));
    assert_eq!(store.draft.text, "half a question", "a click on the chat that is open changes nothing");
    store.set_now(2000);
    store.apply(Action::NewChat);
    assert!(store.draft.text.is_empty() && store.draft.documents.is_empty() && store.editing.is_none());
    store.apply(Action::Draft("another".into()));
    store.apply(Action::SelectChat(1000));
    assert_eq!((store.draft.text.as_str(), &store.draft.documents[..]), ("half a question", &[id][..]));
    assert_eq!(store.editing, Some((0, "one and".into())));
    store.apply(Action::NewChat);
    assert_eq!(store.draft.text, "another", "the empty chat is still there");
    store.apply(Action::TrashChat(2000));
    store.apply(Action::Undo);
    assert_eq!(store.draft.text, "another");
}

#[test]
fn an_answer_is_saved_while_it_grows() {
    let mut store = ready();
    let work = ask(&mut store, "one");
    let mut saved = Vec::new();
    for second in 0..23 {
        store.set_now(1000 + second * 1000);
        if store.event(token(work, "word ", Part::Answer)).contains(&Effect::SaveChat(1000)) {
            saved.push(second);
        }
    }
    assert_eq!(saved, [5, 10, 15, 20]);
}

#[test]
fn a_question_about_a_document_that_is_gone_is_refused() {
    let mut store = ready();
    let document = Document::new("a.txt".into(), "text");
    let id = document.id;
    store.apply(Action::DocumentRead(document.clone()));
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    store.documents.remove(&id);
    store.apply(Action::Draft("two".into()));
    store.apply(Action::EditStart(0));
    for action in [Action::Send, Action::Regenerate(1), Action::Compare(0), Action::EditSend] {
        assert!(store.apply(action.clone()).is_empty(), "{action:?}");
        assert!(store.work.is_none());
        let Notice::Problem(title, _) = &store.notices.last().unwrap().notice else { panic!("{:?}", store.notices) };
        assert_eq!(title, "A document is missing");
    }
    assert_eq!(store.notices.len(), 1, "the same card stands once");
    assert_eq!(store.draft.text, "two");
    assert!(store.editing.is_some() && store.compare.is_none());
    store.apply(Action::DocumentRead(document));
    let effects = store.apply(Action::Send);
    let Some(Effect::Send(Command::Generate(request))) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(request.turns[0].documents.len(), 1, "attached again it is whole");
}

#[test]
fn notes_go_by_themselves_and_cards_stay() {
    let mut store = ready();
    for number in 0..9 {
        store.apply(Action::Tell(Notice::Problem(format!("problem {number}"), String::new())));
    }
    assert_eq!(store.notices.len(), 4, "never so many that they cover the chat");
    store.apply(Action::Tell(Notice::Done("saved".into())));
    store.apply(Action::Tell(Notice::Done("saved".into())));
    assert_eq!(store.notices.len(), 4);
    let left = store.expire_notices().unwrap();
    store.set_now(1000 + left);
    assert_eq!(store.expire_notices(), None);
    assert_eq!(store.notices.len(), 3);
    assert!(store.notices.iter().all(|posted| matches!(posted.notice, Notice::Problem(..))));
}
