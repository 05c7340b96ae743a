//! Every command of the window in one table: its name, its keys, what it does. The palette, the tooltips, the list of
//! shortcuts and the keyboard all read it.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::messages::{AttentionChoice, PinRule, Role};
use super::store::settings::{PRESETS, ThemeChoice};
use super::store::{Action, ChatSettings, Dialog, Pane, Settings, Store};

/// A command.
pub struct CommandEntry {
    /// What it is called.
    pub name: &'static str,
    /// Its keys.
    pub keys: Option<KeyboardShortcut>,
    /// The action, if it makes sense now.
    pub action: fn(&Store) -> Option<Action>,
}

const NONE: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

const fn keys(modifiers: Modifiers, key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(modifiers, key))
}

/// The table.
pub const COMMANDS: &[CommandEntry] = &[
    CommandEntry { name: "New chat", keys: keys(CTRL, Key::N), action: |_| Some(Action::NewChat) },
    CommandEntry { name: "Command palette", keys: keys(CTRL, Key::K), action: |_| Some(Action::Open(Dialog::Palette)) },
    CommandEntry { name: "Attach a document", keys: keys(CTRL, Key::O), action: |_| Some(Action::PickDocuments) },
    CommandEntry {
        name: "Attach the sample document",
        keys: None,
        action: |store| store.sample.as_ref().map(|_| Action::AttachSample),
    },
    CommandEntry { name: "Stop", keys: None, action: |store| store.work.as_ref().map(|_| Action::Stop) },
    CommandEntry { name: "Answer again", keys: keys(CTRL, Key::Enter), action: last(Which::Regenerate) },
    CommandEntry { name: "Previous version", keys: None, action: |store| other_version(store, -1) },
    CommandEntry { name: "Next version", keys: None, action: |store| other_version(store, 1) },
    CommandEntry { name: "Edit the last question", keys: keys(CTRL, Key::E), action: last(Which::Edit) },
    CommandEntry { name: "Copy the last answer", keys: keys(CTRL_SHIFT, Key::C), action: last(Which::Copy) },
    CommandEntry { name: "Delete the last message", keys: keys(CTRL_SHIFT, Key::D), action: last(Which::Delete) },
    CommandEntry { name: "Undo delete", keys: None, action: |store| store.can_undo().then_some(Action::Undo) },
    CommandEntry {
        name: "Rename chat",
        keys: keys(NONE, Key::F2),
        action: |store| store.chat().filter(|chat| !chat.is_blank()).map(|chat| Action::Renaming(Some(chat.id))),
    },
    CommandEntry {
        name: "Move chat to trash",
        keys: None,
        action: |store| store.chat().filter(|chat| !chat.is_blank()).map(|chat| Action::TrashChat(chat.id)),
    },
    CommandEntry { name: "Next chat", keys: keys(CTRL, Key::PageDown), action: |store| neighbour(store, 1) },
    CommandEntry { name: "Previous chat", keys: keys(CTRL, Key::PageUp), action: |store| neighbour(store, -1) },
    CommandEntry { name: "Search chats", keys: keys(CTRL, Key::F), action: |_| Some(Action::SearchChats) },
    CommandEntry { name: "Compare dense and sparse", keys: keys(CTRL_SHIFT, Key::M), action: last(Which::Compare) },
    CommandEntry {
        name: "Show or hide chats",
        keys: keys(CTRL, Key::B),
        action: |_| Some(Action::Toggle(Pane::Sidebar)),
    },
    CommandEntry {
        name: "Show or hide documents",
        keys: keys(CTRL, Key::D),
        action: |_| Some(Action::Toggle(Pane::Documents)),
    },
    CommandEntry {
        name: "Show or hide reading details",
        keys: keys(CTRL, Key::M),
        action: |_| Some(Action::Toggle(Pane::Details)),
    },
    CommandEntry {
        name: "Show the hottest passage",
        keys: keys(CTRL, Key::J),
        action: |store| store.hottest_block().map(Action::OpenBlock),
    },
    CommandEntry {
        name: "Show what was read for the whole answer",
        keys: None,
        action: |store| {
            let part = store.focus.tokens.is_some() || store.focus.scrub.is_some();
            part.then_some(Action::FocusTokens(None))
        },
    },
    CommandEntry {
        name: "Show the whole context",
        keys: None,
        action: |store| store.focus.zoom.is_some().then_some(Action::Zoom(None)),
    },
    CommandEntry {
        name: "Hide the passage in focus and answer again",
        keys: None,
        action: |store| store.focused_pin(PinRule::Exclude).map(Action::WhatIf),
    },
    CommandEntry {
        name: "Always read the passage in focus and answer again",
        keys: None,
        action: |store| store.focused_pin(PinRule::Require).map(Action::WhatIf),
    },
    CommandEntry {
        name: "Let all passages go",
        keys: None,
        action: |store| store.chat().filter(|chat| !chat.pins.is_empty()).map(|_| Action::RemovePins),
    },
    CommandEntry {
        name: "Follow what is being read",
        keys: None,
        action: |store| program(store, |settings| settings.follow_heat ^= true),
    },
    CommandEntry {
        name: "Record what is read",
        keys: None,
        action: |store| program(store, |settings| settings.trace ^= true),
    },
    CommandEntry {
        name: "Think before answering",
        keys: None,
        action: |store| {
            store.model_info().filter(|info| info.can_think)?;
            chat(store, |settings| settings.thinking ^= true)
        },
    },
    CommandEntry { name: "Words: exact", keys: None, action: |store| preset(store, 0) },
    CommandEntry { name: "Words: balanced", keys: None, action: |store| preset(store, 1) },
    CommandEntry { name: "Words: creative", keys: None, action: |store| preset(store, 2) },
    CommandEntry { name: "Attention: automatic", keys: None, action: |store| attention(store, AttentionChoice::Auto) },
    CommandEntry { name: "Attention: dense", keys: None, action: |store| attention(store, AttentionChoice::Dense) },
    CommandEntry { name: "Attention: sparse", keys: None, action: |store| attention(store, AttentionChoice::Sparse) },
    CommandEntry { name: "Choose a model", keys: keys(CTRL, Key::L), action: |_| Some(Action::Open(Dialog::Models)) },
    CommandEntry { name: "Reload the model", keys: None, action: |_| Some(Action::Reload) },
    CommandEntry { name: "Settings", keys: keys(CTRL, Key::Comma), action: |_| Some(Action::Open(Dialog::Settings)) },
    CommandEntry {
        name: "Settings of model and device",
        keys: None,
        action: |_| Some(Action::Open(Dialog::DeviceSettings)),
    },
    CommandEntry { name: "Trash", keys: None, action: |_| Some(Action::Open(Dialog::Trash)) },
    CommandEntry {
        name: "Keyboard shortcuts",
        keys: keys(NONE, Key::F1),
        action: |_| Some(Action::Open(Dialog::Shortcuts)),
    },
    CommandEntry { name: "Light theme", keys: None, action: |store| theme(store, ThemeChoice::Light) },
    CommandEntry { name: "Dark theme", keys: None, action: |store| theme(store, ThemeChoice::Dark) },
    CommandEntry { name: "System theme", keys: None, action: |store| theme(store, ThemeChoice::System) },
    CommandEntry { name: "Larger", keys: keys(CTRL, Key::Plus), action: |store| scale(store, 0.1) },
    CommandEntry { name: "Smaller", keys: keys(CTRL, Key::Minus), action: |store| scale(store, -0.1) },
    CommandEntry {
        name: "Normal size",
        keys: keys(CTRL, Key::Num0),
        action: |store| program(store, |settings| settings.scale = 1.0),
    },
    CommandEntry {
        name: "Export the trace as JSON",
        keys: None,
        action: |store| store.reading().map(|_| Action::ExportTrace),
    },
    CommandEntry { name: "Save a picture of the window", keys: None, action: |_| Some(Action::ExportPicture) },
    CommandEntry {
        name: "Export the chat as Markdown",
        keys: keys(CTRL, Key::S),
        action: |_| Some(Action::ExportChat),
    },
    CommandEntry { name: "Quit", keys: keys(CTRL, Key::Q), action: |_| Some(Action::Quit) },
];

