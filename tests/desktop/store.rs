//! The reducer, branches and history files, without a window.

use std::sync::Arc;

use foveal::desktop::history::History;
use foveal::desktop::messages::{
    AttentionChoice, CacheForm, Command, ContextMap, EngineError, Event, FailureKind, FinishReason, LoadStage,
    MessageId, Mode, ModelChoice, ModelInfo, Part, Role, Sampling, Source, Stats, StepTrace, Token, WeightForm, WorkId,
};
use foveal::desktop::store::settings::PRESETS;
use foveal::desktop::store::{
    Action, Chat, ChatSettings, Document, Effect, Given, ModelState, Notice, Phase, Settings, Store,
};
use proptest::prelude::*;

fn info() -> ModelInfo {
    ModelInfo {
        name: "Test".into(),
        detail: String::new(),
        notice: None,
        device: "None".into(),
        context: 4096,
        layers: 2,
        kv_heads: 2,
        block_size: 64,
        sparse_from: Some(2048),
        sparse_experimental: false,
        can_think: true,
        can_pin: true,
    }
}

/// A store with a model.
pub(crate) fn ready() -> Store {
    let mut store = Store::new(Settings::default(), Given::default(), 1000);
    let effects = store.apply(Action::Load(ModelChoice::BuiltIn));
    let Some(Effect::Send(Command::Load(load, ..))) = effects.last() else { panic!("no load in {effects:?}") };
    store.event(Event::LoadProgress(*load, LoadStage::Weights, 1, 2));
    store.event(Event::Loaded(*load, info()));
    store
}

pub(crate) fn ask(store: &mut Store, text: &str) -> WorkId {
    store.apply(Action::Draft(text.into()));
    generation(&store.apply(Action::Send))
}

pub(crate) fn generation(effects: &[Effect]) -> WorkId {
    let find = effects.iter().find_map(|effect| match effect {
        Effect::Send(Command::Generate(request)) => Some(request.generation),
        _ => None,
    });
    find.unwrap_or_else(|| panic!("no generation in {effects:?}"))
}

pub(crate) fn token(generation: WorkId, text: &str, part: Part) -> Event {
    let step = Some(Arc::new(StepTrace::dense(10, 64, 2, 2)));
    Event::Token(Token { generation, id: 1, text: text.into(), part, seconds: 0.5, step })
}

pub(crate) fn finish(store: &mut Store, generation: WorkId) -> Vec<Effect> {
    store.event(Event::Finished(generation, FinishReason::EndOfText, Stats { generated_tokens: 2, ..Stats::default() }))
}

pub(crate) fn texts(store: &Store) -> Vec<&str> {
    store.chat().unwrap().path().into_iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn an_answer_grows_and_ends() {
    let mut store = ready();
    let generation = ask(&mut store, "  question ");
    let mut map = ContextMap::default();
    map.push(Source::Turn(0), 0..8);
    store.event(Event::Context(generation, Arc::new(map)));
    store.event(Event::PrefillProgress(generation, 5, 10, 1.0));
    assert_eq!(store.work.as_ref().unwrap().prefill_left(), Some(1.0));
    store.event(token(generation, "because", Part::Thinking));
    store.event(token(generation, "中", Part::Answer));
    store.event(Event::ModeChanged(generation, Mode::Sparse, 2048));
    store.event(token(generation, "文", Part::Answer));
    assert_eq!(store.work.as_ref().unwrap().phase, Phase::Writing);
    store.event(Event::Rest(generation, "!".into()));
    assert!(finish(&mut store, generation).contains(&Effect::SaveChat(1000)));
    let chat = store.chat().unwrap();
    let answer = chat.path()[1].clone();
    assert_eq!((answer.text.as_str(), answer.thinking.as_str()), ("中文!", "because"));
    assert_eq!(answer.switches, vec![(3, Mode::Sparse)]);
    assert_eq!(answer.finish, Some(FinishReason::EndOfText));
    assert_eq!(chat.title, "question");
    let reading = store.reading().unwrap();
    assert_eq!(reading.map.len(), 4);
    assert_eq!(reading.written[2].bytes, 3..7);
    assert_eq!(reading.map.segments().last().unwrap().source, Source::Answer(answer.id));
    assert!(store.work.is_none());
}

#[test]
fn stale_events_are_dropped() {
    let mut store = ready();
    let old = ask(&mut store, "one");
    store.event(token(old, "kept", Part::Answer));
    assert!(store.apply(Action::Stop).contains(&Effect::Stop(old)));
    assert!(store.work.is_none(), "stopped at once");
    store.event(token(old, " lost", Part::Answer));
    let new = ask(&mut store, "two");
    store.event(token(old, " lost", Part::Answer));
    finish(&mut store, old);
    assert!(store.work.is_some(), "the end of old work must not end the new one");
    store.event(token(new, "new", Part::Answer));
    assert_eq!(texts(&store), ["one", "kept", "two", "new"]);
    store.event(Event::Failed(Some(old), EngineError { kind: FailureKind::Other, message: "late".into() }));
    assert!(store.work.is_some() && store.notices.is_empty());
}

#[test]
fn edits_and_answers_are_branches() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    let again = generation(&store.apply(Action::Regenerate(1)));
    store.event(token(again, "b", Part::Answer));
    finish(&mut store, again);
    assert_eq!(texts(&store), ["one", "b"]);
    assert_eq!(store.chat().unwrap().versions(1), vec![1, 2]);
    store.apply(Action::ShowVersion(2, -1));
    assert_eq!(texts(&store), ["one", "a"]);
    store.apply(Action::EditStart(0));
    store.apply(Action::EditText("two".into()));
    let edited = generation(&store.apply(Action::EditSend));
    store.event(token(edited, "c", Part::Answer));
    finish(&mut store, edited);
    assert_eq!(texts(&store), ["two", "c"]);
    store.apply(Action::ShowVersion(3, -1));
    assert_eq!(texts(&store), ["one", "a"], "the old branch is whole");
    store.apply(Action::Delete(0));
    assert_eq!(texts(&store), ["two", "c"]);
    store.apply(Action::Undo);
    assert_eq!(texts(&store), ["one", "a"]);
}

