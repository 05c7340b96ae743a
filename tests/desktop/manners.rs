//! What the window does when things do not go straight: nothing is lost on closing, nothing moves under the user's hand,
//! nothing is done to a chat that is not on screen.

use std::time::Duration;

use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable;
use foveal::desktop::fake::{Script, Trouble};
use foveal::desktop::messages::{AttentionChoice, FinishReason};
use foveal::desktop::store::{Action, Dialog, Document, Notice};

use super::actions::{quick, say};
use super::window::{Window, last_text};

/// An answer of twenty seconds: a busy machine may take a second for a click.
fn slow() -> Window {
    Window::ready(Script { token: Duration::from_millis(10), answer: Some("word ".repeat(2000)), ..Script::instant() })
}

fn open_in(folder: &tempfile::TempDir, script: Script) -> Window {
    let mut window = Window::open_in(script, folder.path().to_owned(), [1280.0, 800.0]);
    window.until(|store| store.model_info().is_some());
    window
}

#[test]
fn closing_in_the_middle_of_an_answer_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script { token: Duration::from_millis(4), answer: Some("word ".repeat(2000)), ..Script::instant() };
    let mut window = open_in(&folder, script);
    window.type_into("Message", "go on");
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 9));
    window.app().close();
    let written = last_text(window.store());
    drop(window);
    let mut window = open_in(&folder, Script::instant());
    window.until(|store| store.chats.len() == 2);
    window.click_first("go on");
    assert_eq!(last_text(window.store()), written);
    assert_eq!(window.store().chat().unwrap().path()[1].finish, Some(FinishReason::Stopped));
}

#[test]
fn a_question_without_an_answer_can_be_answered() {
    for by_key in [false, true] {
        let mut window = Window::ready(Script { trouble: Some(Trouble::ContextFull), ..Script::instant() });
        window.type_into("Message", "hello");
        window.click("Send");
        window.until(|store| !store.notices.is_empty());
        assert_eq!(window.store().chat().unwrap().path().len(), 1);
        if by_key {
            window.key(Modifiers::COMMAND, Key::Enter);
        } else {
            window.click("Answer");
        }
        window.until(|store| store.work.is_none() && last_text(store).starts_with("Hello!"));
        assert_eq!(window.store().chat().unwrap().path().len(), 2);
        assert!(!window.has("Answer"));
    }
}

#[test]
fn the_document_moves_only_where_it_is_wanted() {
    let mut window = slow();
    window.click("Try the sample");
    window.click_first("Show or hide documents");
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 100));
    let store = window.store();
    assert!(!store.settings.show_documents && store.focus.scroll.is_none(), "it was folded away");
    window.click_first("Show or hide documents");
    window.until(|store| store.focus.scroll.is_some());
    // The user reads elsewhere.
    let head = window.harness.get_by_label("Follow").rect();
    window.harness.hover_at(head.center() + vec2(40.0, 200.0));
    window.settle();
    for _ in 0..3 {
        window.harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: vec2(0.0, -300.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        });
        window.settle();
    }
    assert!(window.store().focus.hold_document);
    let held = window.store().focus.scroll.clone();
    let tokens = window.store().work.as_ref().unwrap().tokens;
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > tokens + 100));
    assert_eq!(window.store().focus.scroll, held, "it stays where the user put it");
    window.click("Follow");
    window.until(|store| store.focus.scroll != held);
    assert!(window.store().settings.follow_heat);
}

#[test]
fn the_gauge_knows_the_conversation_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open_in(&folder, Script::instant());
    window.ask_sample();
    let before = window.store().context_use();
    assert!(before.total() > 2500 && before.documents > 2400 && before.attached == 0, "{before:?}");
    window.app().close();
    drop(window);
    let mut window = open_in(&folder, Script::instant());
    window.until(|store| store.chats.len() == 2);
    window.click_first("What is the access code of the amber lighthouse?");
    assert_eq!(window.store().context_use().total(), before.total());
    assert!(window.store().context_use().documents > 2400);
    // Nobody has counted a question that was not answered.
    window.click("Delete answer");
    let guessed = window.store().context_use().total();
    assert!(guessed > before.total() / 2 && guessed < before.total() * 2, "{guessed}");
}

#[test]
fn the_pill_says_what_comes_next() {
    let mut window = quick();
    window.ask_sample();
    assert!(!window.has_part("next:"));
    let choose = |window: &mut Window, choice: AttentionChoice| {
        let mut settings = window.store().chat().unwrap().settings.clone();
        settings.attention = choice;
        window.app().act(Action::ChatSettings(Box::new(settings)));
        window.settle();
    };
    choose(&mut window, AttentionChoice::Dense);
    assert!(window.has_part("; next: dense"));
    choose(&mut window, AttentionChoice::Auto);
    assert!(!window.has_part("next:"), "the text is long enough to be read sparse");
    choose(&mut window, AttentionChoice::Dense);
    say(&mut window, "and again");
    assert!(!window.has_part("next:"));
    assert!(window.has("switched to dense attention here"), "between the answers");
    choose(&mut window, AttentionChoice::Auto);
    assert!(window.has_part("; next: sparse"));
}

