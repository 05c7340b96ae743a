//! A few small pictures, for layout only: compared with the images in tests/desktop/snapshots. What an answer draws is
//! compared as data elsewhere: its speeds differ in every run. `UPDATE_SNAPSHOTS=1` writes them again.

use std::time::Duration;

use egui_kittest::SnapshotOptions;
use foveal::desktop::fake::{Script, Trouble};
use foveal::desktop::store::settings::ThemeChoice;
use foveal::desktop::store::{Action, Dialog};

use super::window::Window;

fn open(script: Script, theme: ThemeChoice) -> Window {
    let mut window = Window::with_pictures(script);
    let mut settings = window.store().settings.clone();
    settings.theme = theme;
    window.app().act(Action::Settings(Box::new(settings)));
    window.harness.set_size(egui::vec2(960.0, 600.0));
    window.settle();
    window
}

fn compare(window: &mut Window, name: &str) {
    window.harness.remove_cursor();
    window.harness.run_steps(3);
    // Drivers differ in the last bit of blended edges.
    let options = SnapshotOptions::new().output_path("tests/desktop/snapshots").threshold(1.5).max_failed_pixels(60);
    window.harness.snapshot_options(name, &options);
}

#[test]
fn first_start_in_light() {
    let mut window = open(Script::instant(), ThemeChoice::Light);
    compare(&mut window, "first-start");
}

#[test]
fn error_card_in_light() {
    let mut window = open(Script { trouble: Some(Trouble::LostAfter(9)), ..Script::instant() }, ThemeChoice::Light);
    window.type_into("Message", "hello");
    window.click("Send");
    window.until(|store| !store.notices.is_empty());
    std::thread::sleep(Duration::from_millis(5));
    compare(&mut window, "error-card");
}

/// An answer with all that is drawn about it. The engine's clock is scripted, so that no speed differs.
#[test]
fn sparse_answer_in_light() {
    let told = Some(Duration::from_millis(20));
    let mut window = open(Script { told, ..Script::instant() }, ThemeChoice::Light);
    window.harness.set_size(egui::vec2(1180.0, 760.0));
    window.settle();
    window.ask_sample();
    window.click_first("Show or hide reading details");
    window.click_in(super::window::FACT, 0.93, 0.5);
    compare(&mut window, "sparse-answer");
}

#[test]
fn settings_in_dark() {
    let mut window = open(Script::instant(), ThemeChoice::Dark);
    window.app().act(Action::Open(Dialog::Settings));
    window.settle();
    compare(&mut window, "settings");
}
