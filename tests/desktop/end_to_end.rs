//! The real program on a screen of its own: Xvfb, a software driver, and xdotool for the hands. A question about a part
//! of the sample document is typed, the hottest block of the answer is clicked on the ribbon, its card is compared with
//! the document, and the window is closed. What happens is read from the program's own log. In a second run the device
//! that draws the window is lost while somebody types.
//!
//! Needs Linux with Xvfb and xdotool, else it says "skipped: " and why; CI takes that for a failure.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use foveal::desktop::history::History;

use crate::harness::gpu_variants;

const PATIENCE: Duration = Duration::from_secs(300);
const QUESTION: &str = "What did Joan Moran draw?";
const FACT: &str = "Joan Moran drew a small map of Fernden";
const ANSWER: &str = "a small map of Fernden";

/// Ended with the test, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn skip(reason: &str) {
    // Past the capture of passing tests.
    let _ = writeln!(std::io::stderr(), "skipped: end to end, {reason}");
}

fn is_there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A screen without a monitor, and its name.
fn screen() -> (Running, String) {
    let mut server = Command::new("Xvfb");
    server.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]);
    let mut server = Running(server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut number = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
    (server, format!(":{}", number.trim()))
}

struct Program {
    running: Running,
    display: String,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Program {
    /// The next line.
    #[track_caller]
    fn hear(&mut self, until: Instant, wanted: &dyn Debug) -> String {
        let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) else {
            panic!("no line with {wanted:?} came; so far:\n{}", self.heard.join("\n"));
        };
        self.heard.push(line.clone());
        line
    }

