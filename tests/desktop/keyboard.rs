//! Everything by the keyboard: shortcuts, arrows on the pictures, pages, and the palette, which finds chats, documents
//! and models too.

use std::collections::{BTreeMap, BTreeSet};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{AccessKitNode, By, NodeT, Queryable};
use foveal::desktop::attention::ReaderFilter;
use foveal::desktop::commands::{COMMANDS, OTHER_KEYS, find};
use foveal::desktop::fake::Script;
use foveal::desktop::messages::ModelChoice;
use foveal::desktop::store::{Action, Dialog, Document, PlanState};

use super::actions::{quick, say};
use super::window::{Window, last_text};

fn focus(window: &mut Window, part: &str) {
    window.harness.query_all_by_label_contains(part).next().unwrap().focus();
    window.settle();
}

#[test]
fn names_and_keys_stand_once() {
    let names: BTreeSet<_> = COMMANDS.iter().map(|command| command.name).collect();
    assert_eq!(names.len(), COMMANDS.len());
    let keys: Vec<_> = COMMANDS.iter().filter_map(|command| command.keys).collect();
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{one:?} twice");
    }
    assert!(OTHER_KEYS.iter().all(|(name, _)| !names.contains(name) || *name == "Undo delete"));
}

#[test]
fn chats_are_reached_named_and_searched() {
    let mut window = quick();
    say(&mut window, "about whales");
    window.key(Modifiers::COMMAND, Key::N);
    say(&mut window, "about ships");
    let title = |window: &Window| window.store().chat().unwrap().title.clone();
    window.key(Modifiers::COMMAND, Key::PageDown);
    assert_eq!(title(&window), "about whales");
    window.key(Modifiers::COMMAND, Key::PageDown);
    assert_eq!(title(&window), "about whales", "it is the last one");
    window.key(Modifiers::COMMAND, Key::PageUp);
    assert_eq!(title(&window), "about ships");
    window.key(Modifiers::NONE, Key::F2);
    window.harness.get_by_label("Name of the chat").type_text(" and sails");
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(title(&window), "about ships and sails");
    window.key(Modifiers::COMMAND, Key::B);
    window.key(Modifiers::COMMAND, Key::F);
    assert!(window.store().settings.show_sidebar);
    let focused = window.harness.ctx.memory(|memory| memory.focused());
    assert!(focused.is_some(), "the field has the keyboard");
    window.harness.get_by_label("Search chats").type_text("whales");
    window.settle();
    assert_eq!(window.store().search, "whales");
}

#[test]
fn a_question_is_changed_without_the_mouse() {
    let mut window = quick();
    say(&mut window, "hello");
    window.key(Modifiers::COMMAND, Key::E);
    window.harness.get_by_label("Changed question").type_text(" again");
    window.settle();
    window.key(Modifiers::COMMAND, Key::Enter);
    window.until(|store| store.work.is_none());
    let path = window.store().chat().unwrap().path();
    assert_eq!((path[0].text.as_str(), path.len()), ("hello again", 2));
    let answer = last_text(window.store());
    window.key(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::D);
    assert_eq!(window.store().chat().unwrap().path().len(), 1);
    if let Some(focused) = window.harness.ctx.memory(|memory| memory.focused()) {
        window.harness.ctx.memory_mut(|memory| memory.surrender_focus(focused));
    }
    window.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(last_text(window.store()), answer);
}

#[test]
fn arrows_walk_over_the_pictures() {
    let mut window = quick();
    window.ask_sample();
    let hottest = window.store().reading().unwrap().ranking()[0];
    focus(&mut window, "Context ribbon");
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.store().focus.block, Some(hottest), "the first arrow leads to what was chosen most");
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.store().focus.block, Some(hottest + 1));
    window.key(Modifiers::NONE, Key::ArrowLeft);
    assert!(window.has(&format!("Block {hottest}")));
    window.key(Modifiers::COMMAND, Key::M);
    focus(&mut window, "Reader matrix");
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::ArrowDown);
    assert_eq!(window.store().focus.filter, ReaderFilter::One(0, 1));
    window.app().act(Action::Filter(ReaderFilter::All));
    window.click("Over time");
    focus(&mut window, "Waterfall");
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::ArrowDown);
    assert_eq!(window.store().focus.tokens, Some(1..2));
    window.key(Modifiers::NONE, Key::ArrowUp);
    assert_eq!(window.store().focus.tokens, Some(0..1));
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::COMMAND, Key::J);
    assert_eq!(window.store().focus.block, Some(hottest));
}

#[test]
fn the_sample_is_asked_with_enter() {
    let mut window = quick();
    window.click("Try the sample");
    assert!(!window.has("Try the sample"), "once is enough");
    window.key(Modifiers::NONE, Key::Enter);
    window.until(|store| store.work.is_none() && last_text(store).len() > 3);
}

