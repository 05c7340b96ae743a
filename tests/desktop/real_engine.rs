//! The window with the real engine and the built-in model: an answer about a document, what it draws against the trace of
//! `foveal generate`, and passages hidden and pinned.

use std::cell::Cell;
use std::path::Path;

use foveal::built_in;
use foveal::desktop::attention::blocks_of;
use foveal::desktop::messages::{AttentionChoice, FinishReason, Pin, PinRule, Source};
use foveal::desktop::model_engine::{ModelEngineOptions, model_engine};
use foveal::desktop::store::{Action, Document, Notice, PlanState, Settings};
use foveal::desktop::trace_data::Mode;
use foveal::gpu::{FaultPoint, Faults};
use foveal::trace::StepTrace;
use serde_json::Value;

use super::window::{Window, last_text};
use crate::cli::foveal;
use crate::harness::gpu_variants;

const QUESTION: &str = "What did Joan Moran draw?";
const FACT: &str = "Joan Moran drew a small map of Fernden";
const ANSWER: &str = "a small map of Fernden";

/// A part of the sample that is long enough to be read sparse and short enough for a processor.
fn document() -> &'static str {
    let text = include_str!("../../assets/samples/memories.txt");
    let part = &text[..text[..12_000].rfind('\n').unwrap()];
    assert!(part.contains(FACT));
    part
}

/// The window after the answer, with temperature 0.
fn answered() -> Window {
    let built_in = built_in::model_folder().unwrap();
    let mut window = Window::with_engine(model_engine(ModelEngineOptions { built_in, ..Default::default() }));
    window.until(|store| store.model_info().is_some());
    assert_eq!(window.store().model_info().unwrap().sparse_from, Some(2048));
    let mut settings = window.store().chat().unwrap().settings.clone();
    settings.sampling.temperature = 0.0;
    window.app().act(Action::ChatSettings(Box::new(settings)));
    window.app().act(Action::DocumentRead(Document::new("memories.txt".into(), document())));
    window.settle();
    window.type_into("Message", QUESTION);
    window.click("Send");
    window.until(|store| store.work.is_none() && last_text(store).len() > 3);
    window
}

/// The steps that `foveal generate --json --trace` prints for the same document and question.
fn generated(folder: &Path) -> (String, Vec<StepTrace>) {
    let path = folder.join("memories.txt");
    std::fs::write(&path, document()).unwrap();
    let path = path.to_str().unwrap();
    let out =
        foveal(&["generate", "--document", path, "--prompt", QUESTION, "--temperature", "0", "--json", "--trace"]).ok();
    let (mut text, mut steps, mut block_size) = (String::new(), Vec::new(), 0);
    for line in out.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        match event["event"].as_str().unwrap() {
            "context" => block_size = event["block_size"].as_u64().unwrap() as usize,
            "token" | "rest" => text.push_str(event["text"].as_str().unwrap()),
            _ => {}
        }
        if event["event"] == "token" && !event["trace"].is_null() {
            steps.push(step(&event, block_size));
        }
    }
    (text, steps)
}

/// A step from its line, with forced and chosen blocks joined again.
fn step(event: &Value, block_size: usize) -> StepTrace {
    let ids = |reader: &Value, kind: &str| -> Vec<u32> { serde_json::from_value(reader[kind].clone()).unwrap() };
    let readers = event["trace"]["readers"].as_array().unwrap();
    let forced = ids(&readers[0], "forced");
    let init_blocks = forced.iter().enumerate().take_while(|(index, id)| *index == **id as usize).count();
    let local_first = forced.get(init_blocks).map_or(init_blocks, |id| *id as usize);
    let joined = |reader: &Value| {
        let mut all = [ids(reader, "forced"), ids(reader, "free")].concat();
        all.sort_unstable();
        all
    };
    let step = StepTrace {
        mode: serde_json::from_value(event["mode"].clone()).unwrap(),
        position: event["trace"]["position"].as_u64().unwrap() as usize,
        block_size,
        readers: readers.iter().map(joined).collect(),
        kv_heads: readers.iter().filter(|reader| reader["layer"] == 0).count(),
        init_blocks,
        local_first,
        pinned: Vec::new(),
        excluded: Vec::new(),
    };
    for (index, reader) in readers.iter().enumerate() {
        assert_eq!(step.free_blocks(index).collect::<Vec<_>>(), ids(reader, "free"));
    }
    step
}

