//! Every command of the window in one table: its name, its keys, what it does. The palette, the tooltips, the list of
//! shortcuts and the keyboard all read it.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::messages::{AttentionChoice, Role};
use super::store::settings::ThemeChoice;
use super::store::{Action, Dialog, Pane, Store};

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
    CommandEntry { name: "Edit the last question", keys: keys(CTRL, Key::E), action: last(Which::Edit) },
    CommandEntry { name: "Copy the last answer", keys: keys(CTRL_SHIFT, Key::C), action: last(Which::Copy) },
    CommandEntry { name: "Delete the last message", keys: keys(CTRL_SHIFT, Key::D), action: last(Which::Delete) },
    CommandEntry { name: "Undo delete", keys: None, action: |_| Some(Action::Undo) },
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
    CommandEntry { name: "Attention: automatic", keys: None, action: |store| attention(store, AttentionChoice::Auto) },
    CommandEntry { name: "Attention: dense", keys: None, action: |store| attention(store, AttentionChoice::Dense) },
    CommandEntry { name: "Attention: sparse", keys: None, action: |store| attention(store, AttentionChoice::Sparse) },
    CommandEntry { name: "Choose a model", keys: keys(CTRL, Key::L), action: |_| Some(Action::Open(Dialog::Models)) },
    CommandEntry { name: "Reload the model", keys: None, action: |_| Some(Action::Reload) },
    CommandEntry { name: "Settings", keys: keys(CTRL, Key::Comma), action: |_| Some(Action::Open(Dialog::Settings)) },
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
    ("Other version of the last message", "Left and right, while no text is typed"),
    ("Next or previous block", "Arrow keys, in the table of blocks"),
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
        Which::Regenerate => |store| store.chat().and_then(|chat| chat.leaf()).map(Action::Regenerate),
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

fn attention(store: &Store, choice: AttentionChoice) -> Option<Action> {
    let mut settings = store.chat()?.settings.clone();
    settings.attention = choice;
    Some(Action::ChatSettings(Box::new(settings)))
}

fn theme(store: &Store, choice: ThemeChoice) -> Option<Action> {
    let mut settings = store.settings.clone();
    settings.theme = choice;
    Some(Action::Settings(Box::new(settings)))
}

fn scale(store: &Store, change: f32) -> Option<Action> {
    let mut settings = store.settings.clone();
    settings.scale = ((settings.scale + change) * 10.0).round() / 10.0;
    Some(Action::Settings(Box::new(settings)))
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
    }
    // An open menu closes by itself.
    if !egui::Popup::is_any_open(context) && context.input(|input| input.key_pressed(Key::Escape)) {
        let free = store.dialog.is_none() && store.editing.is_none() && store.renaming.is_none();
        actions.push(if store.current_work().is_some() && free { Action::Stop } else { Action::Close });
    }
    actions
}

/// Commands whose name holds all words of the query, in the order of the table.
pub fn find(query: &str) -> impl Iterator<Item = &'static CommandEntry> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    COMMANDS.iter().filter(move |command| {
        let name = command.name.to_lowercase();
        words.iter().all(|word| name.contains(word))
    })
}
