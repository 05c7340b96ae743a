//! What happens in the window, as log events: shown with `-v`, for reports of what went wrong and for scripts that drive
//! the window. Texts of chats and documents are told only at the trace level
//! (`RUST_LOG=foveal::desktop=trace`), and nothing ever leaves the machine.

use super::attention::block_passages;
use super::messages::{EngineError, WorkId};
use super::store::{ChatId, ModelState, Notice, Store};
use super::views::Views;

/// What was told last.
#[derive(Default)]
pub(crate) struct Log {
    model: &'static str,
    work: Option<WorkId>,
    block: Option<u32>,
    chat: Option<ChatId>,
    failure: Option<EngineError>,
}

impl Log {
    /// Tells what changed since the last frame.
    pub(crate) fn tell(&mut self, store: &Store, views: &Views, scale: f32) {
        let model = match &store.model {
            ModelState::None => "none",
            ModelState::Loading(..) => "opening",
            ModelState::Ready(..) => "ready",
            ModelState::Failed(..) => "failed",
        };
        if self.model != model {
            self.model = model;
            let info = store.model_info();
            let (name, device) = info.map_or(("", ""), |info| (&*info.name, &*info.device));
            tracing::debug!(state = model, name, device, "model");
        }
        if self.chat.replace(store.current) != Some(store.current) {
            let reopened = store.notices.iter().any(|posted| posted.notice.is_of(Notice::REOPENED));
            tracing::debug!(id = store.current, reopened, "chat on screen");
        }
        let work = store.work.as_ref().map(|work| work.generation);
        if self.work != work {
            match work {
                Some(generation) => tracing::debug!(generation, "answer begins"),
                None => answered(store, views, scale),
            }
            self.work = work;
        }
        if self.block != store.focus.block {
            self.block = store.focus.block;
            card(store, views);
        }
        let failure = store.notices.iter().rev().find_map(|posted| match &posted.notice {
            Notice::Failure(error) => Some(error),
            _ => None,
        });
        if self.failure.as_ref() != failure {
            self.failure = failure.cloned();
            match failure {
                Some(error) => tracing::warn!(kind = ?error.kind, "{}", error.message),
                None => tracing::debug!("error card closed"),
            }
        }
    }
}

/// The end of an answer: its figures, and where on the screen its hottest block is.
fn answered(store: &Store, views: &Views, scale: f32) {
    let Some(reading) = store.reading() else { return };
    let message = store.chat().and_then(|chat| chat.message(reading.message));
    let finish = message.and_then(|message| message.finish);
    let mode = store.mode();
    tracing::debug!(tokens = reading.written.len(), ?finish, ?mode, "answer ended");
    tracing::trace!(text = message.map_or("", |message| &message.text), "answer");
    let hottest = reading.ranking().first().copied();
    if let Some((block, place)) = hottest.and_then(|block| Some((block, views.ribbon.as_ref()?.place_of(block)?))) {
        tracing::debug!(block, x = place.x * scale, y = place.y * scale, "hottest block on the ribbon");
    }
}

fn card(store: &Store, views: &Views) {
    let (Some(block), Some(reading)) = (store.focus.block, store.reading()) else {
        return tracing::debug!("block card closed");
    };
    let passages = block_passages(&reading.map, reading.block_size(), block);
    let source = passages.first().map_or_else(String::new, |passage| store.source_name(passage.source));
    let votes = views.picture.shade.votes.get(block as usize).copied().unwrap_or(0.0);
    tracing::debug!(block, source, votes, "block card");
    tracing::trace!(text = super::views::card_text(store, reading, block), "block card");
}
