//! Every action of chat, history, settings and documents by its accessible name.

use std::time::Duration;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use foveal::desktop::fake::{Script, Trouble};
use foveal::desktop::messages::{FinishReason, Role};
use foveal::desktop::store::settings::ThemeChoice;
use foveal::desktop::store::{Action, ModelState, Phase, PlanState};
use foveal::desktop::trace_data::Source;

use super::window::{FACT, QUESTION, Window, last_text};

pub(crate) fn quick() -> Window {
    Window::ready(Script::instant())
}

/// Long enough to be stopped.
fn slow() -> Window {
    Window::ready(Script { token: Duration::from_millis(5), answer: Some("word ".repeat(2000)), ..Script::instant() })
}

pub(crate) fn say(window: &mut Window, text: &str) {
    window.type_into("Message", text);
    window.click("Send");
    window.until(|store| store.work.is_none());
}

#[test]
fn first_start_answers_about_the_sample() {
    // On a busy machine the first frame alone takes some hundred milliseconds.
    let mut window = Window::open(Script { load_step: Duration::from_millis(150), ..Script::instant() });
    window.until(|store| matches!(store.model, ModelState::Loading(_, _, _, 1.., _)));
    assert!(window.has_part("Model: "));
    window.until(|store| store.model_info().is_some());
    assert!(window.has("Model: Foveal Tiny"));
    window.ask_sample();
    assert!(last_text(window.store()).starts_with(FACT));
    assert!(window.has_part("Attention. Sparse: reads "));
    assert!(window.has_part("tok/s"));
    assert!(window.has_part("Read closely:"));
    let reading = window.store().reading().unwrap();
    assert!(reading.map.segments().iter().any(|segment| matches!(segment.source, Source::Document(_))));
}

#[test]
fn enter_sends_and_shift_enter_breaks_the_line() {
    let mut window = quick();
    window.type_into("Message", "one");
    window.key(Modifiers::SHIFT, Key::Enter);
    assert_eq!(window.store().draft.text, "one\n");
    window.harness.get_by_label("Message").type_text("two");
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    window.until(|store| store.work.is_none() && !last_text(store).is_empty());
    assert_eq!(window.store().chat().unwrap().path()[0].text, "one\ntwo");
    assert!(window.store().draft.text.is_empty());
}

#[test]
fn stop_by_button_and_by_escape() {
    for escape in [false, true] {
        let mut window = slow();
        window.type_into("Message", "go");
        window.click("Send");
        window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 3));
        if escape {
            window.key(Modifiers::NONE, Key::Escape);
        } else {
            window.click("Stop");
        }
        assert!(window.store().work.is_none());
        let stopped = last_text(window.store());
        std::thread::sleep(Duration::from_millis(60));
        window.settle();
        assert_eq!(last_text(window.store()), stopped, "nothing comes after the stop");
        let chat = window.store().chat().unwrap();
        assert_eq!(chat.path()[1].finish, Some(FinishReason::Stopped));
        assert!(window.has_part("stopped"));
    }
}

#[test]
fn answers_and_questions_have_versions() {
    let mut window = quick();
    say(&mut window, "hello");
    window.click("Answer again");
    window.until(|store| store.work.is_none());
    assert!(window.has("2/2"));
    window.click("Previous version");
    assert!(window.has("1/2"));
    window.click("Edit question");
    window.harness.get_by_label("Changed question").focus();
    window.settle();
    window.harness.get_by_label("Changed question").type_text(" again");
    window.settle();
    window.click("Send changed question");
    window.until(|store| store.work.is_none());
    assert_eq!(window.store().chat().unwrap().path()[0].text, "hello again");
    window.click("Previous version");
    assert_eq!(window.store().chat().unwrap().path()[0].text, "hello");
    window.click("Edit question");
    window.click("Cancel");
    assert!(window.store().editing.is_none());
}

