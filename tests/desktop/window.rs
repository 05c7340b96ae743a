//! A window without a screen: the app with the scripted engine, driven by accessible names.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use foveal::desktop::engine::EngineLoop;
use foveal::desktop::fake::Script;
use foveal::desktop::history::History;
use foveal::desktop::messages::ModelChoice;
use foveal::desktop::store::{ModelState, Settings, Store};
use foveal::desktop::{App, DesktopOptions};

/// Longest wait for the engine thread.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) const QUESTION: &str = "What is the access code of the amber lighthouse?";
pub(crate) const FACT: &str = "The access code of the amber lighthouse is 4821.";

/// The app in its harness; the app is made in the first frame, when there is a context.
pub(crate) struct Window {
    pub(crate) harness: Harness<'static, Option<App>>,
    _kept: Option<tempfile::TempDir>,
}

/// A logbook of so many days with one fact in its first third.
pub(crate) fn logbook(days: usize) -> String {
    let openers = [
        "Clear skies and a hard frost.",
        "Fog until noon.",
        "Rain, then a rainbow over the bay.",
        "Strong wind from the west.",
    ];
    let clauses = [
        "The supply boat arrived two hours late and the crew looked tired.",
        "We unloaded flour, lamp oil and four crates of books.",
        "Jonas cleaned the lens and painted the railing once more.",
        "The radio was silent, so we read the old newspapers aloud.",
        "A seal lay on the pier and did not mind the children.",
        "The council asked for a new list of spare parts.",
    ];
    let mut text = String::from("Logbook of the Northern Station\n\n");
    for day in 0..days {
        text.push_str(&format!("Day {day}. {}", openers[day * 7 % 4]));
        for step in 0..5 {
            text.push(' ');
            text.push_str(clauses[(day * 5 + step * 3) % 6]);
        }
        if day == days / 3 {
            text.push(' ');
            text.push_str(FACT);
        }
        text.push_str("\n\n");
    }
    text
}

impl Window {
    /// Opens the window with this script and the logbook as its sample.
    pub(crate) fn open(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mut window = Self::open_in(script, path, [1280.0, 800.0]);
        window._kept = Some(folder);
        window
    }

    /// Opens the window on an existing folder.
    pub(crate) fn open_in(script: Script, folder: PathBuf, size: [f32; 2]) -> Self {
        let options = Self::options(script, folder);
        Self::build(Harness::builder(), options, size)
    }

