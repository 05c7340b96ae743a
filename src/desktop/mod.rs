//! The chat window, and the view that shows what the model reads.
//!
//! Read in this order: [`messages`] and [`trace_data`] (what the engine says), [`engine`] (its thread), [`store`] (the
//! state, without any drawing), [`attention`] (arithmetic of the trace), `views` (what is drawn), [`app`] (the window), `run` (the window
//! on the screen).
//! No tensor and no kernel is known here: the engine is a function that takes commands and sends events.

pub mod app;
pub mod attention;
pub mod commands;
pub mod engine;
mod export;
pub mod fake;
pub mod history;
mod letters;
mod log;
pub mod messages;
pub mod model_engine;
pub mod opening;
mod pdf;
mod run;
pub mod store;
pub mod theme;
pub mod trace_data;
mod views;
mod workers;

pub use app::{App, ChatChange, DesktopOptions};
pub use pdf::PdfReader;
pub(crate) use pdf::extract as extract_pdf;
pub use run::run;
pub use workers::read_document;