/// Keys that are not commands of their own, for the list of shortcuts.
pub const OTHER_KEYS: &[(&str, &str)] = &[
    ("Write a message", "Just type"),
    ("Send", "Enter"),
    ("New line", "Shift+Enter"),
    ("Stop, close, leave", "Esc"),
    ("Send a changed question", "Ctrl+Enter"),
    ("Other version of the last message", "Left and right, while no text is typed"),
    ("Undo delete", "Ctrl+Z, while no text is typed"),
    ("Scroll the conversation", "Page up, page down"),
    ("Scroll the document", "Shift with page up, page down"),
    ("To the next thing", "Tab; Space or Enter presses it"),
    ("Next block, reader or row", "Arrow keys, on ribbon, table and pictures"),
];

#[derive(Clone, Copy)]
enum Which {
    Regenerate,
    Edit,
    Copy,
    Delete,
    Compare,
}

const fn last(which: Which) -> fn(&Store) -> Option<Action> {
    match which {
        // A question that stands last has no answer yet.
        Which::Regenerate => |store| match &store.editing {
            Some(_) => Some(Action::EditSend),
            None => store.chat().and_then(|chat| chat.leaf()).map(Action::Regenerate),
        },
        Which::Edit => |store| on_last(store, Role::User).map(Action::EditStart),
        Which::Copy => |store| {
            let id = on_last(store, Role::Assistant)?;
            Some(Action::Copy(store.chat()?.message(id)?.text.clone()))
        },
        Which::Delete => |store| store.chat().and_then(|chat| chat.leaf()).map(Action::Delete),
        Which::Compare => |store| on_last(store, Role::User).map(Action::Compare),
    }
}

