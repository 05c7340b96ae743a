//! What the window promises beside the chat itself: files dropped on it, the ribbon's zoom, marks of what was read, models
//! and devices to choose from, every setting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use egui::accesskit::Role;
use egui::{Key, Modifiers, Shape};
use egui_kittest::kittest::Queryable;
use foveal::desktop::fake::Script;
use foveal::desktop::messages::ModelChoice;
use foveal::desktop::store::{Action, Dialog, ModelState, Notice, PlanState};
use foveal::desktop::theme::Palette;

use super::actions::{quick, say};
use super::window::{FACT, Window};

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_on(window: &mut Window, path: &Path) {
    window.harness.input_mut().dropped_files.push(Arc::new(Dropped(path.to_owned())));
    window.settle();
}

/// A PDF of one page with this line, as the format's definition has it.
fn pdf(line: &str) -> Vec<u8> {
    let page = format!("BT /F1 12 Tf 72 720 Td ({line}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}\nendstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut places = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        places.push(file.len());
        file += &format!("{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let table = file.len();
    file += &format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1);
    places.iter().for_each(|place| file += &format!("{place:010} 00000 n \n"));
    file += &format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", places.len() + 1);
    file.into_bytes()
}

#[test]
fn documents_and_models_are_dropped_on_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = quick();
    let source = folder.path().join("lamp.rs");
    std::fs::write(&source, "fn burn() {}\n").unwrap();
    let paper = folder.path().join("paper.pdf");
    std::fs::write(&paper, pdf("The harbour froze in March.")).unwrap();
    for (path, words) in [(&source, "fn burn()"), (&paper, "The harbour froze in March.")] {
        let before = window.store().draft.documents.len();
        drop_on(&mut window, path);
        window.until(|store| store.draft.documents.len() > before || !store.notices.is_empty());
        let id = *window.store().draft.documents.last().unwrap_or_else(|| panic!("{:?}", window.store().notices));
        assert!(window.store().documents[&id].text.contains(words), "{:?}", window.store().documents[&id].text);
    }
    // Two documents, of which one is shown.
    assert_eq!(window.store().draft.documents.len(), 2);
    window.click_first("lamp.rs");
    assert_eq!(window.store().open_document, window.store().draft.documents.first().copied());
    let model = folder.path().join("some-model");
    std::fs::create_dir(&model).unwrap();
    drop_on(&mut window, &model);
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    assert_eq!(window.store().dialog, Some(Dialog::Models));
    assert!(window.has("Open this model"));
}