#[test]
fn pages_turn() {
    let answer = Some("A line of an answer.\n\n".repeat(120));
    let mut window = Window::ready(Script { answer, ..Script::instant() });
    say(&mut window, "hello");
    let top = |window: &Window| window.harness.get_by_label("Copy answer").rect().top();
    let end = top(&window);
    window.key(Modifiers::NONE, Key::PageUp);
    window.harness.run_steps(30);
    let up = top(&window);
    assert!(up > end + 200.0, "{end} {up}");
    window.key(Modifiers::NONE, Key::PageDown);
    window.harness.run_steps(30);
    assert!(top(&window) < up - 200.0);
}

#[test]
fn the_palette_finds_what_has_a_name() {
    let mut window = quick();
    say(&mut window, "about whales");
    window.app().act(Action::DocumentRead(Document::new("whales.txt".into(), "Whales are large.")));
    window.app().act(Action::NewChat);
    window.settle();
    let names = |window: &Window, query: &str| -> Vec<String> {
        find(window.store(), query).into_iter().map(|found| found.name).collect()
    };
    assert_eq!(names(&window, "whales"), ["Chat: about whales", "Attach whales.txt"]);
    assert!(names(&window, "").iter().all(|name| !name.starts_with("Chat: ")));
    assert!(names(&window, "").contains(&"Quit".to_owned()));
    assert!(!names(&window, "").contains(&"Undo delete".to_owned()), "there is nothing to take back");
    window.key(Modifiers::COMMAND, Key::K);
    window.harness.get_by_label("Command").type_text("chat whales");
    window.settle();
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.store().chat().unwrap().title, "about whales");
    window.app().act(Action::Consider(ModelChoice::BuiltIn));
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    assert_eq!(window.store().dialog, Some(Dialog::Models));
}

#[test]
fn every_command_can_be_given_at_any_time() {
    for asked in [false, true] {
        let mut window = quick();
        if asked {
            window.ask_sample();
            let hottest = window.store().reading().unwrap().ranking()[0];
            window.app().act(Action::OpenBlock(hottest));
            window.settle();
            assert!(find(window.store(), "hide passage").len() == 1, "a passage is in focus");
        }
        for name in
            COMMANDS.iter().map(|command| command.name).filter(|name| !["Quit", "Attach a document"].contains(name))
        {
            let Some(found) = find(window.store(), name).into_iter().find(|found| found.name == name) else { continue };
            window.app().act(found.action);
            window.settle();
            window.until(|store| store.work.is_none() && store.model_info().is_some());
            window.app().act(Action::Close);
            window.settle();
        }
    }
}

/// What can be pressed or typed into on the screen: its number, and its name for messages.
fn controls(window: &Window) -> BTreeMap<String, String> {
    let is_control = |node: &AccessKitNode<'_>| {
        let roles = [
            Role::Button,
            Role::CheckBox,
            Role::ComboBox,
            Role::Link,
            Role::MultilineTextInput,
            Role::RadioButton,
            Role::SearchInput,
            Role::Slider,
            Role::SpinButton,
            Role::TextInput,
        ];
        roles.contains(&node.role()) && !node.is_disabled()
    };
    let found = window.harness.query_all(By::new().predicate(is_control));
    found
        .map(|node| node.accesskit_node())
        .map(|node| (format!("{:?}", node.id()), node.label().unwrap_or_default()))
        .collect()
}

#[test]
fn tab_reaches_every_control() {
    let mut window = quick();
    window.ask_sample();
    window.key(Modifiers::COMMAND, Key::M);
    let behind = controls(&window);
    let tab_through = |window: &mut Window, mut missed: BTreeMap<String, String>, what: &str| {
        let count = missed.len();
        assert!(
            count > 0 && missed.values().all(|name| !name.is_empty()),
            "{what}, a control without a name: {missed:?}"
        );
        let mut seen = BTreeSet::new();
        for _ in 0..3 * count {
            window.key(Modifiers::NONE, Key::Tab);
            let focused = window.harness.query_all(By::new().predicate(|node| node.is_focused()));
            seen.extend(focused.map(|node| format!("{:?}", node.accesskit_node().id())));
        }
        missed.retain(|id, _| !seen.contains(id));
        assert!(missed.is_empty(), "{what}: Tab never comes to {missed:?}, {} of {count}", missed.len());
        seen
    };
    tab_through(&mut window, behind.clone(), "the chat");
    for dialog in [Dialog::Settings, Dialog::DeviceSettings, Dialog::Models, Dialog::Trash, Dialog::Shortcuts] {
        let what = format!("{dialog:?}");
        window.app().act(Action::Open(dialog));
        window.settle();
        let mut inside = controls(&window);
        inside.retain(|id, _| !behind.contains_key(id));
        let seen = tab_through(&mut window, inside, &what);
        assert!(seen.iter().all(|id| !behind.contains_key(id)), "{what}: Tab leads behind the dialog");
        window.app().act(Action::Close);
        window.settle();
    }
}