    /// Opens the window with another engine.
    pub(crate) fn with_engine(engine: EngineLoop) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = DesktopOptions { engine, ..Self::options(Script::instant(), folder.path().to_owned()) };
        let mut window = Self::build(Harness::builder(), options, [1280.0, 800.0]);
        window._kept = Some(folder);
        window
    }

    /// The same with settings from an earlier run.
    pub(crate) fn with_engine_and(engine: EngineLoop, settings: &Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        History::open(folder.path().to_owned()).unwrap().write_settings(settings).unwrap();
        let options = DesktopOptions { engine, ..Self::options(Script::instant(), folder.path().to_owned()) };
        let mut window = Self::build(Harness::builder(), options, [1280.0, 800.0]);
        window._kept = Some(folder);
        window
    }

    /// The same with a renderer, for pictures.
    pub(crate) fn with_pictures(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Self::options(script, folder.path().to_owned());
        let mut window = Self::build(Harness::builder().wgpu(), options, [1280.0, 800.0]);
        window._kept = Some(folder);
        window.until(|store| matches!(store.model, ModelState::Ready(..)));
        window
    }

    fn build(builder: egui_kittest::HarnessBuilder<Option<App>>, options: DesktopOptions, size: [f32; 2]) -> Self {
        let harness = builder.with_size(size).with_max_steps(16).allow_missing_glyphs().build_ui_state(
            move |ui, app: &mut Option<App>| {
                let context = ui.ctx().clone();
                let app = app.get_or_insert_with(|| App::new(&context, options.clone()).unwrap());
                app.logic(&context);
                app.ui(ui);
            },
            None,
        );
        Self { harness, _kept: None }
    }

    fn options(script: Script, data_folder: PathBuf) -> DesktopOptions {
        DesktopOptions {
            engine: script.engine(),
            data_folder,
            model: Some(ModelChoice::BuiltIn),
            sample: Some(("Logbook.txt".into(), logbook(110), QUESTION.into())),
            documents: Vec::new(),
            pdf: Some(foveal::desktop::PdfReader::new(env!("CARGO_BIN_EXE_foveal").into())),
            device: None,
            context: None,
            weights: None,
            cache: None,
            chat: None,
            reopened: None,
            faults: Default::default(),
        }
    }

    /// Opens it and waits for the model.
    pub(crate) fn ready(script: Script) -> Self {
        let mut window = Self::open(script);
        window.until(|store| matches!(store.model, ModelState::Ready(..)));
        window
    }

    pub(crate) fn store(&self) -> &Store {
        self.harness.state().as_ref().unwrap().store()
    }

    pub(crate) fn app(&mut self) -> &mut App {
        self.harness.state_mut().as_mut().unwrap()
    }

    /// Draws frames until the state is as wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Store) -> bool) {
        let start = Instant::now();
        loop {
            self.harness.step();
            if wanted(self.store()) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain; notices: {:?}", self.store().notices);
            std::thread::sleep(Duration::from_millis(2));
        }
        self.settle();
    }

    /// A few frames, so that what was clicked is done and drawn.
    pub(crate) fn settle(&mut self) {
        self.harness.run_steps(4);
    }

    /// Clicks what has this accessible name.
    #[track_caller]
    pub(crate) fn click(&mut self, name: &str) {
        assert!(self.has(name), "nothing is called {name:?}");
        self.harness.get_by_label(name).click();
        self.settle();
    }

    /// Clicks the first of several things of this name.
    #[track_caller]
    pub(crate) fn click_first(&mut self, name: &str) {
        self.harness.get_all_by_label(name).next().unwrap().click();
        self.settle();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.harness.query_all_by_label(name).next().is_some()
    }

    pub(crate) fn has_part(&self, part: &str) -> bool {
        self.harness.query_all_by_label_contains(part).next().is_some()
    }

    /// Types into the field of this name.
    pub(crate) fn type_into(&mut self, name: &str, text: &str) {
        for step in 0..2 {
            let is_field = |node: &egui_kittest::Node<'_>| {
                matches!(node.accesskit_node().role(), Role::TextInput | Role::MultilineTextInput | Role::SearchInput)
            };
            let field = self.harness.get_all_by_label(name).find(is_field).expect("a field of this name");
            if step == 0 {
                field.focus()
            } else {
                field.type_text(text)
            }
            self.settle();
        }
    }

    pub(crate) fn key(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    /// Attaches the sample, asks its question and waits for the end of the answer.
    pub(crate) fn ask_sample(&mut self) {
        self.click("Try the sample");
        self.click("Send");
        self.until(|store| store.work.is_none() && last_text(store).len() > 3);
    }

    /// Clicks, and returns what was put on the clipboard.
    #[track_caller]
    pub(crate) fn copied_by(&mut self, name: &str) -> Option<String> {
        self.harness.get_by_label(name).click();
        let mut copied = None;
        for _ in 0..4 {
            self.harness.step();
            for command in &self.harness.output().platform_output.commands {
                if let egui::OutputCommand::CopyText(text) = command {
                    copied = Some(text.clone());
                }
            }
        }
        copied
    }

    /// Clicks a place inside what has this name: parts of its width and height.
    #[track_caller]
    pub(crate) fn click_in(&mut self, name: &str, x: f32, y: f32) {
        let rect = self.harness.query_all_by_label_contains(name).next().unwrap().rect();
        let position = rect.min + egui::vec2(rect.width() * x, rect.height() * y);
        self.harness.hover_at(position);
        self.settle();
        for pressed in [true, false] {
            self.harness.event(egui::Event::PointerButton {
                pos: position,
                button: egui::PointerButton::Primary,
                pressed,
                modifiers: egui::Modifiers::NONE,
            });
        }
        self.settle();
    }

    /// Writes a picture of the window.
    pub(crate) fn shot(&mut self, path: &std::path::Path) {
        self.harness.render().unwrap().save(path).unwrap();
    }
}

/// The last message on screen.
pub(crate) fn last_text(store: &Store) -> String {
    store.chat().unwrap().path().last().map(|message| message.text.clone()).unwrap_or_default()
}
