//! The driver reports an error of earlier work, as drivers do: late, outside any error scope, while something else is being
//! done. Whoever asked gets an error once; nothing that may be wrong is kept, and the next answer is as if nothing had been.

use std::sync::Arc;
use std::time::Duration;

use foveal::error::{Error, Result};
use foveal::gpu::{FaultPoint, Faults, Gpu};
use foveal::model::Attention;
use foveal::session::Session;

use super::{BUDGET, gpu_with, load, options, tokens};

/// Bits of the logits after a prompt and a few tokens more.
fn answer(session: &mut Session) -> Result<Vec<u32>> {
    session.feed(&tokens(440, 1), &mut |_, _| Ok(()))?;
    for token in tokens(4, 2) {
        session.advance(token)?;
    }
    Ok(session.logits()?.into_iter().map(f32::to_bits).collect())
}

#[test]
fn a_late_complaint_is_an_error_once_and_leaves_nothing_behind() {
    // Each dispatch a submit of its own; and as few submits as there can be, with steps encoded ahead.
    for budget in [Duration::ZERO, BUDGET] {
        let counting = Faults::default();
        let Some(gpu) = gpu_with(&counting) else { return };
        let prepared = |gpu: &Arc<Gpu>| {
            let mut session = load(gpu, "minicpm_sparse", &options()).unwrap();
            session.set_attention(Attention::Sparse);
            session.set_submit_budget(budget);
            session
        };
        let mut session = prepared(&gpu);
        let points = [FaultPoint::Write, FaultPoint::Dispatch, FaultPoint::Submit, FaultPoint::Read];
        let start = points.map(|point| counting.count(point));
        let wanted = answer(&mut session).unwrap();
        for (point, start) in points.into_iter().zip(start) {
            let count = counting.count(point) - start;
            let mut met = 0;
            for part in 0..6 {
                let fault = format!("complain:{}:{}", point.name(), start + 1 + part * (count - 1) / 5);
                let mut session = prepared(&gpu_with(&fault.parse().unwrap()).unwrap());
                let mut told = 0;
                // How a step is cut hangs on the speed of the device: the place may come in a later answer, or not at all.
                for attempt in 0..3 {
                    match answer(&mut session) {
                        Ok(got) => assert_eq!(got, wanted, "{fault}, attempt {attempt}"),
                        Err(error) => {
                            told += 1;
                            let words = error.to_string();
                            let late = matches!(error, Error::Gpu { .. }) && words.contains("injected complaint");
                            assert!(late, "{fault}: {error}");
                            assert!(session.tokens().is_empty(), "{fault}: {} tokens are kept", session.tokens().len());
                        }
                    }
                }
                assert!(told <= 1, "{fault}: told {told} times");
                met += told;
            }
            assert!(met >= 4, "{}: {met} of 6 complaints were met", point.name());
            eprintln!("{budget:?} a submit, {}: {met} of 6 complaints met, each an error once", point.name());
        }
    }
}
