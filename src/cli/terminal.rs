//! What commands write to: standard output that notices when its reader is gone, progress bars, and Ctrl-C.
//!
//! Text of documents and models is made harmless before it is shown: a control character could move the cursor, change
//! the title or type for the user.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, Result};
use crate::model::Stage;

/// Exit code of a program that Ctrl-C ended, as shells expect it.
const INTERRUPTED: i32 = 130;

/// Standard output and the state of Ctrl-C.
pub(super) struct Terminal {
    reader_gone: bool,
    answering: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes over Ctrl-C: while an answer is written the first one stops it; otherwise it ends the program.
    pub(super) fn new() -> Result<Self> {
        let (answering, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (heard, asked) = (Arc::clone(&answering), Arc::clone(&stop));
        ctrlc::set_handler(move || {
            let first = !asked.swap(true, Ordering::Relaxed);
            if !(first && heard.load(Ordering::Relaxed)) {
                std::process::exit(INTERRUPTED);
            }
        })
        .map_err(|error| Error::File {
            path: "Ctrl-C".into(),
            problem: format!("it cannot be taken over: {error}"),
            advice: "Start foveal from a terminal".into(),
        })?;
        Ok(Self { reader_gone: false, answering, stop })
    }

    /// Runs `work`, which looks at the flag now and then: Ctrl-C sets it.
    pub(super) fn stoppable<T>(&mut self, work: impl FnOnce(&mut Self, &AtomicBool) -> T) -> T {
        self.stop.store(false, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
        let stop = Arc::clone(&self.stop);
        let done = work(self, &stop);
        self.answering.store(false, Ordering::Relaxed);
        self.stop.store(false, Ordering::Relaxed);
        done
    }

    /// Writes text of ours. Fails once nobody reads it any more.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                self.reader_gone = true;
                return Error::Stopped;
            }
            Error::not_written("standard output", &error, "Make room where the output goes")
        })
    }

    /// The same with an end of line.
    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// One JSON value on a line of its own. Control characters are written as escapes.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| Error::shape("output", "JSON", error))?;
        // JSON itself escapes those below a space; all others stand inside its strings.
        let mut safe = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '\u{7f}'..='\u{9f}' => safe.push_str(&format!("\\u{:04x}", u32::from(character))),
                _ => safe.push(character),
            }
        }
        self.line(&safe)
    }

    /// Whether the reader of standard output has closed it.
    pub(super) fn reader_is_gone(&self) -> bool {
        self.reader_gone
    }
}

/// `text` with control characters written out, but for ends of lines and tabs.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let harmless = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if harmless(character) {
            safe.push(character);
        } else {
            safe.extend(character.escape_unicode());
        }
    }
    safe.into()
}

/// A remark on standard error, dim where that is a terminal.
pub(super) fn remark(text: &str) {
    let text = escape(text);
    if io::stderr().is_terminal() {
        eprintln!("\x1b[2m{text}\x1b[0m");
    } else {
        eprintln!("{text}");
    }
}

/// A bar on standard error, where that is a terminal, that goes away when it is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `what` is going on.
    pub(super) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {percent}% {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// `done` of `total`.
    pub(super) fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// For the loading of a model.
    pub(super) fn stage(&self, stage: Stage, done: u64, total: u64) {
        self.bar.set_message(match stage {
            Stage::Compiling => "compiling kernels",
            Stage::Uploading => "loading weights",
        });
        self.set(done, total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Whether questions come from a pipe or a file. A window's launcher gives neither, nor does a person at a terminal.
#[cfg(feature = "desktop")]
pub(super) fn input_is_piped() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata("/dev/stdin").is_ok_and(|input| input.file_type().is_fifo() || input.is_file())
    }
    #[cfg(not(unix))]
    false
}

/// Whether a window can open.
#[cfg(feature = "desktop")]
pub(super) fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(escape("a\tb\nä"), "a\tb\nä");
        assert_eq!(escape("\x1b[2J\r\u{9b}x\u{7f}"), "\\u{1b}[2J\\u{d}\\u{9b}x\\u{7f}");
    }
}
