//! Pictures for the eye: written to the folder named by FOVEAL_SHOTS, skipped without it.

use std::path::PathBuf;
use std::time::Duration;

use foveal::desktop::fake::{Script, Trouble};
use foveal::desktop::store::settings::ThemeChoice;
use foveal::desktop::store::{Action, Dialog, Phase, PlanState};

use super::window::{QUESTION, Window};

fn themed(window: &mut Window, theme: ThemeChoice) {
    let mut settings = window.store().settings.clone();
    settings.theme = theme;
    window.app().act(Action::Settings(Box::new(settings)));
    window.settle();
}

#[test]
fn pictures() {
    let Some(folder) = std::env::var_os("FOVEAL_SHOTS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let script = Script { token: Duration::from_millis(8), layers: 16, ..Script::instant() };
    let mut window = Window::with_pictures(script);
    themed(&mut window, ThemeChoice::Light);
    window.shot(&folder.join("01-first-start.png"));
    window.click("Try the sample");
    window.shot(&folder.join("02-sample-attached.png"));
    window.click("Send");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.phase == Phase::Writing && work.tokens > 30));
    window.shot(&folder.join("03-streaming.png"));
    window.until(|store| store.work.is_none());
    window.shot(&folder.join("04-answered.png"));
    window.click("1 · line 75");
    window.shot(&folder.join("05-block-card.png"));
    window.click("Hide this passage and answer again");
    window.until(|store| store.work.is_none());
    window.shot(&folder.join("19-what-if.png"));
    window.click("line 75 hidden ×");
    window.app().act(Action::ShowVersion(2, -1));
    window.settle();
    window.click("1 · line 75");
    window.click_first("Show or hide reading details");
    window.shot(&folder.join("06-readers.png"));
    window.click("Over time");
    window.shot(&folder.join("07-waterfall.png"));
    window.click("Top blocks");
    window.shot(&folder.join("08-table.png"));
    themed(&mut window, ThemeChoice::Dark);
    window.click("Readers");
    window.shot(&folder.join("09-dark.png"));
    window.click_first("Show or hide reading details");
    window.app().act(Action::Open(Dialog::Settings));
    window.settle();
    window.shot(&folder.join("10-settings-dark.png"));
    themed(&mut window, ThemeChoice::Light);
    window.click("Model and device");
    window.shot(&folder.join("11-settings-device.png"));
    window.app().act(Action::Close);
    window.app().act(Action::Open(Dialog::Models));
    window.settle();
    window.click("Built-in model");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    window.shot(&folder.join("12-models.png"));
    window.app().act(Action::Close);
    window.app().act(Action::Open(Dialog::Palette));
    window.settle();
    window.shot(&folder.join("13-palette.png"));
    window.app().act(Action::Close);
    window.app().act(Action::NewChat);
    window.settle();
    window.type_into("Message", "Show me what you can draw");
    window.click("Send");
    window.until(|store| store.work.is_none());
    window.shot(&folder.join("14-dense-markdown.png"));

    let mut window = Window::with_pictures(Script { trouble: Some(Trouble::LostAfter(20)), ..Script::instant() });
    themed(&mut window, ThemeChoice::Light);
    window.type_into("Message", QUESTION);
    window.click("Send");
    window.until(|store| !store.notices.is_empty());
    window.shot(&folder.join("15-error.png"));

    let mut window = Window::with_pictures(Script { token: Duration::from_millis(2), ..Script::instant() });
    themed(&mut window, ThemeChoice::Light);
    window.click("Think before answering");
    window.ask_sample();
    window.click_in("Thinking (", 0.5, 0.5);
    window.click("Edit question");
    window.shot(&folder.join("16-thinking-edit.png"));
    window.click("Cancel");
    window.click("Compare dense and sparse");
    window
        .until(|store| store.work.is_none() && store.compare.as_ref().is_some_and(|compare| compare.sparse.is_some()));
    window.shot(&folder.join("17-compare.png"));
    window.click("Close comparison");
    window.click("Delete answer");
    window.harness.set_size(egui::vec2(760.0, 480.0));
    window.settle();
    window.shot(&folder.join("18-small.png"));

    let folder_of = tempfile::tempdir().unwrap();
    let script = Script { trouble: Some(Trouble::ContextFull), token: Duration::from_millis(8), ..Script::instant() };
    let mut window = Window::with_pictures(Script { answer: Some("and so on ".repeat(400)), ..script });
    themed(&mut window, ThemeChoice::Light);
    window.click("Try the sample");
    window.click("Send");
    window.until(|store| !store.notices.is_empty());
    window.shot(&folder.join("20-unanswered.png"));
    window.app().act(Action::Dismiss(0));
    window.click("Answer");
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 30));
    window.app().act(Action::NewChat);
    window.settle();
    for name in ["report.txt", "a rather long name of a document that was kept.md", "notes.md"] {
        let path = folder_of.path().join(name);
        std::fs::write(&path, format!("{name}\n{}", "words ".repeat(900))).unwrap();
        window.app().act(Action::ReadFiles(vec![path]));
    }
    window.until(|store| store.draft.documents.len() == 3);
    window.click("Remove notes.md");
    window.click("Documents used before");
    window.shot(&folder.join("21-elsewhere-and-library.png"));
    window.key(egui::Modifiers::NONE, egui::Key::Escape);
    window.click("Stop it");
    window.click_first("What is the access code of the amber lighthouse?");
    window.click("Move chat to trash");
    window.click("Trash (1)");
    window.click("Empty the trash");
    window.shot(&folder.join("22-trash.png"));
}