#[test]
fn copy_delete_and_undo() {
    let mut window = quick();
    say(&mut window, "hello");
    let answer = last_text(window.store());
    assert_eq!(window.copied_by("Copy answer"), Some(answer.clone()));
    assert_eq!(window.copied_by("Copy question").as_deref(), Some("hello"));
    assert_eq!(window.copied_by("Copy code").unwrap().trim(), "fn main() {\n    println!(\"hello\");\n}");
    window.click("Delete answer");
    assert_eq!(window.store().chat().unwrap().path().len(), 1);
    window.click("Undo");
    assert_eq!(last_text(window.store()), answer);
    window.click("Delete question");
    assert!(window.store().chat().unwrap().path().is_empty());
    window.click("Dismiss");
    assert!(window.store().notices.is_empty());
}

#[test]
fn chats_are_kept_named_found_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut window = Window::open_in(Script::instant(), folder.path().to_owned(), [1280.0, 800.0]);
        window.until(|store| store.model_info().is_some());
        say(&mut window, "about whales");
        window.click("New chat");
        say(&mut window, "about ships");
        window.click("Rename chat");
        window.harness.get_by_label("Name of the chat").type_text(" and harbours");
        window.settle();
        window.key(Modifiers::NONE, Key::Enter);
        assert_eq!(window.store().chat().unwrap().title, "about ships and harbours");
        window.type_into("Search chats", "whales");
        assert!(window.has("about whales") && !window.has("about ships and harbours"));
        window.app().act(Action::Search(String::new()));
        window.settle();
        window.click_first("about whales");
        assert_eq!(window.store().chat().unwrap().title, "about whales");
        window.click("Move chat to trash");
        assert_eq!(window.store().trash.len(), 1);
        assert_eq!(window.store().chat().unwrap().title, "about ships and harbours");
    }
    let mut window = Window::open_in(Script::instant(), folder.path().to_owned(), [1280.0, 800.0]);
    window.until(|store| store.trash.len() == 1 && store.model_info().is_some());
    window.click_first("about ships and harbours");
    assert_eq!(window.store().chat().unwrap().path()[0].text, "about ships");
    window.click("Trash (1)");
    window.click("Restore about whales");
    assert_eq!(window.store().chat().unwrap().path()[0].text, "about whales");
}

#[test]
fn settings_of_chat_and_program() {
    let mut window = quick();
    window.click("Settings");
    window.type_into("System prompt", "Be brief.");
    assert_eq!(window.store().chat().unwrap().settings.system, "Be brief.");
    window.click("Creative");
    assert_eq!(window.store().chat().unwrap().settings.sampling.temperature, 1.0);
    window.harness.get_by_label("Temperature").set_value_accesskit(0.5);
    window.settle();
    assert!((window.store().chat().unwrap().settings.sampling.temperature - 0.5).abs() < 0.01);
    window.click("Appearance");
    window.click("Dark");
    assert_eq!(window.store().settings.theme, ThemeChoice::Dark);
    window.click("125 %");
    assert_eq!(window.store().settings.scale, 1.25);
    window.click("Record what is read");
    assert!(!window.store().settings.trace);
    window.click("Model and device");
    window.until(|store| store.devices.len() == 3);
    assert!(window.has_part("Old GPU cannot be used"));
    window.click("Keep the desktop smooth while the model works");
    assert!(!window.store().settings.responsive);
    window.click("Reload the model");
    window.until(|store| store.model_info().is_some());
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.store().dialog.is_none());
}

#[test]
fn models_are_looked_at_before_they_load() {
    let mut window = quick();
    window.click("Model: Foveal Tiny");
    window.type_into("Model path", "/nowhere/model");
    window.click("Look");
    window.until(|store| matches!(store.plan, PlanState::Failed(..)));
    assert!(window.has_part("no such file or folder"));
    window.click("Built-in model");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    assert!(window.has_part("Needs 82 MB of 4.0 GB"));
    // Fewer bits need less, and what is chosen is seen before anything is opened.
    window.click("Weights: 4 bits");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    assert!(window.has_part("Needs 73 MB of 4.0 GB"));
    window.click("Context: 8 bits");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    assert!(window.has_part("Needs 54 MB of 4.0 GB"));
    window.click("Open this model");
    assert!(window.store().dialog.is_none());
    window.until(|store| store.model_info().is_some());
}

