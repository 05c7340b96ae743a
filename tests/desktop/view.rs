//! The attention view by accessible names, and what it draws against the trace.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use foveal::desktop::fake::Script;
use foveal::desktop::messages::{AttentionChoice, PinRule};
use foveal::desktop::store::Action;
use foveal::desktop::trace_data::Mode;

use super::actions::{quick, say};
use super::window::{FACT, Window, last_text};

#[test]
fn the_pill_chooses_the_attention() {
    let mut window = quick();
    say(&mut window, "hello");
    assert!(window.has_part("Attention. Dense: reads all "), "short contexts are read whole");
    window.click_in("Attention. ", 0.5, 0.5);
    window.click_first("Sparse");
    assert_eq!(window.store().chat().unwrap().settings.attention, AttentionChoice::Sparse);
    say(&mut window, "again");
    assert_eq!(window.store().mode(), Some(Mode::Sparse));
}

#[test]
fn the_switch_is_marked_in_the_answer() {
    let words = "word ".repeat(60);
    let mut window = Window::ready(Script { sparse_from: 80, answer: Some(words), ..Script::instant() });
    say(&mut window, &"long question ".repeat(10));
    let chat = window.store().chat().unwrap();
    let message = chat.path()[1].clone();
    assert_eq!(message.switches.len(), 1);
    assert_eq!(message.switches[0].1, Mode::Sparse);
    assert!(message.switches[0].0 > 0 && (message.switches[0].0 as usize) < message.text.len());
}

#[test]
fn words_lead_to_passages_and_back() {
    let mut window = quick();
    window.ask_sample();
    window.click_in(FACT, 0.3, 0.5);
    let tokens = window.store().focus.tokens.clone().expect("a word is chosen");
    let shade = window.store().shade().unwrap();
    assert!(window.store().focus.scroll.is_some(), "the document shows what was read for the word");
    let reading = window.store().reading().unwrap();
    assert_eq!(shade, reading.shade(&foveal::desktop::attention::Span::Tokens(tokens), &Default::default()));
    window.click_in("Context ribbon", 0.5, 0.45);
    let block = window.store().focus.block.expect("a block is chosen");
    assert!(window.has(&format!("Block {block}")));
    assert!(window.store().focus.scroll.is_some(), "the document shows it");
    let copied = window.copied_by("Copy passage").unwrap();
    assert!(super::window::logbook(110).contains(&copied));
    window.click("Close block card");
    assert!(window.store().focus.block.is_none());
    window.click("1 · line 75");
    let block = window.store().focus.block.unwrap();
    let hottest = window.store().reading().unwrap().ranking()[0];
    assert_eq!(block, hottest);
    window.click_in("tired. The access code", 0.5, 0.95);
    assert_eq!(window.store().focus.block, Some(block), "the same passage in the document is the same block");
}

#[test]
fn the_details_show_readers_time_and_table() {
    let mut window = quick();
    window.ask_sample();
    window.click_first("Show or hide reading details");
    window.click_in("Reader matrix", 0.5, 0.99);
    assert_eq!(window.store().focus.filter, foveal::desktop::attention::ReaderFilter::One(4, 1));
    window.click("All layers");
    window.click("Late");
    assert_eq!(window.store().focus.filter, foveal::desktop::attention::ReaderFilter::Layers(4..5));
    window.click("All layers");
    window.click("Over time");
    window.click_in("Waterfall", 0.5, 0.3);
    assert_eq!(window.store().focus.tokens.as_ref().map(|tokens| tokens.len()), Some(1));
    window.click("Whole answer");
    assert!(window.store().focus.tokens.is_none());
    window.click("Top blocks");
    let ranking = window.store().reading().unwrap().ranking();
    window.app().act(Action::FocusBlock(Some(ranking[0])));
    window.harness.get_by_label("Top blocks").focus();
    window.settle();
    window.key(Modifiers::NONE, Key::ArrowDown);
    assert_eq!(window.store().focus.block, Some(ranking[1]), "arrows walk through the table");
    window.click_first(&format!("Block {}", ranking[0]));
    assert_eq!(window.store().focus.block, Some(ranking[0]));
    window.harness.get_by_label("Replay the answer").set_value_accesskit(3.0);
    window.settle();
    assert_eq!(window.store().focus.scrub, Some(3));
}

/// The picture against the exported trace, counted anew.
#[test]
fn what_is_drawn_equals_the_trace() {
    let mut window = quick();
    window.ask_sample();
    let trace: serde_json::Value = serde_json::from_str(&window.app().trace_json().unwrap()).unwrap();
    let tokens = trace["tokens"].as_array().unwrap();
    let mut votes = vec![0.0_f32; window.app().drawn_votes().len()];
    let mut sparse = 0.0;
    for token in tokens.iter().filter(|token| token["mode"] == "Sparse") {
        sparse += 1.0;
        for block in token["readers"].as_array().unwrap().iter().flat_map(|reader| reader.as_array().unwrap()) {
            votes[block.as_u64().unwrap() as usize] += 1.0;
        }
    }
    assert!(sparse > 0.0);
    for (block, (drawn, counted)) in window.app().drawn_votes().iter().zip(&votes).enumerate() {
        assert!((drawn - counted / sparse).abs() < 1e-3, "block {block}: {drawn} {}", counted / sparse);
    }
    let text: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
    assert_eq!(text, last_text(window.store()));
}

#[test]
fn compare_and_what_if() {
    let mut window = quick();
    window.ask_sample();
    window.click("Compare dense and sparse");
    window
        .until(|store| store.work.is_none() && store.compare.as_ref().is_some_and(|compare| compare.sparse.is_some()));
    assert!(window.has("Dense: reads everything") && window.has("Sparse: reads what it selects"));
    window.click("Close comparison");
    assert!(window.store().compare.is_none());
    window.app().act(Action::ShowVersion(3, -2));
    window.settle();
    window.click("1 · line 75");
    let block = window.store().focus.block.unwrap();
    window.click("Hide this passage and answer again");
    window.until(|store| store.work.is_none());
    assert_eq!(window.store().chat().unwrap().pins[0].rule, PinRule::Exclude);
    assert_eq!(window.store().reading().unwrap().block_sums(block).0, 0.0, "hidden, but still chosen");
    assert!(window.has_part("the document is not read again"));
    window.app().act(Action::FocusBlock(Some(block)));
    window.settle();
    assert!(window.has("not read: hidden by you"));
    window.click("Always read this passage and answer again");
    window.until(|store| store.work.is_none());
    let pins = window.store().chat().unwrap().pins.clone();
    assert_eq!((pins.len(), pins[0].rule), (1, PinRule::Require), "the new rule takes the place of the old one");
    let step = window.store().reading().unwrap().last_step().unwrap();
    assert!(step.pinned.contains(&block) && step.forced.contains(&block) && step.excluded.is_empty());
    window.app().act(Action::FocusBlock(Some(block)));
    window.settle();
    assert!(window.has("always read: pinned by you"));
    let trace = window.app().trace_json().unwrap();
    assert!(trace.contains("\"pinned\":["), "the exported trace says so");
    window.click_in("Attention. ", 0.5, 0.5);
    window.click_first("Dense");
    assert!(window.has_part("no effect: dense attention reads everything"));
    window.click("line 75 always read ×");
    assert!(window.store().chat().unwrap().pins.is_empty());
    assert!(!window.has_part("no effect"));
}
