//! The chat window, and the view that shows what the model reads.
pub mod attention;
pub mod engine;
pub mod fake;
pub mod history;
pub mod messages;
pub mod store;
pub mod trace_data;
