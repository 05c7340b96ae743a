//! Faults on purpose, so that what follows them can be tested: on the N-th time that the program allocates, compiles,
//! writes, dispatches, submits or reads, the device is lost, or the step is refused as a driver would refuse it, or the driver
//! complains of some earlier work, as drivers do: late.
//!
//! ```text
//! FOVEAL_FAULTS=lose:dispatch:300,lose:read:2,refuse:allocate:17,panic:compile:3,complain:submit:40
//! ```
//!
//! `lose:frame:N` is about the other device, which draws the window.
//!
//! Times are counted from 1 over all devices that are opened with the same list, so that `lose:dispatch:300,lose:write:2`
//! can strike once more while what was lost is being restored.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Name of the environment variable.
const VARIABLE: &str = "FOVEAL_FAULTS";

/// Where a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// A buffer is made.
    Allocate,
    /// A kernel is compiled.
    Compile,
    /// Something is written to a buffer: weights, tokens.
    Write,
    /// A dispatch is recorded.
    Dispatch,
    /// Recorded work goes to the driver.
    Submit,
    /// A result is waited for.
    Read,
    /// A frame of the window is drawn, with the window's own device.
    Frame,
}

impl FaultPoint {
    /// All of the device that computes.
    pub const ALL: [Self; 6] = [Self::Allocate, Self::Compile, Self::Write, Self::Dispatch, Self::Submit, Self::Read];

    /// The name in the list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Compile => "compile",
            Self::Write => "write",
            Self::Dispatch => "dispatch",
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Frame => "frame",
        }
    }
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The device is destroyed; whoever uses it finds out as with a real loss.
    Lose,
    /// The driver has no memory for it, or does not compile it.
    Refuse,
    /// The compiler panics.
    Panic,
    /// The driver reports an error outside any error scope; the step itself goes on.
    Complain,
}

/// A list of faults with the count of what has happened so far. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    ordered: Vec<(Fault, FaultPoint, u64)>,
    counts: [AtomicU64; FaultPoint::ALL.len() + 1],
}

impl Faults {
    /// Those that the environment orders; usually none.
    pub fn from_environment() -> Result<Self> {
        std::env::var(VARIABLE).map_or_else(|_| Ok(Self::default()), |text| text.parse())
    }

    /// How often `point` has been passed.
    pub fn count(&self, point: FaultPoint) -> u64 {
        self.0.counts[point as usize].load(Ordering::Relaxed)
    }

    /// Counts a frame of the window; true where its device is to be lost with this one.
    pub fn lose_window(&self) -> bool {
        self.pass(FaultPoint::Frame) == Some(Fault::Lose)
    }

    /// Counts, and says what is to happen this time.
    pub(super) fn pass(&self, point: FaultPoint) -> Option<Fault> {
        let time = self.0.counts[point as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let found = self.0.ordered.iter().find(|(_, at, number)| (*at, *number) == (point, time));
        found.map(|(fault, ..)| {
            tracing::warn!("injected fault: {fault:?} at {} {time}", point.name());
            *fault
        })
    }
}

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |found: &str| Error::Usage {
            what: VARIABLE.into(),
            expected: format!(
                "a list of lose:POINT:N, complain:POINT:N, refuse:allocate:N, refuse:compile:N, panic:compile:N or \
                 lose:frame:N, POINT one of {}",
                FaultPoint::ALL.map(FaultPoint::name).join(", ")
            ),
            found: format!("\"{found}\""),
        };
        let parse = |item: &str| -> Option<(Fault, FaultPoint, u64)> {
            let mut words = item.trim().split(':');
            let (fault, point, number) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
            let mut points = FaultPoint::ALL.into_iter().chain([FaultPoint::Frame]);
            let point = points.find(|known| known.name() == point)?;
            let fault = match (fault, point) {
                ("lose", _) => Fault::Lose,
                ("complain", point) if point != FaultPoint::Frame => Fault::Complain,
                ("refuse", FaultPoint::Allocate | FaultPoint::Compile) => Fault::Refuse,
                ("panic", FaultPoint::Compile) => Fault::Panic,
                _ => return None,
            };
            (words.next().is_none() && number > 0).then_some((fault, point, number))
        };
        let items = text.split(',').filter(|item| !item.trim().is_empty());
        let ordered = items.map(|item| parse(item).ok_or_else(|| wrong(item))).collect::<Result<_>>()?;
        Ok(Self(Arc::new(Plan { ordered, counts: Default::default() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_strikes_once_in_all_clones() {
        let faults: Faults = "lose:dispatch:2, refuse:allocate:1".parse().unwrap();
        let other = faults.clone();
        assert_eq!(faults.pass(FaultPoint::Dispatch), None);
        assert_eq!(other.pass(FaultPoint::Dispatch), Some(Fault::Lose));
        assert_eq!(faults.pass(FaultPoint::Dispatch), None);
        assert_eq!(faults.pass(FaultPoint::Allocate), Some(Fault::Refuse));
        assert_eq!((faults.count(FaultPoint::Dispatch), faults.count(FaultPoint::Read)), (3, 0));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for text in [
            "lose",
            "lose:dispatch",
            "lose:dispatch:0",
            "refuse:submit:1",
            "panic:read:1",
            "complain:frame:1",
            "lose:read:1:2",
        ] {
            assert!(text.parse::<Faults>().unwrap_err().to_string().contains(text), "{text}");
        }
        assert!("".parse::<Faults>().is_ok());
    }
}
