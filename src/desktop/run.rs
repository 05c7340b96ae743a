//! Opens the window on the screen, and opens it again when the device that draws it is lost.
//!
//! The window has a device of its own beside the engine's. The library that draws with it cannot replace it, and panics,
//! often before the driver has said why. So after any panic of the window the answer is ended, everything is written to the
//! disk, and the program starts once more in its own place, with the same flags and the same chat on screen. Where windows
//! are lost one after the other there is an error instead.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use egui::{Context, Ui, ViewportCommand};

use super::app::{App, DesktopOptions};
use super::store::ChatId;
use crate::error::{Error, Result};

/// Tells the program that takes the place of this one which chat to show, and how many windows were lost in a row.
const REOPEN: &str = "FOVEAL_REOPEN";
/// Windows that may be lost in a row.
const IN_A_ROW: u32 = 3;
/// A window that stood this long was well.
const WELL: Duration = Duration::from_secs(60);

/// What is known of the window when it ends.
#[derive(Clone, Default)]
struct Watch {
    /// The driver said that its device is gone.
    lost: Arc<AtomicBool>,
    /// The window was closed for it: the end of any window is told as a loss.
    noticed: Arc<AtomicBool>,
    /// The chat on screen; 0 before the first frame.
    chat: Arc<AtomicU64>,
}

struct OnScreen {
    app: App,
    watch: Watch,
}

impl eframe::App for OnScreen {
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        self.app.logic(context);
        self.watch.chat.store(self.app.store().current, Ordering::Relaxed);
        if self.watch.lost.load(Ordering::Relaxed) {
            self.watch.noticed.store(true, Ordering::Relaxed);
            self.app.close();
            context.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.app.ui(ui);
        if self.app.loses_window()
            && let Some(state) = frame.wgpu_render_state()
        {
            state.device.destroy();
        }
    }

    fn on_exit(&mut self) {
        self.app.close();
    }
}

/// Opens the window and returns when it is closed.
pub fn run(mut options: DesktopOptions) -> Result<()> {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Foveal")
            .with_app_id("foveal")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([760.0, 480.0])
            .with_icon(egui::IconData::default()),
        ..Default::default()
    };
    let before = std::env::var(REOPEN).ok().and_then(|text| read_reopen(&text));
    options.reopened = options.reopened.or(before.map(|(chat, _)| chat));
    let (watch, opened) = (Watch::default(), Instant::now());
    let watching = watch.clone();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let open: eframe::AppCreator<'_> = Box::new(move |creation| {
            listen(creation, &watching);
            let app = App::new(&creation.egui_ctx, options)?;
            Ok(Box::new(OnScreen { app, watch: watching }))
        });
        eframe::run_native("Foveal", native, open)
    }));
    tracing::debug!("window closed");
    match ended {
        Ok(ended) if !watch.noticed.load(Ordering::Relaxed) => ended.map_err(|error| Error::gpu("window", error)),
        Err(panic) if watch.chat.load(Ordering::Relaxed) == 0 => resume_unwind(panic),
        _ => {
            let in_a_row = lost_in_a_row(before.map_or(0, |(_, times)| times), opened.elapsed());
            reopen(watch.chat.load(Ordering::Relaxed), in_a_row)
        }
    }
}

/// Hears what the driver says about the window's device. Without it any complaint would end the program.
fn listen(creation: &eframe::CreationContext<'_>, watch: &Watch) {
    let Some(state) = &creation.wgpu_render_state else { return };
    let (lost, context) = (Arc::clone(&watch.lost), creation.egui_ctx.clone());
    state.device.set_device_lost_callback(move |reason, message| {
        tracing::warn!(?reason, message, "the device that draws the window was lost");
        // Unwinding ends the device too.
        lost.fetch_or(!std::thread::panicking(), Ordering::Relaxed);
        context.request_repaint();
    });
    state.device.on_uncaptured_error(Arc::new(|error| tracing::warn!("drawing the window: {error}")));
}

fn lost_in_a_row(before: u32, stood: Duration) -> u32 {
    if stood >= WELL { 1 } else { before.saturating_add(1) }
}

/// The chat and the number of losses, as the program before wrote them.
fn read_reopen(text: &str) -> Option<(ChatId, u32)> {
    let (chat, times) = text.split_once(':')?;
    Some((chat.parse().ok()?, times.parse().ok()?))
}

/// Starts the program once more in the place of this one.
fn reopen(chat: ChatId, in_a_row: u32) -> Result<()> {
    let lost = |detail: String| Error::Gpu {
        what: "the window".into(),
        detail,
        advice: "Chats are saved: start foveal again, and please report it".into(),
    };
    if in_a_row > IN_A_ROW {
        return Err(lost(format!(
            "it ended {in_a_row} times in a row, by a loss of the device that draws it or by a mistake in foveal"
        )));
    }
    tracing::warn!(chat, in_a_row, "the window is opened again");
    let program = std::env::current_exe().map_err(|error| lost(error.to_string()))?;
    let mut again = Command::new(program);
    // Faults on purpose have struck.
    again.args(std::env::args_os().skip(1)).env(REOPEN, format!("{chat}:{in_a_row}")).env_remove("FOVEAL_FAULTS");
    take_place(&mut again).map_err(|error| lost(error.to_string()))
}

/// Returns only where it could not be started.
#[cfg(unix)]
fn take_place(again: &mut Command) -> std::io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(again))
}

/// Elsewhere the new program stands beside this one, which ends.
#[cfg(not(unix))]
fn take_place(again: &mut Command) -> std::io::Result<()> {
    again.spawn().map(drop)
}

#[cfg(test)]
mod tests {
    use super::{IN_A_ROW, WELL, lost_in_a_row, read_reopen, reopen};
    use std::time::Duration;

    #[test]
    fn windows_that_stood_for_long_do_not_count() {
        assert_eq!(lost_in_a_row(0, Duration::ZERO), 1);
        assert_eq!(lost_in_a_row(2, Duration::from_secs(59)), 3);
        assert_eq!(lost_in_a_row(2, WELL), 1);
        assert_eq!(read_reopen("1764240000000:2"), Some((1_764_240_000_000, 2)));
        for text in ["", "7", "7:", ":1", "x:1", "7:-1"] {
            assert_eq!(read_reopen(text), None, "{text}");
        }
        assert!(reopen(7, IN_A_ROW + 1).unwrap_err().to_string().contains("ended 4 times in a row"));
    }
}