#[test]
fn a_block_card_shows_without_the_documents() {
    let mut window = quick();
    window.ask_sample();
    window.click_first("Show or hide documents");
    let last = window.store().reading().unwrap().blocks() - 1;
    window.app().act(Action::FocusBlock(Some(last)));
    window.settle();
    assert!(!window.store().settings.show_documents);
    assert!(window.has(&format!("Block {last}")));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.has(&format!("Block {last}")));
}

#[test]
fn cards_lead_to_the_settings_that_help() {
    let mut window = Window::open(Script { trouble: Some(Trouble::LoadMemory), ..Script::instant() });
    window.until(|store| !store.notices.is_empty());
    window.click("Use less memory");
    assert_eq!(window.store().dialog, Some(Dialog::DeviceSettings));
    assert!(window.has("Room for the context"));
}

#[test]
fn an_answer_elsewhere_is_left_alone() {
    let mut window = slow();
    window.type_into("Message", "tell me");
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 3));
    window.app().act(Action::NewChat);
    window.settle();
    assert!(window.has("Send") && !window.has("Stop"), "a click meant for sending must not stop it");
    assert!(window.has("An answer is being written in \"tell me\""));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.store().work.is_some(), "nor the key that closes things");
    window.click("Show it");
    assert_eq!(window.store().chat().unwrap().title, "tell me");
    assert!(window.has("Stop"));
    window.app().act(Action::NewChat);
    window.settle();
    window.click("Stop it");
    assert!(window.store().work.is_none());
}

#[test]
fn a_model_is_looked_at_when_the_engine_is_free() {
    let mut window = slow();
    window.type_into("Message", "tell me");
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 3));
    window.click("Model: Foveal Tiny");
    window.click("Built-in model");
    assert!(window.has_part("is looked at when the engine is free"));
    window.click("Stop the answer");
    window.until(|store| matches!(store.plan, foveal::desktop::store::PlanState::Ready(..)));
    assert!(window.has("Open this model"));
}

#[test]
fn arrows_turn_versions_while_nothing_is_typed() {
    let mut window = quick();
    say(&mut window, "hello");
    window.click("Answer again");
    window.until(|store| store.work.is_none());
    assert!(window.has("2/2"));
    window.harness.get_by_label("Message").focus();
    window.settle();
    window.key(Modifiers::NONE, Key::ArrowLeft);
    assert!(window.has("2/2"), "the arrow moves in the text");
    let focused = window.harness.ctx.memory(|memory| memory.focused()).unwrap();
    window.harness.ctx.memory_mut(|memory| memory.surrender_focus(focused));
    window.key(Modifiers::NONE, Key::ArrowLeft);
    assert!(window.has("1/2"));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(window.has("2/2"));
}

#[test]
fn words_in_code_and_tables_can_be_chosen() {
    let mut window = quick();
    say(&mut window, "hello");
    for (part, x, y) in [("fn main()", 0.12, 0.6), ("questions", 0.3, 0.5)] {
        window.app().act(Action::FocusTokens(None));
        window.settle();
        window.click_in(part, x, y);
        let tokens = window.store().focus.tokens.clone().unwrap_or_else(|| panic!("nothing chosen in {part:?}"));
        let store = window.store();
        let (text, reading) = (last_text(store), store.reading().unwrap());
        let bytes =
            reading.written[tokens.start].bytes.start as usize..reading.written[tokens.end - 1].bytes.end as usize;
        assert!("    println!(\"hello\");\n | questions ".contains(&text[bytes.clone()]), "{:?}", &text[bytes]);
    }
}

#[test]
fn the_library_gives_up_what_no_chat_needs() {
    let mut window = quick();
    for number in 0..8 {
        let text = format!("text {number}");
        window.app().act(Action::DocumentRead(Document::new(format!("file {number}.txt"), &text)));
    }
    window.settle();
    for number in 1..8 {
        window.click(&format!("Remove file {number}.txt"));
    }
    let folder_has = |window: &Window| window.store().documents.len();
    assert_eq!(folder_has(&window), 8);
    window.click("Documents used before");
    window.type_into("Search documents", "file 3");
    assert!(!window.has("Delete file 4.txt"));
    window.click("Delete file 3.txt");
    assert_eq!(folder_has(&window), 7);
    window.harness.get_by_label("Search documents").type_text(" ");
    window.settle();
    assert!(window.has("No document has this name."));
    let attached = window.store().draft.documents[0];
    assert_eq!(window.store().chats_with(attached), 1);
    window.app().act(Action::ForgetDocument(attached));
    assert_eq!(folder_has(&window), 7, "one that is attached stays");
}