#[test]
fn what_the_window_draws_is_what_generate_traces() {
    let folder = tempfile::tempdir().unwrap();
    let (text, steps) = generated(folder.path());
    let mut window = answered();
    assert_eq!(last_text(window.store()), text);
    assert!(text.contains(ANSWER), "{text}");
    let chat = window.store().chat().unwrap();
    assert_eq!(chat.path()[1].finish, Some(FinishReason::EndOfText));
    assert!(steps.len() > 5, "{}", steps.len());
    let reading = window.store().reading().unwrap();
    assert_eq!(reading.written.len(), steps.len());
    // The steps themselves.
    for (token, (written, step)) in reading.written.iter().zip(&steps).enumerate() {
        let drawn = written.step.as_deref().unwrap();
        assert_eq!((drawn.mode, drawn.cache_length as usize), (Mode::Sparse, step.position + 1), "token {token}");
        for reader in 0..step.readers.len() {
            assert_eq!(
                drawn.free(reader).iter().collect::<Vec<_>>(),
                step.free_blocks(reader).collect::<Vec<_>>(),
                "token {token}, {reader}"
            );
        }
    }
    // Ribbon and tints: mean votes over the answer.
    let votes = window.app().drawn_votes().to_vec();
    let mut expected = vec![0.0_f32; votes.len()];
    for step in &steps {
        for (sum, votes) in expected.iter_mut().zip(step.votes()) {
            *sum += votes as f32 / steps.len() as f32;
        }
    }
    for (block, (drawn, counted)) in votes.iter().zip(&expected).enumerate() {
        assert!((drawn - counted).abs() < 1e-3, "block {block}: {drawn} {counted}");
    }
    assert!(expected.iter().copied().fold(0.0, f32::max) > 1.0);
    // Matrix and waterfall, with a column for each block: dark or not as each reader chose or did not.
    let last = steps.len() - 1;
    window.app().act(Action::FocusTokens(Some(last..last + 1)));
    window.settle();
    let columns = steps[last].position / steps[last].block_size + 1;
    let (matrix, waterfall) = window.app().drawn_panels(columns);
    for (reader, row) in matrix.iter().enumerate() {
        for (block, heat) in row.iter().enumerate() {
            let chosen = steps[last].free_blocks(reader).any(|free| free as usize == block);
            assert_eq!(*heat > 0.0, chosen, "reader {reader}, block {block}: {heat}");
        }
    }
    assert_eq!((matrix.len(), waterfall.len()), (steps[last].readers.len(), steps.len()));
    for (token, (row, step)) in waterfall.iter().zip(&steps).enumerate() {
        let votes = step.votes();
        // No chosen block has more heat than one with more votes.
        let mut by_votes: Vec<usize> = (0..votes.len().min(row.len())).collect();
        by_votes.sort_by_key(|block| votes[*block]);
        for pair in by_votes.windows(2) {
            assert!(row[pair[0]] <= row[pair[1]] + 1e-6, "token {token}: {pair:?}");
        }
        assert!(row.iter().any(|heat| *heat > 0.0), "token {token}");
    }
}

#[test]
fn the_plan_knows_the_memory_that_can_be_known() {
    let built_in = built_in::model_folder().unwrap();
    let mut window = Window::with_engine(model_engine(ModelEngineOptions { built_in, ..Default::default() }));
    window.until(|store| store.model_info().is_some());
    let shared = |gpu: &foveal::gpu::Gpu| gpu.adapter.software || gpu.adapter.kind == "integrated GPU";
    let known = gpu_variants().first().is_none_or(|(_, gpu)| shared(gpu));
    window.click("Model: Built-in model");
    window.click_first("Built-in model");
    window.until(|store| matches!(store.plan, PlanState::Ready(..)));
    let PlanState::Ready(plan) = &window.store().plan else { unreachable!() };
    assert_eq!(plan.available_mib.is_some(), known, "{plan:?}");
    assert!(plan.available_mib.is_none_or(|mib| mib > 64));
    assert_eq!(window.has_part("is not told by its driver"), !known);
}

