//! The window through its accessible names, against a scripted engine; and the parts below it on their own.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod actions; // every action by its accessible name
mod attention; // votes, chance, heat, blocks and text
mod drafts; // what is typed and not sent
mod end_to_end; // the real program on a screen of its own
mod frames; // cost of a frame
mod keyboard; // everything without the mouse
mod manners; // when things do not go straight
mod pdf; // PDF files, good and harmful
mod reach; // files dropped, zoom, marks, devices, settings
mod real_engine; // the window with a real model
mod shots; // pictures to look at, when asked for
mod snapshots; // a few small pictures
mod store; // reducer, branches, history files
mod traces; // what was read, after a restart
mod unsaid; // nothing said or typed is lost
mod view; // the attention view
mod window; // the app in a harness
