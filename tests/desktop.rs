//! The window through its accessible names, against a scripted engine; and the parts below it on their own.

mod actions; // every action by its accessible name
mod attention; // votes, chance, heat, blocks and text
mod frames; // cost of a frame
mod shots; // pictures to look at, when asked for
mod store; // reducer, branches, history files
mod window; // the app in a harness
