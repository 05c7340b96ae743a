//! Documents that were attached once and are kept: text, name, and where its paragraphs are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::desktop::messages::DocumentId;

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Digest of the text.
    pub id: DocumentId,
    /// File name.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

impl Document {
    /// A document from a text. The same text gets the same number; 0 is never one.
    pub fn new(name: String, text: &str) -> Self {
        // FNV-1a: it stays the same from one release to the next, as numbers in files must.
        let digest = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { id: digest.max(1), name, text: text.into() }
    }

    /// Line of a byte, counted from 1.
    pub fn line_of(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().get(..byte.min(self.text.len())).unwrap_or(&[]);
        1 + before.iter().filter(|&&letter| letter == b'\n').count()
    }

    /// Words, roughly: what stands between white space.
    pub fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }
}
