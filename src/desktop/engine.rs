//! The engine thread, seen from the window: commands in, events out, a stop mark, and a wake-up for the window that
//! rings at most every 33 ms however fast the tokens come.
//!
//! The loop itself is a plain function that gets an [`EngineSide`]; the real engine and the scripted one in
//! [`fake`](super::fake) are two such functions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::messages::{Command, EngineError, Event, FailureKind, WorkId};

/// Shortest time between two wake-ups of the window.
const WAKE_EVERY: Duration = Duration::from_millis(33);

/// Asks the window to draw after this time.
pub type Wake = Arc<dyn Fn(Duration) + Send + Sync>;

/// A function that runs the engine until [`Command::Shutdown`] or until the commands end.
pub type EngineLoop = Arc<dyn Fn(EngineSide) + Send + Sync>;

/// The highest number of work that has been stopped; work with that number or a lower one ends.
#[derive(Debug, Clone, Default)]
pub struct StopMark(Arc<AtomicU64>);

impl StopMark {
    /// Asks this work, and all before it, to end.
    pub fn stop(&self, work: WorkId) {
        self.0.fetch_max(work, Ordering::Relaxed);
    }

    /// To be asked between chunks of the prompt and between tokens.
    pub fn is_stopped(&self, work: WorkId) -> bool {
        self.0.load(Ordering::Relaxed) >= work
    }
}

/// Sends events and wakes the window.
#[derive(Clone)]
pub struct EventSender {
    events: Sender<Event>,
    wake: Wake,
    last_wake: Arc<Mutex<Option<Instant>>>,
}

impl EventSender {
    /// False when the window is gone.
    pub fn send(&self, event: Event) -> bool {
        if self.events.send(event).is_err() {
            return false;
        }
        let mut last = self.last_wake.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.map_or(WAKE_EVERY, |at| at.elapsed());
        if since >= WAKE_EVERY {
            *last = Some(Instant::now());
            (self.wake)(Duration::ZERO);
        } else {
            (self.wake)(WAKE_EVERY - since);
        }
        true
    }
}

/// What the engine's loop holds.
pub struct EngineSide {
    /// What to do.
    pub commands: Receiver<Command>,
    /// Where to report.
    pub events: EventSender,
    /// What to give up.
    pub stop: StopMark,
}

/// What the window holds.
pub struct EngineHandle {
    commands: Sender<Command>,
    events: Receiver<Event>,
    stop: StopMark,
}

impl EngineHandle {
    /// Starts the loop on its own thread. A panic in it becomes an event, not the end of the window.
    pub fn spawn(wake: Wake, engine: EngineLoop) -> std::io::Result<Self> {
        let (command_sender, command_receiver) = channel();
        let (event_sender, event_receiver) = channel();
        let stop = StopMark::default();
        let events = EventSender { events: event_sender, wake, last_wake: Arc::default() };
        let side = EngineSide { commands: command_receiver, events: events.clone(), stop: stop.clone() };
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| engine(side))) {
                let words = panic
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".into());
                events.send(Event::Failed(
                    None,
                    EngineError {
                        kind: FailureKind::Crashed,
                        message: format!("the engine stopped by a mistake in foveal: {words}. Please report it"),
                    },
                ));
            }
        })?;
        Ok(Self { commands: command_sender, events: event_receiver, stop })
    }

    /// False when the engine has ended.
    pub fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }

    /// Marks work as stopped, at once, whatever the loop is doing.
    pub fn stop(&self, work: WorkId) {
        self.stop.stop(work);
    }

    /// Events that have come so far.
    pub fn drain(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.try_iter()
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.stop.stop(WorkId::MAX);
        // The loop may have ended already; then there is nobody to tell.
        let _ = self.commands.send(Command::Shutdown);
    }
}