#[test]
fn the_trash_is_emptied_when_asked_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open_in(&folder, Script::instant());
    say(&mut window, "about whales");
    window.click("Move chat to trash");
    window.click("Trash (1)");
    window.click("Empty the trash");
    window.click("Keep");
    assert_eq!(window.store().trash.len(), 1);
    window.click("Empty the trash");
    window.click("Delete 1 chat for good");
    assert!(window.store().trash.is_empty());
    window.app().close();
    drop(window);
    assert_eq!(std::fs::read_dir(folder.path().join("trash")).unwrap().count(), 0);
}

#[test]
fn what_was_read_is_exported_from_the_details() {
    let mut window = quick();
    window.ask_sample();
    window.click_first("Show or hide reading details");
    window.click("Export what was read");
    assert!(window.has("Picture of the window (PNG)"));
    window.click("Trace of the answer (JSON)");
    window.until(|store| !store.notices.is_empty());
    let Notice::Done(words) = window.store().notices[0].notice.clone() else { panic!("{:?}", window.store().notices) };
    let path = std::path::PathBuf::from(words.strip_prefix("Saved ").unwrap());
    let trace = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Some(trace), window.app().trace_json());
}

#[test]
fn dialogs_fit_the_smallest_window() {
    let mut window = quick();
    window.harness.set_size(vec2(760.0, 480.0));
    window.settle();
    for dialog in [Dialog::Settings, Dialog::DeviceSettings, Dialog::Models, Dialog::Shortcuts] {
        window.app().act(Action::Open(dialog));
        window.settle();
        let close = window.harness.get_by_label("Close").rect();
        assert!(close.min.y >= 12.0, "{dialog:?}: the head is cut off at {}", close.min.y);
        window.app().act(Action::Close);
        window.settle();
    }
}

#[test]
fn the_message_stays_under_its_column_in_a_wide_window() {
    let mut window = quick();
    for width in [760.0, 1280.0, 2400.0] {
        window.harness.set_size(vec2(width, 800.0));
        window.settle();
        let field = window.harness.get_by_label("Message").rect();
        assert!(field.width() <= 748.0, "{width}: {}", field.width());
    }
}

#[test]
fn the_document_is_as_wide_as_before_after_a_narrow_window() {
    let mut window = quick();
    window.click("Try the sample");
    // The name stands at the left edge of the pane, the button at its right one.
    let width = |window: &Window| {
        let left = window.harness.get_by_label("Logbook.txt").rect().left();
        window.harness.get_by_label("Hide documents").rect().right() - left
    };
    let resize = |window: &mut Window, width: f32| {
        window.harness.set_size(vec2(width, 800.0));
        window.settle();
    };
    let usual = width(&window);
    resize(&mut window, 800.0);
    assert!(width(&window) < usual - 60.0, "there is no room: {}", width(&window));
    resize(&mut window, 1280.0);
    assert_eq!(width(&window), usual);
    // What the user's hand made of it counts in the same way.
    let edge = window.harness.get_by_label("Logbook.txt").rect().left_center() + vec2(-16.0, 300.0);
    window.harness.drag_at(edge);
    window.settle();
    window.harness.hover_at(edge + vec2(-90.0, 0.0));
    window.settle();
    window.harness.drop_at(edge + vec2(-90.0, 0.0));
    window.settle();
    let wide = width(&window);
    assert!((wide - usual - 90.0).abs() < 4.0, "{usual} {wide}");
    resize(&mut window, 800.0);
    assert!(width(&window) < usual);
    resize(&mut window, 1400.0);
    assert_eq!(width(&window), wide);
}

#[test]
fn what_is_deleted_is_deleted_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open_in(&folder, Script::instant());
    say(&mut window, "about whales");
    window.click("Delete question");
    assert_eq!(window.store().chat().unwrap().title, "New chat");
    window.app().close();
    drop(window);
    let window = open_in(&folder, Script::instant());
    assert!(window.store().chats.iter().all(|chat| chat.messages.is_empty()) && window.store().chats.len() == 1);
}

#[test]
fn escape_closes_a_menu_and_not_the_answer() {
    let mut window = slow();
    window.type_into("Message", "tell me");
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 3));
    window.click_in("Attention. ", 0.5, 0.5);
    assert!(window.has("Automatic"));
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.has("Automatic") && window.store().work.is_some());
    window.key(Modifiers::NONE, Key::Escape);
    assert!(window.store().work.is_none());
}
