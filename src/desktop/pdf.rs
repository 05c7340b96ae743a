//! The text of a PDF, read by a process of its own. A PDF is a program in all but name: a few kilobytes can unpack to all memory,
//! refer to themselves without end, or call so deep that the stack overflows, which ends a process whatever it catches. So the
//! file is read by `foveal pdf-text FILE`, which is ended when it takes too much, and the window stays as it is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::error::{Error, Result};

/// Between two looks at the process.
const LOOK: Duration = Duration::from_millis(5);
/// The most that counts as time between two looks: a computer that slept meanwhile does not count its sleep.
const PIECE: Duration = Duration::from_millis(200);
/// What is kept of what the process complains of.
const WORDS: usize = 4096;
/// Deep trees of honest files, on every system alike.
const STACK: usize = 16 << 20;
const ADVICE: &str = "Save it as text first";

fn refused(path: &Path, problem: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), problem: problem.into(), advice: ADVICE.into() }
}

/// How PDF files are read, and what one may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdfReader {
    /// A program that prints the text of FILE when it is called `PROGRAM pdf-text -- FILE`, as `foveal` does.
    pub program: PathBuf,
    /// Time that reading may take.
    pub time: Duration,
    /// Memory that the process may hold.
    pub memory: u64,
    /// Bytes of text that it may print.
    pub text: u64,
}

impl PdfReader {
    /// With the usual limits: a minute, a GiB, as much text as a text file may have.
    pub fn new(program: PathBuf) -> Self {
        Self { program, time: Duration::from_secs(60), memory: 1 << 30, text: super::workers::MOST_BYTES }
    }

    pub(super) fn read(&self, path: &Path) -> Result<String> {
        let mut process = Process::start(&self.program, path, self.text)?;
        let status = self.wait(&mut process).map_err(|problem| refused(path, problem))?;
        // Of a process that has ended nothing more comes.
        let (text, words) = (process.text.take(), process.words.take());
        let (text, words) = (joined(text), String::from_utf8_lossy(&joined(words)).into_owned());
        if text.len() as u64 > self.text {
            return Err(refused(path, format!("it holds more than {} MiB of text", self.text >> 20)));
        }
        if status.success() {
            return String::from_utf8(text).map_err(|_| refused(path, "the PDF has no text that can be read"));
        }
        Err(refused(path, told(path, status, &words)))
    }

    /// Waits for the end; what was too much if it does not come by itself.
    fn wait(&self, process: &mut Process) -> std::result::Result<ExitStatus, String> {
        let (mut system, pid) = (System::new(), Pid::from_u32(process.child.id()));
        let (mut spent, mut looked) = (Duration::ZERO, Instant::now());
        loop {
            match process.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) => return Err(format!("the process that reads it cannot be waited for: {error}")),
            }
            if spent > self.time {
                return Err(format!("reading it took more than {} s", self.time.as_secs_f32()));
            }
            if held(&mut system, pid) > self.memory {
                return Err(format!("reading it took more than {} MiB of memory", self.memory >> 20));
            }
            std::thread::sleep(LOOK);
            spent += looked.elapsed().min(PIECE);
            looked = Instant::now();
        }
    }
}

/// A process that ends with this.
struct Process {
    child: Child,
    text: Option<JoinHandle<Vec<u8>>>,
    words: Option<JoinHandle<Vec<u8>>>,
}

impl Process {
    fn start(program: &Path, path: &Path, most: u64) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let problem = format!("it cannot read PDF files: {error}");
            Error::File { path: program.to_owned(), problem, advice: ADVICE.into() }
        };
        let mut command = Command::new(program);
        command.args(["pdf-text", "--"]).arg(path).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        without_console(&mut command);
        let mut process = Self { child: command.spawn().map_err(failed)?, text: None, words: None };
        // One byte more shows that there is too much; then the pipe is closed.
        process.text = process.child.stdout.take().map(|out| std::thread::spawn(move || first(out, most + 1)));
        process.words = process.child.stderr.take().map(|err| std::thread::spawn(move || last(err)));
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(windows)]
fn without_console(command: &mut Command) {
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NO_WINDOW);
}

#[cfg(not(windows))]
fn without_console(_: &mut Command) {}

fn first(from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A pipe that breaks has ended.
    let _ = from.take(most).read_to_end(&mut bytes);
    bytes
}

fn last(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), [0; WORDS]);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(piece.get(..count).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(WORDS));
    }
    kept
}

fn joined(thread: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
}

/// Bytes that a process holds, also what of them was written to the disk: on macOS, whose address spaces are huge from the
/// beginning, only what is in memory.
fn held(system: &mut System, pid: Pid) -> u64 {
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, memory);
    let of = |process: &sysinfo::Process| {
        if cfg!(target_os = "macos") { process.memory() } else { process.virtual_memory() }
    };
    system.process(pid).map_or(0, of)
}

/// What a process that failed says about it.
fn told(path: &Path, status: ExitStatus, words: &str) -> String {
    let line = words.lines().rev().find_map(|line| line.strip_prefix("foveal: "));
    let problem = line.filter(|_| status.code() == Some(1)).map(|line| {
        let line = line.strip_prefix(&format!("{}: ", path.display())).unwrap_or(line);
        line.strip_suffix(&format!(". {ADVICE}")).unwrap_or(line).to_owned()
    });
    problem.unwrap_or_else(|| format!("reading it ended in a crash ({status})"))
}

/// The text of a PDF, read by this very process, which ends by itself some time after the one that started it should have
/// ended it.
pub(crate) fn extract(path: &Path) -> Result<String> {
    const LONGEST: Duration = Duration::from_secs(120);
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error, "Check the path"))?;
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    let failed = |error| Error::io(path, &error, "Close other programs");
    let watch = || {
        std::thread::sleep(LONGEST);
        std::process::exit(1);
    };
    thread("watch").spawn(watch).map_err(failed)?;
    let read = thread("pdf").stack_size(STACK).spawn(move || pdf_extract::extract_text_from_mem(&bytes));
    match read.map_err(failed)?.join() {
        Ok(text) => text.map_err(|error| refused(path, format!("the PDF has no text that can be read ({error})"))),
        Err(_) => Err(refused(path, "the PDF is damaged in a way that cannot be read")),
    }
}