    /// The first line from now on that holds all of these words.
    #[track_caller]
    fn wait(&mut self, words: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.hear(until, &words);
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Until a line has come for each of these, in any order.
    #[track_caller]
    fn wait_for_all(&mut self, lines: &[&[&str]]) {
        let until = Instant::now() + PATIENCE;
        let mut wanted = lines.to_vec();
        while !wanted.is_empty() {
            let line = self.hear(until, &wanted);
            wanted.retain(|words| !words.iter().all(|word| line.contains(word)));
        }
    }

    fn hands(&self, arguments: &[&str]) {
        let done = Command::new("xdotool").env("DISPLAY", &self.display).args(arguments).status().unwrap();
        assert!(done.success(), "xdotool {arguments:?}");
        // A frame of a software driver, so that the next key meets what this one did.
        std::thread::sleep(Duration::from_millis(600));
    }
}

/// The number after `name=` in a line of the log.
#[track_caller]
fn number<T: FromStr<Err: Debug>>(line: &str, name: &str) -> T {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn start(display: &str, folder: &std::path::Path, faults: &str) -> Program {
    // A part of the sample: long enough to be read sparse, short enough for a processor.
    let text = include_str!("../../assets/samples/memories.txt");
    let part = &text[..text[..12_000].rfind('\n').unwrap()];
    assert!(part.contains(FACT));
    std::fs::write(folder.join("memories.txt"), part).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_foveal"));
    program.args(["--document", "memories.txt", "--temperature", "0", "--context", "4096"]).current_dir(folder);
    program.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY").env("NO_COLOR", "1");
    for name in ["HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        program.env(name, folder);
    }
    program.env("RUST_LOG", "foveal::desktop=trace,warn").env("FOVEAL_FAULTS", faults);
    // Questions that are piped in are the terminal's: the window wants a terminal or nothing at all.
    let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let log = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    Program { running: Running(child), display: display.into(), lines, heard: Vec::new() }
}

/// False, with the reason told, where there is no screen for it.
fn can_run() -> bool {
    if !cfg!(target_os = "linux") || !is_there("Xvfb", "-help") || !is_there("xdotool", "version") {
        skip("Xvfb and xdotool are not installed");
        return false;
    }
    if gpu_variants().is_empty() {
        skip("no adapter that could draw the window");
        return false;
    }
    true
}

#[test]
fn a_lost_window_comes_back_with_what_was_typed() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = screen();
    let mut program = start(&display, folder.path(), "lose:frame:60");
    program.wait(&["model", "state=\"ready\""]);
    program.hands(&["search", "--sync", "--name", "^Foveal$", "windowfocus"]);
    let typed = "abcdefghijklmnopqrstuvwxyz";
    // Frames that a busy machine takes together need more keys.
    let mut keys = Command::new("xdotool");
    keys.env("DISPLAY", &display).args(["type", "--delay", "150", &typed.repeat(20)]);
    let mut keys = Running(keys.spawn().unwrap());
    program.wait(&["injected fault", "frame"]);
    let again = program.wait(&["the window is opened again"]);
    let chat: u64 = number(&again, "chat");
    // What is typed while there is no window goes nowhere.
    let _ = keys.0.kill();
    // The model and the chat come back on threads of their own, so in either order.
    let shown = format!("id={chat} reopened=true");
    program.wait_for_all(&[&["chat on screen", &shown], &["model", "state=\"ready\""]]);
    program.hands(&["search", "--sync", "--name", "^Foveal$", "windowfocus"]);
    program.hands(&["key", "ctrl+q"]);
    program.wait(&["window closed"]);
    let status = program.running.0.wait().unwrap();
    assert!(status.success(), "{status}: {}", program.heard.join("\n"));
    let read = History::open(folder.path().join("foveal")).unwrap().read_all();
    let [kept] = &read.chats[..] else { panic!("{:?}", read.chats) };
    let text = &kept.unsent.text;
    assert!(text.len() > 5 && typed.repeat(20).starts_with(text), "{text}");
    assert_eq!((kept.unsent.documents.len(), read.documents.len()), (1, 1));
}

#[test]
fn a_question_on_a_real_screen() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = screen();
    let mut program = start(&display, folder.path(), "");
    program.wait(&["model", "state=\"ready\""]);
    // Nothing manages windows here: the keys must be given to ours.
    program.hands(&["search", "--sync", "--name", "^Foveal$", "windowfocus"]);
    // Words that are typed anywhere go to the message.
    program.hands(&["type", "--delay", "20", QUESTION]);
    program.hands(&["key", "Return"]);
    program.wait(&["answer begins"]);
    let ended = program.wait(&["answer ended"]);
    assert!(ended.contains("EndOfText") && ended.contains("Sparse"), "{ended}");
    let answer = program.wait(&["answer text="]);
    assert!(answer.contains(ANSWER), "{answer}");
    let hottest = program.wait(&["hottest block on the ribbon"]);
    let (block, x, y): (u32, f32, f32) = (number(&hottest, "block"), number(&hottest, "x"), number(&hottest, "y"));
    program.hands(&["mousemove", &format!("{x:.0}"), &format!("{y:.0}")]);
    program.hands(&["click", "1"]);
    let card = program.wait(&["block card", "votes="]);
    assert_eq!(number::<u32>(&card, "block"), block, "{card}");
    assert!(number::<f32>(&card, "votes") > 0.0 && card.contains("memories.txt"), "{card}");
    let card = program.wait(&["block card text="]);
    let (_, shown) = card.split_once("text=\"").unwrap();
    let shown = shown.replace("\\n", "\n");
    let part = std::fs::read_to_string(folder.path().join("memories.txt")).unwrap();
    assert!(shown.len() > 100 && part.contains(shown.trim_end_matches('"')), "not of the document: {shown}");
    // Closed in the middle of a second answer: what there is of it is on the disk, with its end.
    program.hands(&["type", "--delay", "20", "And who wrote this?"]);
    program.hands(&["key", "Return"]);
    program.wait(&["answer begins"]);
    program.hands(&["key", "ctrl+q"]);
    program.wait(&["window closed"]);
    let status = program.running.0.wait().unwrap();
    assert!(status.success(), "{status}: {}", program.heard.join("\n"));
    assert!(!program.heard.iter().any(|line| line.contains("panicked")), "{}", program.heard.join("\n"));
    let read = History::open(folder.path().join("foveal")).unwrap().read_all();
    let path = read.chats[0].path();
    assert_eq!(path.len(), 4, "{path:?}");
    assert!(path[1].text.contains(ANSWER) && path[3].finish.is_some(), "{path:?}");
}