#[test]
fn documents_are_sent_once_and_in_order() {
    let mut store = ready();
    let (one, two) = (Document::new("a.txt".into(), "first text"), Document::new("b.txt".into(), "second text"));
    let (id_one, id_two) = (one.id, two.id);
    store.apply(Action::DocumentRead(one));
    store.apply(Action::DocumentRead(two));
    store.apply(Action::Draft("question".into()));
    let effects = store.apply(Action::Send);
    let Some(Effect::Send(Command::Generate(request))) = effects.last() else { panic!("{effects:?}") };
    let ids: Vec<_> = request.turns[0].documents.iter().map(|document| document.id).collect();
    assert_eq!(ids, [id_one, id_two]);
    let generation = request.generation;
    store.event(token(generation, "x", Part::Answer));
    finish(&mut store, generation);
    store.apply(Action::Attach(id_one));
    assert!(store.draft.documents.is_empty(), "it stands in the context already");
    store.apply(Action::Draft("more".into()));
    let effects = store.apply(Action::Send);
    let Some(Effect::Send(Command::Generate(request))) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(request.turns.len(), 3);
    assert!(request.turns[2].documents.is_empty() && request.turns[1].role == Role::Assistant);
}

#[test]
fn compare_runs_dense_then_sparse() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    let choice = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send(Command::Generate(request)) => Some((request.generation, request.attention)),
            _ => None,
        })
    };
    let (dense, attention) = choice(&store.apply(Action::Compare(0))).unwrap();
    assert_eq!(attention, AttentionChoice::Dense);
    store.event(token(dense, "d", Part::Answer));
    let (sparse, attention) = choice(&finish(&mut store, dense)).unwrap();
    assert_eq!(attention, AttentionChoice::Sparse);
    store.event(token(sparse, "s", Part::Answer));
    finish(&mut store, sparse);
    let compare = store.compare.clone().unwrap();
    let text = |id: Option<MessageId>| store.chat().unwrap().message(id.unwrap()).unwrap().text.clone();
    assert_eq!((text(compare.dense), text(compare.sparse)), ("d".into(), "s".into()));
}

#[test]
fn failures_lose_nothing() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "half", Part::Answer));
    let lost = EngineError { kind: FailureKind::DeviceLost, message: "gone".into() };
    store.event(Event::Failed(Some(first), lost.clone()));
    assert_eq!(texts(&store), ["one", "half"]);
    assert!(matches!(store.model, ModelState::Failed(..)) && store.work.is_none());
    assert_eq!(store.notices[0].notice, Notice::Failure(lost));
    let effects = store.apply(Action::Reload);
    assert!(matches!(effects.last(), Some(Effect::Send(Command::Load(..)))) && store.notices.is_empty());
    let mut store = ready();
    ask(&mut store, "one");
    let effects = store.event(Event::Failed(None, EngineError { kind: FailureKind::Crashed, message: "x".into() }));
    assert!(effects.contains(&Effect::Respawn));
    assert_eq!(texts(&store), ["one"], "an answer without a word goes, the question stays");
}

#[test]
fn another_model_ends_the_load_that_runs() {
    let mut store = Store::new(Settings::default(), Given::default(), 1000);
    let load = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Send(Command::Load(load, ..)) => Some(*load),
            _ => None,
        })
    };
    let first = load(&store.apply(Action::Load(ModelChoice::BuiltIn))).unwrap();
    let effects = store.apply(Action::Load(ModelChoice::Path("other".into())));
    assert!(effects.contains(&Effect::Stop(first)));
    let second = load(&effects).unwrap();
    store.event(Event::Loaded(first, info()));
    assert!(store.model_info().is_none(), "the old load may have ended meanwhile");
    store.event(Event::Loaded(second, info()));
    assert!(store.model_info().is_some());
}

