//! The window through its accessible names, against a scripted engine; and the parts below it on their own.

mod actions; // every action by its accessible name
mod attention; // votes, chance, heat, blocks and text
mod store; // reducer, branches, history files
mod shots; // pictures to look at, when asked for
mod window; // the app in a harness
