//! What a frame of the chat window costs, without a screen: from the events to the triangles, in a release build.
//!
//! `cargo run --release --example frames [TOKENS_PER_SECOND]`
//!
//! A document of 60,000 tokens and an answer of 2,000 tokens, which an engine of 64 readers writes at this pace (50); an answer
//! of 20,000 words with code and tables, at 500; a document of 200,000 words that is scrolled. On Linux the time is that of
//! the processor, so that other programs do not count. Of the longest frame it is told where the time went: into events
//! and actions, into the views, into triangles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foveal::desktop::fake::Script;
use foveal::desktop::messages::ModelChoice;
use foveal::desktop::store::{Action, Document, Pane};
use foveal::desktop::{App, DesktopOptions};

const SCREEN: egui::Vec2 = egui::vec2(1280.0, 800.0);
/// Frames a second.
const RATE: f64 = 60.0;
/// Of which the window may have half.
const LIMIT: Duration = Duration::from_millis(8);

/// Nanoseconds that this thread has had the processor, where the system tells.
fn worked(begun: Instant) -> Duration {
    // The system adds up when a thread gives way.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|line| line.split(' ').next()?.parse().ok());
    told.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

/// What one frame took.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Tokens of the answer so far.
    tokens: u32,
    logic: Duration,
    views: Duration,
    triangles: Duration,
}

impl Cost {
    fn total(&self) -> Duration {
        self.logic + self.views + self.triangles
    }
}

struct Window {
    context: egui::Context,
    app: App,
    begun: Instant,
    size: egui::Vec2,
}

impl Window {
    fn open(script: &Script, folder: &std::path::Path) -> foveal::error::Result<Self> {
        let context = egui::Context::default();
        let options = DesktopOptions {
            engine: script.clone().engine(),
            data_folder: folder.to_owned(),
            model: Some(ModelChoice::BuiltIn),
            sample: None,
            documents: Vec::new(),
            pdf: None,
            device: None,
            context: None,
            weights: None,
            cache: None,
            chat: Some(Arc::new(|chat| chat.sampling.max_tokens = 100_000)),
            reopened: None,
            faults: foveal::gpu::Faults::default(),
        };
        let app = App::new(&context, options)?;
        let mut window = Self { context, app, begun: Instant::now(), size: SCREEN };
        while window.app.store().model_info().is_none() {
            window.frame(Vec::new());
        }
        window.frames(90);
        Ok(window)
    }

    /// One frame; what the processor does for it.
    fn frame(&mut self, events: Vec<egui::Event>) -> Cost {
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, self.size)),
            time: Some(self.begun.elapsed().as_secs_f64()),
            // As cards have it: letters are kept in a picture of this width.
            max_texture_side: Some(8192),
            events,
            ..Default::default()
        };
        let app = &mut self.app;
        let start = worked(self.begun);
        let mut events_done = start;
        let output = self.context.run_ui(input, |ui| {
            app.logic(&ui.ctx().clone());
            events_done = worked(self.begun);
            app.ui(ui);
        });
        let drawn = worked(self.begun);
        std::hint::black_box(self.context.tessellate(output.shapes, output.pixels_per_point));
        Cost {
            tokens: app.store().work.as_ref().map_or(0, |work| work.tokens),
            logic: events_done.saturating_sub(start),
            views: drawn.saturating_sub(events_done),
            triangles: worked(self.begun).saturating_sub(drawn),
        }
    }

    /// So many frames in which nothing comes; nobody asks in the first second.
    fn frames(&mut self, count: usize) -> Vec<Cost> {
        (0..count).map(|_| self.frame(Vec::new())).collect()
    }

    fn ask(&mut self, question: &str) {
        self.app.act(Action::Draft(question.into()));
        self.app.act(Action::Send);
    }

    /// Frames at the rate of a screen until the answer has ended; those with a new token count.
    fn watch(&mut self, from: u32) -> Vec<Cost> {
        let (mut times, mut last) = (Vec::new(), 0);
        while self.app.store().work.is_some() {
            let cost = self.frame(Vec::new());
            if cost.tokens != last && (cost.tokens > from || last > from) {
                times.push(cost);
            }
            last = cost.tokens;
            std::thread::sleep(Duration::from_secs_f64(1.0 / RATE).saturating_sub(cost.total()));
        }
        times
    }
}

fn logbook(days: usize) -> String {
    let day = |day: usize| {
        format!(
            "Day {day}. Fog until noon. The supply boat arrived two hours late and the crew looked tired. We unloaded flour, \
             lamp oil and four crates of books. Jonas cleaned the lens and painted the railing once more. A seal lay on the \
             pier and did not mind the children. The council asked for a new list of spare parts.\n\n"
        )
    };
    (0..days).map(day).collect::<String>() + "The access code of the amber lighthouse is 4821.\n"
}

fn prose(words: usize) -> String {
    let word = |word: usize| {
        let text = ["the ", "**harbour** ", "was ", "quiet, ", "and ", "`lamps` ", "burned. "][word % 7];
        text.to_owned() + if word % 90 == 89 { "\n\n" } else { "" }
    };
    (0..words).map(word).collect()
}

