//! What is typed and not sent is kept with its chat, also when the program ends without a word.

use std::path::Path;
use std::time::{Duration, Instant};

use foveal::desktop::fake::Script;
use foveal::desktop::history::History;
use foveal::desktop::messages::{ModelChoice, Part, Role};
use foveal::desktop::store::{Action, Chat, ChatSettings, Document, Effect, Given, HistoryRead, Notice, Store};

use super::actions::say;
use super::store::{ask, finish, ready, token};
use super::window::Window;

fn open(folder: &Path) -> Window {
    let mut window = Window::open_in(Script::instant(), folder.to_owned(), [1280.0, 800.0]);
    window.until(|store| store.model_info().is_some());
    window
}

/// The folder as a crash at this moment would leave it.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for part in ["chats", "documents", "trash", "damaged"] {
        std::fs::create_dir_all(copy.path().join(part)).unwrap();
        for entry in std::fs::read_dir(folder.join(part)).unwrap().flatten() {
            std::fs::copy(entry.path(), copy.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Draws frames until the disk is as wanted.
fn until_on_disk(window: &mut Window, folder: &Path, wanted: impl Fn(&[Chat]) -> bool) {
    let start = Instant::now();
    // Reading by the side would move half a file to the damaged ones.
    while !wanted(&History::open(copy_of(folder).path().to_owned()).unwrap().read_all().chats) {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        window.settle();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_crash_takes_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window.app().act(Action::DocumentRead(Document::new("report.txt".into(), "Boats came.")));
    window.type_into("Message", "Who came\nand when?");
    until_on_disk(&mut window, folder.path(), |chats| chats.iter().any(|chat| chat.unsent.text.contains("when?")));
    let crashed = copy_of(folder.path());
    let mut after = open(crashed.path());
    after.until(|store| !store.draft.text.is_empty());
    assert_eq!(after.store().draft.text, "Who came\nand when?");
    assert_eq!(after.store().draft.documents.len(), 1);
    assert!(after.has_part("report.txt · "));
    assert_eq!(after.store().chat().unwrap().title, "Who came");
    assert_eq!(after.store().chats.iter().filter(|chat| !chat.is_blank()).count(), 1);
}

#[test]
fn what_is_sent_or_taken_back_is_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window.type_into("Message", "hm");
    until_on_disk(&mut window, folder.path(), |chats| chats.len() == 1);
    window.app().act(Action::Draft(String::new()));
    until_on_disk(&mut window, folder.path(), <[Chat]>::is_empty);
    say(&mut window, "hello");
    window.type_into("Message", "more");
    window.click("New chat");
    assert!(window.store().draft.text.is_empty() && window.has("hello, draft"));
    window.app().close();
    drop(window);
    let mut window = open(folder.path());
    window.until(|store| store.chats.len() == 2);
    assert!(window.store().draft.text.is_empty(), "a chat that has begun is not taken up by itself");
    window.click("hello, draft");
    assert_eq!(window.store().draft.text, "more");
    window.click("Send");
    window.until(|store| store.work.is_none());
    window.app().close();
    let chats = History::open(folder.path().to_owned()).unwrap().read_all().chats;
    assert!(chats.iter().all(|chat| chat.unsent.is_empty()) && chats[0].messages.len() == 4);
}

#[test]
fn a_changed_question_is_kept_too() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    store.apply(Action::EditStart(0));
    let effects = store.apply(Action::EditText("one and a half".into()));
    let current = store.current;
    assert!(effects.contains(&Effect::SaveChat(current)));
    let mut chat: Chat = serde_json::from_str(&serde_json::to_string(store.chat().unwrap()).unwrap()).unwrap();
    chat.mend();
    assert_eq!(chat.unsent.editing, Some((0, "one and a half".into())));
    chat.unsent.editing = Some((77, "of a message that is gone".into()));
    chat.mend();
    assert_eq!(chat.unsent.editing, None);
    store.apply(Action::EditCancel);
    assert!(store.chat().unwrap().unsent.is_empty());
}

#[test]
fn a_first_question_is_taken_up_unless_another_was_begun() {
    let begun = |id, text: &str| {
        let mut chat = Chat::new(id, ChatSettings::default());
        chat.unsent.text = text.into();
        chat.unsent.documents = vec![5];
        chat
    };
    let mut said = begun(7, "later than all");
    said.add(None, Role::User, "said".into());
    let read = || HistoryRead { chats: vec![begun(3, "older"), begun(4, "newer"), said.clone()], ..Default::default() };
    let new = || Store::new(Default::default(), Default::default(), 1000);
    let mut store = new();
    store.apply(Action::HistoryRead(Box::new(read())));
    assert_eq!((store.current, store.draft.text.as_str()), (4, "newer"));
    assert!(store.draft.documents.is_empty(), "a document that is not kept cannot be sent");
    assert_eq!(store.chats.len(), 3, "the empty chat made room");
    let given = Given { reopened: Some(7), ..Default::default() };
    let mut store = Store::new(Default::default(), given, 1000);
    store.apply(Action::HistoryRead(Box::new(read())));
    assert_eq!((store.current, store.draft.text.as_str()), (7, "later than all"), "the window was lost in this one");
    assert!(store.notices[0].notice.is_of(Notice::REOPENED));
    let mut store = new();
    store.apply(Action::Load(ModelChoice::BuiltIn));
    store.apply(Action::Draft("quick".into()));
    store.apply(Action::HistoryRead(Box::new(read())));
    assert_eq!(store.draft.text, "quick");
}