#[test]
fn traces_are_bounded_while_an_answer_grows() {
    let mut store = ready();
    let mut settings = store.chat().unwrap().settings.clone();
    settings.sampling.max_tokens = 100_000;
    store.apply(Action::ChatSettings(Box::new(settings)));
    let ids: Vec<u32> = (0..4000).collect();
    let step = Arc::new(StepTrace::sparse(64 * 4001, 64, 1, 1, [&ids[..]], |_| false));
    let work = ask(&mut store, "one");
    store.event(Event::Context(work, Arc::new(ContextMap::default())));
    for number in 0..16_000 {
        let (id, seconds) = (1, number as f32);
        let step = Some(Arc::clone(&step));
        store.event(Event::Token(Token { generation: work, id, text: "a".into(), part: Part::Answer, seconds, step }));
        let bytes = store.readings[0].1.step_bytes();
        assert!(bytes < (96 << 20) + 64 * 20_000, "{bytes} after {number}");
    }
    let reading = &store.readings[0].1;
    assert!(reading.written[0].step.is_none() && reading.written[15_999].step.is_some(), "the oldest go first");
    assert_eq!(reading.block_sums(7).1, 16_000, "the sums know all");
}

#[test]
fn chats_go_to_the_trash_and_come_back() {
    let mut store = ready();
    let first = ask(&mut store, "one");
    store.event(token(first, "a", Part::Answer));
    finish(&mut store, first);
    store.set_now(2000);
    store.apply(Action::NewChat);
    store.apply(Action::NewChat);
    assert_eq!((store.chats.len(), store.current), (2, 2000), "one empty chat is enough");
    store.apply(Action::Search("ON".into()));
    assert_eq!(store.listed_chats().iter().map(|chat| chat.id).collect::<Vec<_>>(), [1000]);
    assert_eq!(store.apply(Action::TrashChat(1000)), vec![Effect::TrashChat(1000)]);
    assert_eq!(store.apply(Action::Undo), vec![Effect::RestoreChat(1000)]);
    store.apply(Action::TrashChat(1000));
    assert_eq!(store.apply(Action::RestoreChat(1000)), vec![Effect::RestoreChat(1000)]);
    assert_eq!(texts(&store), ["one", "a"]);
}

#[test]
fn messages_can_travel_as_json() {
    let step = StepTrace::sparse(200, 64, 1, 2, [&[0u32, 2][..], &[1, 2, 9]], |block| block == 0);
    let token =
        Token { generation: 3, id: 7, text: "é".into(), part: Part::Answer, seconds: 1.5, step: Some(Arc::new(step)) };
    for event in [
        Event::Token(token),
        Event::ModeChanged(1, Mode::Sparse, 9),
        Event::Failed(
            None,
            EngineError { kind: FailureKind::ContextFull { needed: 9, capacity: 8 }, message: "x".into() },
        ),
    ] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}

#[test]
fn history_survives_and_keeps_damage_aside() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path().to_owned()).unwrap();
    let mut chat = Chat::new(5, ChatSettings::default());
    let question = chat.add(None, Role::User, "question 🎉".into());
    chat.add(Some(question), Role::Assistant, "answer".into());
    history.write_chat(&chat).unwrap();
    history.write_chat(&chat).unwrap();
    let document = Document::new("a.txt".into(), "text");
    history.write_document(&document).unwrap();
    std::fs::write(folder.path().join("chats/6.json"), "{\"schema\": 1, \"kind\": \"chat\", \"content\": {").unwrap();
    std::fs::write(folder.path().join("chats/7.json"), "{\"schema\": 99, \"kind\": \"chat\"}").unwrap();
    std::fs::write(folder.path().join("settings.json"), "nonsense").unwrap();
    let read = history.read_all();
    assert_eq!(read.chats, vec![chat.clone()]);
    assert_eq!(read.documents, vec![document]);
    assert_eq!(read.damaged.len(), 2);
    assert!(folder.path().join("damaged/6.json").exists(), "damaged files are kept");
    assert!(folder.path().join("chats/7.json").exists(), "files of a later version are left alone");
    assert_eq!(history.read_settings(), Settings::default());
    assert!(folder.path().join("damaged/settings.json").exists());
    history.trash_chat(&chat).unwrap();
    assert!(!folder.path().join("chats/5.json").exists());
    assert_eq!(history.read_all().trash, vec![chat.clone()]);
    history.restore_chat(&chat).unwrap();
    let read = history.read_all();
    assert_eq!((read.chats.len(), read.trash.len()), (1, 0));
    let names: Vec<_> =
        std::fs::read_dir(folder.path().join("chats")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("new")), "nothing half-written stays: {names:?}");
}