fn code(words: usize) -> String {
    let word = |word: usize| {
        let text = ["the ", "harbour ", "was ", "quiet, ", "and ", "lamps ", "burned. "][word % 7];
        if word.is_multiple_of(9) { format!("\nlet lamp = burn({text}") } else { text.to_owned() }
    };
    format!("```rust\n{}\n```\n\n", (0..words).map(word).collect::<String>())
}

fn table(rows: usize) -> String {
    let row = |row: usize| format!("| {row} | the **Rose** came | {} |\n", row * 7);
    format!("| day | boat | lamps |\n|---|---|---|\n{}\n", (0..rows).map(row).collect::<String>())
}

fn tell(name: &str, mut costs: Vec<Cost>) {
    costs.sort_by_key(Cost::total);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |part: usize| costs.get((costs.len() * part / 100).min(costs.len().saturating_sub(1))).copied();
    let [median, late, most] = [50, 99, 100].map(|part| at(part).unwrap_or_default());
    let [all, logic, views, triangles] = [most.total(), most.logic, most.views, most.triangles].map(milliseconds);
    let (median, late) = (milliseconds(median.total()), milliseconds(late.total()));
    let long = costs.iter().filter(|cost| cost.total() > LIMIT).count();
    println!(
        "{name}: median {median:.2} ms, 99 % {late:.2} ms, most {all:.2} ms (events {logic:.2}, views {views:.2}, triangles \
         {triangles:.2}; at token {}), {long} of {} frames above {} ms",
        most.tokens,
        costs.len(),
        LIMIT.as_millis()
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rate = std::env::args().nth(1).map_or(Ok(50.0), |rate| rate.parse::<f64>())?;
    let folder = std::env::temp_dir().join(format!("foveal-frames-{}", std::process::id()));
    let script = Script { layers: 32, free: 63, local: 32, ..Script::instant() };
    let paced = |answer: String, rate: f64| Script {
        token: Duration::from_secs_f64(1.0 / rate),
        answer: Some(answer),
        ..script.clone()
    };
    for (name, answer, details, card) in [
        ("prose", prose(1700), false, false),
        ("prose, details open", prose(1700), true, false),
        ("prose, block card open", prose(1700), false, true),
        ("one block of code", code(1500), false, false),
        ("one table", table(260), false, false),
    ] {
        let mut window = Window::open(&paced(answer, rate), &folder)?;
        window.app.act(Action::DocumentRead(Document::new("long.txt".into(), &logbook(780))));
        if details {
            window.app.act(Action::Toggle(Pane::Details));
        }
        window.ask("What is the access code of the amber lighthouse?");
        while card && window.app.store().reading().is_none_or(|reading| reading.ranking().is_empty()) {
            window.frame(Vec::new());
        }
        let hottest = window.app.store().reading().and_then(|reading| reading.ranking().first().copied());
        if let Some(block) = hottest.filter(|_| card) {
            window.app.act(Action::OpenBlock(block));
        }
        let times = window.watch(0);
        let tokens = window.app.store().reading().map_or(0, |reading| reading.map.len());
        tell(&format!("{tokens} tokens of context, {rate} tok/s, {name}"), times);
    }
    let mixed: String = (0..67).map(|_| prose(150) + "\n\n" + &code(100) + &table(10)).collect();
    let words = mixed.split_whitespace().count();
    let light = Script { layers: 5, free: 10, ..paced(mixed, 500.0) };
    let mut window = Window::open(&light, &folder)?;
    window.ask("Tell me everything");
    let times = window.watch(25_000);
    tell(&format!("answer of {words} words with code and tables, 500 tok/s, from 25,000 tokens on"), times);
    window.size.x -= 160.0;
    tell("the same, in a narrower window", window.frames(60));
    let chat = window.app.store().current;
    window.app.act(Action::NewChat);
    window.frames(3);
    window.app.act(Action::SelectChat(chat));
    tell("the same, when its chat is opened again", window.frames(60));

    let mut window = Window::open(&script, &folder)?;
    let text = logbook(3200);
    let document = Document::new("long.txt".into(), &text);
    let id = document.id;
    window.app.act(Action::DocumentRead(document));
    tell(&format!("document of {} words, first frames", text.split_whitespace().count()), window.frames(3));
    let pointer = egui::Event::PointerMoved(egui::pos2(1100.0, 400.0));
    window.frame(vec![pointer]);
    let wheel = |turn: usize| egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: egui::vec2(0.0, if turn < 400 { -500.0 } else { 900.0 }),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
        modifiers: egui::Modifiers::NONE,
    };
    let times = (0..500).map(|turn| window.frame(vec![wheel(turn)])).collect();
    tell("the same, turned by the wheel", times);
    let mut times = Vec::new();
    for jump in 0..60 {
        let at = u32::try_from(jump * 7 % 60 * (text.len() / 60))?;
        window.app.act(Action::FocusPassage(id, at..at + 200));
        times.extend(window.frames(6));
    }
    tell("the same, jumps", times);
    drop(window);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