#[test]
fn failures_say_what_to_do() {
    let mut window = Window::open(Script { trouble: Some(Trouble::LoadMemory), ..Script::instant() });
    window.until(|store| !store.notices.is_empty());
    assert!(window.has("Not enough memory") && window.has_part("This needs 6.1 GB, the device allows 4.4 GB"));
    window.click("Use less memory");
    assert!(window.store().dialog.is_some() && window.store().notices.is_empty());

    let mut window = Window::ready(Script { trouble: Some(Trouble::ContextFull), ..Script::instant() });
    window.click("Try the sample");
    window.click("Send");
    window.until(|store| !store.notices.is_empty());
    assert!(window.has("This is too long") && window.has_part("Nothing was cut"));

    for trouble in [Trouble::LostAfter(5), Trouble::PanicAfter(5)] {
        let mut window = Window::ready(Script { trouble: Some(trouble), ..Script::instant() });
        window.type_into("Message", "hello");
        window.click("Send");
        window.until(|store| !store.notices.is_empty());
        let kept = last_text(window.store());
        assert!(!kept.is_empty(), "what was written stays");
        window.click("Reload the model");
        window.until(|store| store.model_info().is_some());
        if trouble == Trouble::LostAfter(5) {
            say(&mut window, "go on");
            assert_eq!(window.store().chat().unwrap().path()[1].text, kept);
        }
    }
}

#[test]
fn an_answer_survives_a_device_that_comes_back() {
    let trouble = Some(Trouble::RecoversAfter(5));
    // The device is away for thirty tokens: long enough to be seen however slow the frames are.
    let mut window = Window::ready(Script { trouble, token: Duration::from_millis(50), ..Script::instant() });
    window.type_into("Message", "hello");
    window.click("Send");
    window.until(|store| !store.notices.is_empty());
    assert!(window.has("The graphics device was lost") && window.has_part("the answer goes on"));
    assert!(window.store().work.is_some());
    window.until(|store| store.work.is_none());
    assert!(window.has("The graphics device is back, nothing was lost"));
    assert!(!window.has("The graphics device was lost"), "the old notice is gone");
    let chat = window.store().chat().unwrap();
    assert_eq!(chat.path()[1].finish, Some(FinishReason::EndOfText));
    window.click("Dismiss");
    assert!(window.store().notices.is_empty());
}

#[test]
fn palette_and_shortcuts() {
    let mut window = quick();
    window.key(Modifiers::COMMAND, Key::K);
    window.harness.get_by_label("Command").type_text("dark");
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.store().settings.theme, ThemeChoice::Dark);
    assert!(window.store().dialog.is_none());
    for (key, shown) in [(Key::B, 0), (Key::D, 1), (Key::M, 2)] {
        let of = |window: &Window| {
            let settings = &window.store().settings;
            [settings.show_sidebar, settings.show_documents, settings.show_details][shown]
        };
        let before = of(&window);
        window.key(Modifiers::COMMAND, key);
        assert_ne!(of(&window), before, "{key:?}");
    }
    window.key(Modifiers::NONE, Key::F1);
    assert!(window.has("Keyboard shortcuts") && window.has("Answer again"));
    window.key(Modifiers::NONE, Key::Escape);
    say(&mut window, "hello");
    window.key(Modifiers::COMMAND, Key::Enter);
    window.until(|store| store.work.is_none());
    window.key(Modifiers::COMMAND, Key::E);
    assert!(window.store().editing.is_some());
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::D);
    assert_eq!(window.store().chat().unwrap().path().len(), 2, "the other version stands in its place");
    window.key(Modifiers::COMMAND, Key::N);
    assert!(window.store().chat().unwrap().messages.is_empty());
}

#[test]
fn thinking_is_folded() {
    let mut window = quick();
    window.click("Think before answering");
    say(&mut window, "hello");
    assert!(!window.has_part("names a thing"));
    window.click_in("Thinking (", 0.5, 0.5);
    assert!(window.has_part("names a thing"));
}