fn on_last(store: &Store, role: Role) -> Option<u32> {
    store.chat()?.path().into_iter().rev().find(|message| message.role == role).map(|message| message.id)
}

/// Another version of the last message on screen that has any.
fn other_version(store: &Store, step: isize) -> Option<Action> {
    let chat = store.chat().filter(|_| store.work.is_none())?;
    let last = chat.path().into_iter().rev().find(|message| chat.versions(message.id).len() > 1)?;
    Some(Action::ShowVersion(last.id, step))
}

/// The chat so many places below the one on screen in the list.
fn neighbour(store: &Store, step: isize) -> Option<Action> {
    let listed = store.listed_chats();
    let at = listed.iter().position(|chat| chat.id == store.current)?;
    Some(Action::SelectChat(listed.get(at.checked_add_signed(step)?)?.id))
}

fn chat(store: &Store, change: impl FnOnce(&mut ChatSettings)) -> Option<Action> {
    let mut settings = store.chat()?.settings.clone();
    change(&mut settings);
    Some(Action::ChatSettings(Box::new(settings)))
}

fn program(store: &Store, change: impl FnOnce(&mut Settings)) -> Option<Action> {
    let mut settings = store.settings.clone();
    change(&mut settings);
    Some(Action::Settings(Box::new(settings)))
}

fn attention(store: &Store, choice: AttentionChoice) -> Option<Action> {
    chat(store, |settings| settings.attention = choice)
}

fn preset(store: &Store, index: usize) -> Option<Action> {
    let preset = PRESETS.get(index)?;
    chat(store, |settings| preset.apply(&mut settings.sampling))
}

fn theme(store: &Store, choice: ThemeChoice) -> Option<Action> {
    program(store, |settings| settings.theme = choice)
}

fn scale(store: &Store, change: f32) -> Option<Action> {
    program(store, |settings| settings.scale = ((settings.scale + change) * 10.0).round() / 10.0)
}

/// Takes the keys of this frame that belong to a command.
pub fn pressed(context: &egui::Context, store: &Store) -> Vec<Action> {
    let mut actions = Vec::new();
    for command in COMMANDS {
        if let Some(keys) = &command.keys
            && context.input_mut(|input| input.consume_shortcut(keys))
            && let Some(action) = (command.action)(store)
        {
            actions.push(action);
        }
    }
    if store.dialog.is_none() && context.memory(|memory| memory.focused().is_none()) {
        for (key, step) in [(Key::ArrowLeft, -1), (Key::ArrowRight, 1)] {
            if context.input_mut(|input| input.consume_key(NONE, key)) {
                actions.extend(other_version(store, step));
            }
        }
        if store.can_undo() && context.input_mut(|input| input.consume_key(CTRL, Key::Z)) {
            actions.push(Action::Undo);
        }
    }
    // An open menu closes by itself.
    if !egui::Popup::is_any_open(context) && context.input(|input| input.key_pressed(Key::Escape)) {
        let free = store.dialog.is_none() && store.editing.is_none() && store.renaming.is_none();
        actions.push(if store.current_work().is_some() && free { Action::Stop } else { Action::Close });
    }
    actions
}

/// One line of the palette.
pub struct Found {
    /// What it is called.
    pub name: String,
    /// Its keys.
    pub keys: Option<KeyboardShortcut>,
    /// What it does.
    pub action: Action,
}

/// Chats, documents and models of each kind that the palette names.
const NAMED: usize = 8;

/// What can be done now and has all words of the query in its name: commands in the order of the table, then chats to go
/// to, documents to attach and models to open.
pub fn find(store: &Store, query: &str) -> Vec<Found> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let fits = |name: &str| {
        let name = name.to_lowercase();
        words.iter().all(|word| name.contains(word))
    };
    let commands = COMMANDS.iter().filter(|command| fits(command.name)).filter_map(|command| {
        Some(Found { name: command.name.to_owned(), keys: command.keys, action: (command.action)(store)? })
    });
    let mut found: Vec<Found> = commands.collect();
    // Without a word they would bury the commands.
    if words.is_empty() {
        return found;
    }
    let mut add = |named: &mut dyn Iterator<Item = (String, Action)>| {
        let fitting = named.filter(|(name, _)| fits(name)).take(NAMED);
        found.extend(fitting.map(|(name, action)| Found { name, keys: None, action }));
    };
    let mut chats: Vec<_> = store.chats.iter().filter(|chat| chat.id != store.current && !chat.is_blank()).collect();
    chats.sort_by_key(|chat| std::cmp::Reverse(chat.changed));
    add(&mut chats.into_iter().map(|chat| (format!("Chat: {}", chat.title), Action::SelectChat(chat.id))));
    let documents = store.documents.values();
    add(&mut documents.map(|document| (format!("Attach {}", document.name), Action::Attach(document.id))));
    let models = store.settings.recent.iter();
    add(&mut models.map(|choice| (format!("Open {}", choice.name()), Action::Consider(choice.clone()))));
    found
}
