//! What was read for an answer is there again after a restart: heat, passages and sums, without the single steps.

use foveal::desktop::attention::Reading;
use foveal::desktop::fake::Script;
use foveal::desktop::history::History;
use foveal::desktop::messages::{ContextMap, Source};
use foveal::desktop::store::Action;
use proptest::prelude::*;

use super::window::Window;

fn open(folder: &tempfile::TempDir) -> Window {
    let mut window = Window::open_in(Script::instant(), folder.path().to_owned(), [1280.0, 800.0]);
    window.until(|store| store.model_info().is_some());
    window
}

#[test]
fn yesterdays_answer_still_shows_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(&folder);
    window.ask_sample();
    let before = window.store().reading().unwrap().clone();
    let (votes, hottest) = (window.app().drawn_votes().to_vec(), before.ranking()[0]);
    let sources: Vec<Source> = before.map.segments().iter().map(|segment| segment.source).collect();
    drop(window);
    let size: u64 = std::fs::read_dir(folder.path().join("traces"))
        .unwrap()
        .flatten()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(size < 12 * u64::from(before.map.len()), "{size} bytes for {} tokens", before.map.len());

    let mut window = open(&folder);
    window.until(|store| store.chats.len() == 2);
    assert!(window.store().readings.is_empty(), "read only when they are wanted");
    window.click_first("What is the access code of the amber lighthouse?");
    window.until(|store| store.reading().is_some());
    let after = window.store().reading().unwrap().clone();
    assert_eq!(window.app().drawn_votes(), votes);
    assert_eq!((after.ranking(), &after.map, after.last_step()), (before.ranking(), &before.map, before.last_step()));
    assert!(!after.has_steps() && before.has_steps());
    let document = sources.into_iter().find(|source| matches!(source, Source::Document(_))).unwrap();
    assert_eq!(after.coverage(document), before.coverage(document));
    assert!(window.has_part("Read closely:") && window.has_part("Attention. Sparse: reads "));
    window.app().act(Action::OpenBlock(hottest));
    window.settle();
    assert!(window.has(&format!("Block {hottest}")) && window.has_part("Chosen during "));
    window.click_first("Show or hide reading details");
    assert!(window.has_part("sums are kept"));
    window.click("Top blocks");
    assert!(window.has(&format!("Block {hottest}")));
}

#[test]
fn traces_go_with_their_chat_and_damage_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(&folder);
    window.ask_sample();
    drop(window);
    let traces = folder.path().join("traces");
    let path = std::fs::read_dir(&traces).unwrap().next().unwrap().unwrap().path();
    let sound = std::fs::read_to_string(&path).unwrap();
    let history = History::open(folder.path().to_owned()).unwrap();
    let chat = history.read_all().chats[0].id;
    assert_eq!(history.read_traces(chat).len(), 1);
    for damaged in [sound[..sound.len() / 2].to_owned(), sound.replacen("\"start\":0", "\"start\":9", 1), "{}".into()] {
        assert_ne!(damaged, sound);
        std::fs::write(&path, damaged).unwrap();
        assert!(history.read_traces(chat).is_empty());
        assert!(!path.exists(), "it is kept aside");
    }
    std::fs::write(&path, sound).unwrap();
    let mut window = open(&folder);
    window.until(|store| store.chats.len() == 2);
    window.app().act(Action::TrashChat(chat));
    window.app().act(Action::EmptyTrash);
    drop(window);
    assert_eq!(std::fs::read_dir(&traces).unwrap().count(), 0);
}

proptest! {
    /// Bytes of tokens overlap, leave gaps and go back: all of it is written and read as it is.
    #[test]
    fn maps_survive_the_way_to_the_disk(tokens in prop::collection::vec((0u8..4, 0u32..5000, 0u32..9), 0..200)) {
        let mut map = ContextMap::default();
        for (source, start, length) in tokens {
            let source = [Source::Template, Source::System, Source::Document(7), Source::Turn(1)][usize::from(source)];
            map.push(source, start..start + length);
        }
        prop_assert!(map.is_sound());
        let reading = Reading::new(3, map);
        let text = serde_json::to_string(&reading).unwrap();
        let read = serde_json::from_str::<Reading>(&text).unwrap().restored().unwrap();
        prop_assert_eq!(read, reading);
    }
}