#[test]
fn a_hidden_passage_is_not_read_and_a_pinned_one_is() {
    let mut window = answered();
    let fact = document().find(FACT).unwrap() as u32;
    let id = window.store().documents.keys().copied().next().unwrap();
    let bytes = fact..fact + FACT.len() as u32;
    let votes = |window: &Window| {
        let reading = window.store().reading().unwrap();
        let blocks = blocks_of(&reading.map, reading.block_size(), Source::Document(id), &bytes);
        assert!(!blocks.is_empty());
        let steps = reading.written.iter().filter_map(|written| written.step.as_deref());
        let forced = steps.clone().filter(|step| blocks.clone().any(|block| step.forced.contains(&block))).count();
        let chosen = blocks.clone().map(|block| reading.block_sums(block).1).max().unwrap();
        (chosen, forced, steps.count())
    };
    let (chosen, forced, _) = votes(&window);
    assert!(chosen > 0 && forced == 0, "the passage that holds the answer was chosen at some token");
    for (rule, note) in [(PinRule::Exclude, "hidden"), (PinRule::Require, "always read")] {
        // Whole blocks around the fact.
        let reading = window.store().reading().unwrap();
        let blocks = blocks_of(&reading.map, reading.block_size(), Source::Document(id), &bytes);
        let size = reading.block_size();
        let first = reading.map.bytes(blocks.start * size).unwrap().start;
        let end = reading.map.bytes(blocks.end * size - 1).unwrap().end;
        let pin = Pin { document: id, bytes: first..end, rule };
        window.app().act(Action::AddPin(pin.clone()));
        window.settle();
        assert!(window.has_part(note));
        window.click_first("Answer again");
        window.until(|store| store.work.is_none());
        let (chosen, forced, steps) = votes(&window);
        assert!(steps > 0);
        match rule {
            PinRule::Exclude => assert_eq!((chosen, forced), (0, 0), "hidden"),
            PinRule::Require => assert_eq!((chosen, forced), (0, steps), "pinned"),
        }
        let stats = window.store().chat().unwrap().path()[1].stats.clone().unwrap();
        assert!(stats.reused_tokens > 2000, "the document is not read again: {stats:?}");
        window.app().act(Action::RemovePin(pin));
    }
    window.app().act(Action::Regenerate(1));
    window.until(|store| store.work.as_ref().is_some_and(|work| work.tokens > 0));
    window.app().act(Action::Stop);
    assert!(window.store().work.is_none());
}

/// A short conversation on a device that is lost as `faults` says: an answer, and another one with a passage pinned.
/// Returns the answers, how often the device was back, and how often each point was passed when the model was open and
/// after the first answer.
fn on_a_device(device: &str, cache: &Path, faults: &Faults) -> ([String; 2], usize, [[u64; 2]; 2]) {
    let built_in = built_in::model_folder().unwrap();
    let options = ModelEngineOptions {
        built_in,
        pipeline_cache: Some(cache.to_owned()),
        faults: faults.clone(),
        ..Default::default()
    };
    let counts = || [FaultPoint::Read, FaultPoint::Write].map(|point| faults.count(point));
    let settings = Settings { device: Some(device.to_owned()), ..Settings::default() };
    let mut window = Window::with_engine_and(model_engine(options), &settings);
    window.until(|store| store.model_info().is_some());
    assert_eq!(window.store().model_info().unwrap().device, device);
    let opened = counts();
    let mut settings = window.store().chat().unwrap().settings.clone();
    settings.sampling.max_tokens = 8;
    settings.attention = AttentionChoice::Sparse;
    window.app().act(Action::ChatSettings(Box::new(settings)));
    window.app().act(Action::DocumentRead(Document::new("part.txt".into(), &document()[..1200])));
    window.settle();
    window.type_into("Message", QUESTION);
    window.click("Send");
    let mut back = 0;
    let mut answer = |window: &mut Window| {
        let restored = |notice: &Notice| matches!(notice, Notice::Done(words) if words.contains("is back"));
        // The note goes by itself, on a slow device before the answer ends.
        let seen = Cell::new(false);
        window.until(|store| {
            seen.set(seen.get() || store.notices.iter().any(|posted| restored(&posted.notice)));
            store.work.is_none()
        });
        back += usize::from(seen.get());
        let notices = &window.store().notices;
        assert!(notices.iter().all(|posted| restored(&posted.notice)), "{notices:?}");
        assert!(window.store().model_info().is_some(), "the model is still open");
        while !window.store().notices.is_empty() {
            window.app().act(Action::Dismiss(0));
        }
        let text = last_text(window.store());
        assert!(text.len() > 3, "{text:?}");
        text
    };
    let first = answer(&mut window);
    let answered = counts();
    let id = window.store().documents.keys().copied().next().unwrap();
    window.app().act(Action::AddPin(Pin { document: id, bytes: 300..700, rule: PinRule::Require }));
    window.app().act(Action::Regenerate(1));
    let second = answer(&mut window);
    ([first, second], back, [opened, answered])
}

#[test]
fn a_lost_device_costs_the_window_no_word() {
    let Some((_, gpu)) = gpu_variants().first() else { return };
    let device = gpu.adapter.name.clone();
    let cache = tempfile::tempdir().unwrap();
    let (wanted, back, [opened, answered]) = on_a_device(&device, cache.path(), &Faults::default());
    assert_eq!(back, 0);
    // In the middle of an answer, and between two answers, when the pins of the second are the first to meet it.
    let in_answer = format!("lose:read:{}", (opened[0] + answered[0]) / 2);
    let between = format!("lose:write:{}", answered[1] + 1);
    for faults in [in_answer, between] {
        let (got, back, _) = on_a_device(&device, cache.path(), &faults.parse().unwrap());
        assert_eq!(got, wanted, "{faults}");
        assert_eq!(back, 1, "{faults}");
    }
}
