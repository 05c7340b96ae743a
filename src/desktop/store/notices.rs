//! Cards and notes: the same one stands once, notes of what was done go by themselves, and there are never so many that
//! they cover the conversation.

use super::{Notice, Posted, Store};

/// Most at a time; the oldest go first, notes before cards.
const MOST: usize = 4;
/// Milliseconds for which a note of what was done stands.
const DONE: u64 = 8_000;
/// Milliseconds for which undo is offered; the command stays.
const UNDO: u64 = 20_000;

impl Store {
    /// Shows a notice.
    pub(super) fn tell(&mut self, notice: Notice) {
        let replaced = |old: &Notice| *old == notice || matches!((old, &notice), (Notice::Undo(_), Notice::Undo(_)));
        self.notices.retain(|posted| !replaced(&posted.notice));
        while self.notices.len() >= MOST {
            let note = self.notices.iter().position(|posted| lifetime(&posted.notice).is_some());
            self.notices.remove(note.unwrap_or(0));
        }
        self.notices.push(Posted { notice, since: self.now });
    }

    /// Takes away what has stood long enough. Returns the milliseconds until the next one goes.
    pub fn expire_notices(&mut self) -> Option<u64> {
        let now = self.now;
        let left = |posted: &Posted| {
            lifetime(&posted.notice).map(|lifetime| posted.since.saturating_add(lifetime).saturating_sub(now))
        };
        self.notices.retain(|posted| left(posted) != Some(0));
        self.notices.iter().filter_map(left).min()
    }
}

fn lifetime(notice: &Notice) -> Option<u64> {
    match notice {
        Notice::Done(_) => Some(DONE),
        Notice::Undo(_) => Some(UNDO),
        Notice::Failure(_) | Notice::Problem(..) => None,
    }
}
