//! Opens the window on the screen, and ends it in order when the device that draws it is lost.
//!
//! The window has a device of its own beside the engine's. The library that draws with it cannot replace it, and panics in
//! the next frame: chats are saved all the same, and the program ends with an error that says what happened.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use egui::{Context, Ui, ViewportCommand};

use super::app::{App, DesktopOptions};
use crate::error::{Error, Result};

struct OnScreen {
    app: App,
    lost: Arc<AtomicBool>,
    /// Set where the window is closed for it: the end of any window is told as a loss.
    noticed: Arc<AtomicBool>,
}

impl eframe::App for OnScreen {
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        self.app.logic(context);
        if self.lost.load(Ordering::Relaxed) {
            self.noticed.store(true, Ordering::Relaxed);
            self.app.close();
            context.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.app.ui(ui);
    }

    fn on_exit(&mut self) {
        self.app.close();
    }
}

/// Opens the window and returns when it is closed.
pub fn run(options: DesktopOptions) -> Result<()> {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Foveal")
            .with_app_id("foveal")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([760.0, 480.0])
            .with_icon(egui::IconData::default()),
        ..Default::default()
    };
    let lost = Arc::new(AtomicBool::new(false));
    let noticed = Arc::new(AtomicBool::new(false));
    let (heard, told) = (Arc::clone(&lost), Arc::clone(&noticed));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let open: eframe::AppCreator<'_> = Box::new(move |creation| {
            watch(creation, &heard);
            let app = App::new(&creation.egui_ctx, options)?;
            Ok(Box::new(OnScreen { app, lost: heard, noticed: told }))
        });
        eframe::run_native("Foveal", native, open)
    }));
    tracing::debug!("window closed");
    let drawing = || Error::Gpu {
        what: "the window".into(),
        detail: "the device that draws it was lost".into(),
        advice: "Chats are saved: start foveal again".into(),
    };
    match ended {
        Ok(_) if noticed.load(Ordering::Relaxed) => Err(drawing()),
        Ok(ended) => ended.map_err(|error| Error::gpu("window", error)),
        Err(_) if lost.load(Ordering::Relaxed) => Err(drawing()),
        Err(panic) => resume_unwind(panic),
    }
}

/// Hears what the driver says about the window's device. Without it any complaint would end the program.
fn watch(creation: &eframe::CreationContext<'_>, lost: &Arc<AtomicBool>) {
    let Some(state) = &creation.wgpu_render_state else { return };
    let heard = Arc::clone(lost);
    state.device.set_device_lost_callback(move |reason, message| {
        tracing::warn!(?reason, message, "the device that draws the window was lost");
        // Unwinding ends the device too.
        heard.fetch_or(!std::thread::panicking(), Ordering::Relaxed);
    });
    state.device.on_uncaptured_error(Arc::new(|error| tracing::warn!("drawing the window: {error}")));
}