#[test]
fn models_that_were_open_are_one_click_away() {
    let (folder, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = models.path().join("harbour-8B");
    std::fs::create_dir(&path).unwrap();
    {
        let mut window = Window::open_in(Script::instant(), folder.path().to_owned(), [1280.0, 800.0]);
        window.until(|store| store.model_info().is_some());
        window.click("Model: Foveal Tiny");
        window.type_into("Model path", &path.display().to_string());
        window.click("Look");
        window.until(|store| matches!(store.plan, PlanState::Ready(..)));
        window.click("Open this model");
        window.until(|store| store.model_info().is_some());
        assert!(window.has("Model: harbour-8B"));
    }
    let mut window = Window::open_in(Script::instant(), folder.path().to_owned(), [1280.0, 800.0]);
    window.until(|store| store.model_info().is_some());
    window.key(Modifiers::COMMAND, Key::L);
    window.click("harbour-8B");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    window.click("Open this model");
    window.until(|store| store.model_info().is_some());
    let ModelState::Ready(choice, _) = &window.store().model else { panic!("{:?}", window.store().model) };
    assert_eq!(*choice, ModelChoice::Path(path));
}

#[test]
fn the_device_is_chosen() {
    let mut window = quick();
    window.app().act(Action::Open(Dialog::DeviceSettings));
    window.until(|store| store.devices.len() == 3);
    window.harness.get_by_role_and_label(Role::ComboBox, "Device").click();
    window.settle();
    assert!(!window.has_part("Old GPU ("), "what cannot be used is not offered");
    window.click("Processor (CPU, slow)");
    assert_eq!(window.store().settings.device.as_deref(), Some("Processor"));
    window.click("At most");
    window.harness.get_by_label("Context in tokens").set_value_accesskit(4096.0);
    window.settle();
    assert_eq!(window.store().load_options().context, Some(4096));
}

#[test]
fn every_setting_of_an_answer_can_be_changed() {
    let mut window = quick();
    window.click("Settings");
    for (name, value) in
        [("Top p", 0.5), ("Min p", 0.25), ("Top k", 20.0), ("Repetition", 1.5), ("Longest answer", 99.0)]
    {
        window.harness.get_by_label(name).set_value_accesskit(value);
        window.settle();
    }
    window.click("Fixed seed");
    window.harness.get_by_label("Seed").set_value_accesskit(7.0);
    window.settle();
    window.harness.get_by_label("Use for new chats").scroll_to_me();
    window.settle();
    window.click("Use for new chats");
    let settings = window.store().chat().unwrap().settings.clone();
    let sampling = &settings.sampling;
    assert_eq!((sampling.top_k, sampling.max_tokens, sampling.seed), (20, 99, Some(7)));
    for (value, wanted) in [(sampling.top_p, 0.5), (sampling.min_p, 0.25), (sampling.repeat_penalty, 1.5)] {
        assert!((value - wanted).abs() < 0.01, "{value} {wanted}");
    }
    assert_eq!(window.store().settings.new_chat, settings);
    window.click("Appearance");
    window.click("Nothing moves by itself");
    assert!(window.store().settings.reduce_motion);
    assert_eq!(window.harness.ctx.global_style().animation_time, 0.0);
    window.key(Modifiers::NONE, Key::Escape);
    let scale = window.store().settings.scale;
    window.key(Modifiers::COMMAND, Key::Plus);
    assert!(window.store().settings.scale > scale);
    window.key(Modifiers::COMMAND, Key::Num0);
    assert_eq!(window.store().settings.scale, 1.0);
}

#[test]
fn the_way_to_the_first_word_is_told() {
    let script = Script { prefill_step: Duration::from_millis(150), ..Script::instant() };
    let mut window = Window::ready(script);
    window.type_into("Message", "Who wrote this, and when?");
    window.until(|store| store.draft.tokens.is_some());
    let tokens = window.store().draft.tokens.unwrap();
    assert!(window.has_part(&format!("the draft has {tokens}.")), "the gauge counts what is typed");
    window.app().act(Action::Draft(String::new()));
    window.settle();
    window.click("Try the sample");
    window.until(|store| !store.document_tokens.is_empty());
    assert!(window.has_part("Documents are 100 % of it"), "and what is attached");
    window.click("Send");
    let (mut read, mut left) = (false, false);
    while window.store().work.is_some() {
        window.harness.step();
        read |= window.has_part("Reading ");
        left |= window.has_part(" s left");
    }
    assert!(read && left, "{read} {left}");
}

#[test]
fn the_ribbon_is_enlarged_by_dragging() {
    let mut window = quick();
    window.ask_sample();
    let ribbon = window.harness.query_all_by_label_contains("Context ribbon").next().unwrap().rect();
    let at = |part: f32| ribbon.min + egui::vec2(ribbon.width() * part, ribbon.height() * 0.4);
    window.harness.drag_at(at(0.3));
    window.settle();
    for part in [0.4, 0.6] {
        window.harness.hover_at(at(part));
        window.settle();
    }
    window.harness.drop_at(at(0.6));
    window.settle();
    let blocks = window.store().reading().unwrap().blocks();
    let zoom = window.store().focus.zoom.clone().expect("a part is shown");
    assert!(zoom.start > blocks / 6 && zoom.end < blocks * 5 / 6 && zoom.len() > 3, "{zoom:?} of {blocks}");
    // The pictures share the axis: a click in the middle is a block of that part.
    window.click_in("Context ribbon", 0.5, 0.4);
    assert!(zoom.contains(&window.store().focus.block.unwrap()));
    window.click("All");
    assert_eq!(window.store().focus.zoom, None);
    // The pointer on a block tells its text and votes.
    window.harness.hover_at(at(0.4));
    window.harness.run_steps(4);
    assert!(window.has_part(" readers, chance ") || window.has_part("always read"));
}

/// Stretches of this colour between two heights.
fn tinted(window: &Window, top: f32, bottom: f32) -> usize {
    let palette = Palette::for_dark(window.harness.ctx.global_style().visuals.dark_mode);
    let tints: Vec<_> = (1..=5).filter_map(|step| palette.tint(step)).collect();
    let is_tint = |shape: &Shape| match shape {
        Shape::Rect(rect) => tints.contains(&rect.fill) && rect.rect.top() >= top && rect.rect.bottom() <= bottom,
        _ => false,
    };
    window.harness.output().shapes.iter().filter(|clipped| is_tint(&clipped.shape)).count()
}

#[test]
fn a_block_shows_the_words_that_were_written_from_it() {
    let mut window = quick();
    window.ask_sample();
    window.click_first("Show or hide documents");
    let answer = window.harness.query_all_by_label_contains(FACT).next().unwrap().rect();
    let marked = |window: &Window| tinted(window, answer.top() - 4.0, answer.bottom() + 4.0);
    assert_eq!(marked(&window), 0, "the answer itself was read by rule");
    let hottest = window.store().reading().unwrap().ranking()[0];
    window.app().act(Action::FocusBlock(Some(hottest)));
    window.settle();
    let words = marked(&window);
    assert!(words > 3, "{words} words");
    // A block that nobody chose has no words.
    let sums = |block: u32| window.store().reading().unwrap().block_sums(block).1;
    let unread = (1..window.store().reading().unwrap().blocks()).find(|block| sums(*block) == 0).unwrap();
    window.app().act(Action::FocusBlock(Some(unread)));
    window.settle();
    assert_eq!(marked(&window), 0);
}

#[test]
fn what_was_hardly_read_is_shown() {
    let mut window = quick();
    window.ask_sample();
    let before = window.store().focus.scroll.clone();
    let name = window.harness.query_all_by_label_contains("Hardly read: lines ").next().unwrap();
    name.click();
    window.settle();
    let after = window.store().focus.scroll.clone().unwrap();
    assert_ne!(before.map(|(wish, ..)| wish), Some(after.0));
    let reading = window.store().reading().unwrap();
    let skipped = reading.coverage(foveal::desktop::trace_data::Source::Document(after.1)).unwrap().skipped.unwrap();
    assert_eq!(after.2, skipped.bytes);
}

#[test]
fn a_reader_far_up_is_led_to_the_end() {
    let mut window =
        Window::ready(Script { answer: Some("A line of an answer.\n\n".repeat(120)), ..Script::instant() });
    say(&mut window, "hello");
    assert!(!window.has("Jump to the end"));
    let top = |window: &Window| window.harness.get_by_label("Copy answer").rect().top();
    let end = top(&window);
    window.key(Modifiers::NONE, Key::PageUp);
    window.harness.run_steps(30);
    assert!(top(&window) > end + 200.0);
    window.click("Jump to the end");
    window.harness.run_steps(30);
    assert!((top(&window) - end).abs() < 2.0, "{} {end}", top(&window));
}

/// The file that the note names; it is taken away again.
fn saved(window: &mut Window) -> Vec<u8> {
    window.until(|store| !store.notices.is_empty());
    let Notice::Done(words) = window.store().notices[0].notice.clone() else { panic!("{:?}", window.store().notices) };
    let path = PathBuf::from(words.strip_prefix("Saved ").unwrap());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
}

#[test]
fn a_chat_and_a_picture_are_saved() {
    let mut window = Window::with_pictures(Script::instant());
    window.ask_sample();
    window.click("Export chat");
    let text = String::from_utf8(saved(&mut window)).unwrap();
    assert!(text.contains("## You\n\n*Document: Logbook.txt*") && text.contains(FACT), "{text}");
    window.app().act(Action::Dismiss(0));
    window.settle();
    window.click_first("Show or hide reading details");
    window.click("Export what was read");
    window.click("Picture of the window (PNG)");
    let picture = saved(&mut window);
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{} bytes", picture.len());
}

#[test]
fn chats_have_a_menu() {
    let mut window = quick();
    say(&mut window, "about whales");
    window.app().act(Action::NewChat);
    window.settle();
    window.harness.get_by_label("about whales").click_secondary();
    window.settle();
    window.click("Rename");
    assert!(window.store().renaming.is_some());
    window.key(Modifiers::NONE, Key::Escape);
    window.harness.get_by_label("about whales").click_secondary();
    window.settle();
    window.click("Move to trash");
    assert_eq!(window.store().trash.len(), 1);
}