#[test]
fn documents_come_by_file_and_by_paste() {
    let mut window = quick();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let good = write("notes.md", "# Notes\n\n中文 and 🎉".as_bytes());
    window.app().act(Action::ReadFiles(vec![good]));
    window.until(|store| store.draft.documents.len() == 1);
    assert!(window.has_part("notes.md"));
    window.click("Remove notes.md");
    assert!(window.store().draft.documents.is_empty());
    for (name, bytes, reason) in [
        ("picture.bin", &[0u8, 159, 146, 150][..], "it is not text"),
        ("empty.txt", b"  \n", "it holds no text"),
        ("broken.pdf", b"%PDF-1.7\nnothing here", "PDF"),
    ] {
        let path = write(name, bytes);
        window.app().act(Action::ReadFiles(vec![path]));
        window.until(|store| !store.notices.is_empty());
        assert!(window.has_part(reason), "{name}: {:?}", window.store().notices);
        window.click("Close");
    }
    // The encoding of older Western files.
    let old = write("old.txt", b"caf\xE9 \x96 10 \x80 \xFC");
    window.app().act(Action::ReadFiles(vec![old]));
    window.until(|store| store.draft.documents.len() == 1);
    let id = window.store().draft.documents[0];
    assert_eq!(&*window.store().documents[&id].text, "café – 10 € ü");
    window.click("Remove old.txt");
    window.harness.get_by_label("Message").focus();
    window.settle();
    window.harness.event(egui::Event::Paste("a long paragraph ".repeat(200)));
    window.settle();
    assert_eq!(window.store().draft.documents.len(), 1);
    assert!(window.store().draft.text.is_empty());
}

#[test]
fn an_idle_window_does_not_repaint() {
    let mut window = quick();
    window.ask_sample();
    window.harness.remove_cursor();
    for _ in 0..40 {
        window.harness.step();
    }
    let delay = |window: &Window| window.harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
    assert_eq!(delay(&window), Duration::MAX);
    // Nor while a message is being thought of: the cursor does not blink.
    window.harness.get_by_label("Message").focus();
    for _ in 0..40 {
        window.harness.step();
    }
    assert_eq!(delay(&window), Duration::MAX);
}

#[test]
fn what_is_typed_anywhere_goes_to_the_message() {
    let mut window = quick();
    window.harness.event(egui::Event::Text("h".into()));
    window.settle();
    window.harness.event(egui::Event::Text("i".into()));
    window.settle();
    assert_eq!(window.store().draft.text, "hi");
    window.click("Settings");
    window.harness.event(egui::Event::Text("x".into()));
    window.settle();
    assert_eq!(window.store().draft.text, "hi", "not past a dialog");
}

#[test]
fn words_and_enter_that_come_in_one_frame_are_sent() {
    let mut window = quick();
    window.harness.get_by_label("Message").focus();
    window.settle();
    window.harness.event(egui::Event::Text("hello".into()));
    window.key(Modifiers::NONE, Key::Enter);
    window.until(|store| store.work.is_none());
    let chat = window.store().chat().unwrap();
    assert_eq!(chat.path()[0].text, "hello");
    assert_eq!(window.store().draft.text, "");
}

#[test]
fn everything_that_can_be_pressed_has_a_name() {
    let mut window = quick();
    window.ask_sample();
    window.click_first("Show or hide reading details");
    window.click("1 · line 75");
    for dialog in ["Settings", "Command palette"] {
        window.click(dialog);
        assert_eq!(window.harness.unnamed_widgets(), Vec::<String>::new());
        window.key(Modifiers::NONE, Key::Escape);
    }
    let chat = window.store().chat().unwrap();
    assert_eq!(chat.path()[0].role, Role::User);
    assert_eq!(chat.path()[0].text, QUESTION);
    assert_eq!(window.store().work.as_ref().map(|work| work.phase.clone()), None::<Phase>);
}
