//! The window with a real model: the folder named by FOVEAL_MODEL, skipped without it.

use std::path::PathBuf;

use foveal::desktop::messages::FinishReason;
use foveal::desktop::model_engine::{ModelEngineOptions, model_engine};
use foveal::desktop::store::Action;
use foveal::desktop::trace_data::Mode;

use super::window::{QUESTION, Window, last_text, logbook};

#[test]
fn a_real_model_answers_about_a_document() {
    let Some(folder) = std::env::var_os("FOVEAL_MODEL").map(PathBuf::from) else { return };
    let engine = model_engine(ModelEngineOptions { built_in: folder, ..Default::default() });
    let mut window = Window::with_engine(engine);
    window.until(|store| store.model_info().is_some());
    assert!(window.store().model_info().is_some_and(|info| info.sparse_from == Some(2048)));
    window.ask_sample();
    assert!(last_text(window.store()).contains("4821"), "{}", last_text(window.store()));
    let chat = window.store().chat().expect("a chat");
    assert_eq!(chat.path()[1].finish, Some(FinishReason::EndOfText));
    let reading = window.store().reading().expect("a reading");
    assert_eq!(reading.last_step().map(|step| step.mode), Some(Mode::Sparse));
    let fact = logbook(110).find("4821").expect("the fact") as u32;
    let document = window.store().sample.as_ref().expect("the sample").id;
    let source = foveal::desktop::messages::Source::Document(document);
    let blocks = foveal::desktop::attention::blocks_of(&reading.map, reading.block_size(), source, &(fact..fact + 4));
    let read = blocks.map(|block| reading.block_sums(block).1).max();
    assert!(read > Some(0), "the passage that holds the answer was chosen at some token");
    window.type_into("Message", QUESTION);
    window.click("Send");
    window.until(|store| store.work.is_none());
    let stats = window.store().chat().expect("a chat").path()[3].stats.clone().expect("figures");
    assert!(stats.reused_tokens > 5000, "the second question costs only its own tokens: {stats:?}");
    window.app().act(Action::Regenerate(3));
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 0));
    window.app().act(Action::Stop);
    assert!(window.store().work.is_none());
}