proptest! {
    /// Any cut or bent chat file is read or set aside, never lost, and never a panic.
    #[test]
    fn bent_files_never_panic(cut in 0usize..600, at in 0usize..600, byte in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path().to_owned()).unwrap();
        let mut chat = Chat::new(5, ChatSettings::default());
        let question = chat.add(None, Role::User, "question".into());
        chat.add(Some(question), Role::Assistant, "answer".into());
        history.write_chat(&chat).unwrap();
        let path = folder.path().join("chats/5.json");
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(300)));
        std::fs::write(&path, &bytes).unwrap();
        let read = history.read_all();
        prop_assert_eq!(read.chats.len() + read.damaged.len(), 1);
        for chat in &read.chats {
            prop_assert!(chat.path().len() <= 2);
        }
        for (kept, _) in &read.damaged {
            prop_assert_eq!(std::fs::read(kept).unwrap(), bytes.clone());
        }
    }

    /// Whatever is added, shown and removed: the path is a chain from the first message, and versions share a parent.
    #[test]
    fn branches_stay_a_tree(steps in prop::collection::vec((0u8..4, 0u32..12, -2isize..3), 1..60)) {
        let mut chat = Chat::new(1, ChatSettings::default());
        for (kind, id, step) in steps {
            match kind {
                0 => {
                    let parent = chat.message(id).map(|message| message.id);
                    chat.add(parent, Role::User, String::new());
                }
                1 => chat.remove(id),
                2 => chat.show(id),
                _ => chat.show_version(id, step),
            }
            let path = chat.path();
            let mut parent = None;
            for message in &path {
                prop_assert_eq!(message.parent, parent);
                parent = Some(message.id);
                prop_assert!(chat.versions(message.id).contains(&message.id));
                prop_assert_eq!(chat.path_to(message.id).len(), path.iter().position(|other| other.id == message.id).unwrap() + 1);
            }
            prop_assert_eq!(path.is_empty(), !chat.messages.iter().any(|message| message.parent.is_none()));
            for message in &chat.messages {
                prop_assert!(message.parent.is_none_or(|parent| chat.message(parent).is_some()));
            }
        }
    }
}

#[test]
fn the_usual_settings_are_those_of_a_preset() {
    let lit = |sampling: &Sampling| PRESETS.iter().map(|preset| preset.matches(sampling)).collect::<Vec<_>>();
    assert_eq!(lit(&Sampling::default()), [true, false, false], "the likeliest word, whatever top p says");
    let mut sampling = Sampling::default();
    for (at, preset) in PRESETS.iter().enumerate() {
        preset.apply(&mut sampling);
        assert_eq!(lit(&sampling).iter().position(|lit| *lit), Some(at));
    }
    sampling.top_p = 0.5;
    assert_eq!(lit(&sampling), [false; 3]);
}

#[test]
fn flags_hold_for_this_run_until_the_window_says_otherwise() {
    let chat = ChatSettings { attention: AttentionChoice::Sparse, ..ChatSettings::default() };
    let (weights, cache) = (Some(WeightForm::Q4), None);
    let given = Given {
        device: Some("radeon".into()),
        context: Some(4096),
        weights,
        cache,
        chat: Some(chat),
        ..Given::default()
    };
    let mut store = Store::new(Settings { device: Some("geforce".into()), ..Settings::default() }, given, 1000);
    let loaded = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Send(Command::Load(_, _, options)) => Some((options.device, options.context)),
            _ => None,
        })
    };
    assert_eq!(store.chat().unwrap().settings.attention, AttentionChoice::Sparse);
    let options = loaded(store.apply(Action::Load(ModelChoice::BuiltIn)));
    assert_eq!(options, Some((Some("radeon".into()), Some(4096))));
    assert_eq!(store.settings.device.as_deref(), Some("geforce"), "flags are not kept");
    let settings = Settings { device: Some("intel".into()), ..store.settings.clone() };
    let effects = store.apply(Action::Settings(Box::new(settings)));
    assert!(effects.contains(&Effect::SaveSettings));
    let options = loaded(store.apply(Action::Reload));
    assert_eq!(options, Some((Some("intel".into()), Some(4096))));
    // What a flag asks for can be taken back, also by what the settings say anyway.
    assert_eq!((store.load_options().weights, store.settings.weights), (WeightForm::Q4, WeightForm::Plain));
    store.apply(Action::Forms(WeightForm::Plain, CacheForm::Q8));
    let options = store.load_options();
    assert_eq!((options.weights, options.cache, options.context), (WeightForm::Plain, CacheForm::Q8, Some(4096)));
}
