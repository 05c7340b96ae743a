//! What the picture of reading is computed from: votes, chance, heat, coverage, and the way from a block to its text.
//!
//! All of it is plain arithmetic over the engine's trace; nothing here draws, and nothing invents: a dense step has no
//! votes.

pub mod passages;
pub mod reading;
pub mod votes;

pub use passages::{Passage, block_passages, blocks_of, snap, tokens_of};
pub use reading::{Coverage, Hot, Reading, Span, Written};
pub use votes::{BlockVotes, ReaderFilter, Shade, chance, heat, heat_step};
