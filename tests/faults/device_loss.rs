//! The device is destroyed in the middle of things: while the model loads, in a prompt, in an answer, in the selection of
//! blocks, and again while the first loss is being made good. The bits of every logit must be those of an undisturbed run. Where
//! prompts go through cooperative matrices their numbers must be close: the tokens of an answer are computed again as a prompt.

use std::time::Duration;

use foveal::block_marks::BlockMarks;
use foveal::error::{Error, Result};
use foveal::gpu::{FaultPoint, Faults};
use foveal::model::Attention;
use foveal::session::{Recovery, Session};

use super::{gpu_with, load, options, tokens};

/// What one conversation gives, and what was reported on the way.
#[derive(Default)]
struct Outcome {
    answer: Vec<u32>,
    blocks: Vec<Vec<u32>>,
    logits: Vec<u32>,
    lost: usize,
    restored: usize,
}

/// A prompt, an answer that becomes sparse on the way, an edit, a second answer, the logits at the end.
fn converse(session: &mut Session) -> Result<Outcome> {
    converse_and(session, &mut || ())
}

/// The same; hears of every loss.
fn converse_and(session: &mut Session, hear: &mut dyn FnMut()) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    session.set_attention(Attention::Auto);
    session.set_trace(true);
    // A submit for each dispatch, however fast or busy the device is: the same number in every run.
    session.set_submit_budget(Duration::ZERO);
    let (mut lost, mut restored) = (0, 0);
    let mut report = |recovery| {
        if matches!(recovery, Recovery::Lost(_)) {
            lost += 1;
            hear();
        }
        restored += usize::from(recovery == Recovery::Restored);
        Ok(())
    };
    let mut context = tokens(440, 1);
    for turn in 0..2 {
        let mut next = session.surviving(&mut report, &mut |session| session.feed(&context, &mut |_, _| Ok(())))?;
        for _ in 0..12 {
            let token = next.top.candidates[0].0;
            context.push(token);
            outcome.answer.push(token);
            outcome.blocks.extend(next.trace.into_iter().flat_map(|trace| trace.readers));
            next = session.surviving(&mut report, &mut |session| session.advance(token))?;
        }
        // The last question is written anew.
        context.truncate(430 + turn);
        context.extend(tokens(40, 2));
    }
    let logits = session.surviving(&mut report, &mut Session::logits)?;
    outcome.logits = logits.into_iter().map(f32::to_bits).collect();
    (outcome.lost, outcome.restored) = (lost, restored);
    Ok(outcome)
}

fn same(what: &str, coop: bool, got: &Outcome, wanted: &Outcome) {
    assert_eq!(got.answer, wanted.answer, "{what}: the answer");
    if coop {
        let gaps = got.logits.iter().zip(&wanted.logits).map(|(a, b)| (f32::from_bits(*a) - f32::from_bits(*b)).abs());
        let worst = gaps.fold(0.0, f32::max);
        assert!(got.logits.len() == wanted.logits.len() && worst < 5e-2, "{what}: logits differ by {worst}");
        return;
    }
    assert_eq!(got.blocks, wanted.blocks, "{what}: the blocks that were read");
    assert_eq!(got.logits, wanted.logits, "{what}: the bits of the logits");
}

#[test]
fn a_lost_device_changes_nothing_wherever_it_happens() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let mut session = load(&gpu, "minicpm_sparse", &options()).unwrap();
    let at_load = FaultPoint::ALL.map(|point| counting.count(point));
    let wanted = converse(&mut session).unwrap();
    assert_eq!((wanted.lost, wanted.answer.len()), (0, 24));
    assert!(!wanted.blocks.is_empty(), "no step was sparse");
    let mut table = Vec::new();
    for (index, point) in FaultPoint::ALL.into_iter().enumerate() {
        let all = counting.count(point);
        // Some in the loading, more in the work; both ends of both.
        let (loading, working) = (at_load[index], all - at_load[index]);
        let mut times: Vec<u64> = (0..2).map(|i| 1 + i * loading.saturating_sub(1)).collect();
        times.extend((0..4).map(|i| loading + 1 + i * working.saturating_sub(1) / 3));
        times.retain(|time| *time <= all);
        times.sort_unstable();
        times.dedup();
        let mut reported = 0;
        for time in &times {
            let what = format!("lose:{}:{time}", point.name());
            let faults: Faults = what.parse().unwrap();
            let gpu = gpu_with(&faults).unwrap();
            let mut session =
                load(&gpu, "minicpm_sparse", &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
            // How uploads are cut into submits depends on the speed of the device at that moment: this run's own counts say
            // whether the loss came in the loading, where the work may be first to notice, or in the work.
            let loaded = faults.count(point);
            let got = converse(&mut session).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(got.lost, got.restored, "{what}");
            assert!(got.lost <= 1, "{what}: reported {} times", got.lost);
            if *time > loaded && faults.count(point) >= *time {
                assert_eq!(got.lost, 1, "{what}: reported once");
            }
            reported += got.lost;
            same(&what, gpu.features.coop.is_some(), &got, &wanted);
        }
        assert!(
            point == FaultPoint::Compile || point == FaultPoint::Allocate || reported >= 3,
            "{}: {reported}",
            point.name()
        );
        table.push(format!("{}: {} losses ({reported} after loading), nothing changed", point.name(), times.len()));
    }
    eprintln!("{}", table.join("\n"));
}

/// One question of a chunk of tokens and the token that answers, both sparse, and each of their dispatches as the device's last:
/// scoring, selecting, attending, merging, storing, and what comes before and after.
#[test]
fn any_dispatch_of_a_sparse_chunk_and_step_may_be_the_last() {
    let (before, whole) = (tokens(440, 5), tokens(457, 5));
    let feed = |session: &mut Session, context: &[u32], lost: &mut usize| {
        let mut report = |recovery| {
            *lost += usize::from(matches!(recovery, Recovery::Lost(_)));
            Ok(())
        };
        session.surviving(&mut report, &mut |session| session.feed(context, &mut |_, _| Ok(())))
    };
    let begin = |faults: &Faults| {
        let gpu = gpu_with(faults)?;
        let mut session = load(&gpu, "minicpm_sparse", &options()).unwrap();
        session.set_attention(Attention::Sparse);
        session.set_trace(true);
        // As few submits as can be to get there, then one for each dispatch.
        session.set_submit_budget(Duration::from_secs(1));
        feed(&mut session, &before, &mut 0).unwrap();
        session.set_submit_budget(Duration::ZERO);
        Some(session)
    };
    let counting = Faults::default();
    let Some(mut session) = begin(&counting) else { return };
    let start = counting.count(FaultPoint::Dispatch);
    let wanted = feed(&mut session, &whole, &mut 0).unwrap();
    let end = counting.count(FaultPoint::Dispatch);
    assert!(wanted.trace.as_ref().unwrap().readers.iter().all(|ids| ids.len() > 1), "not sparse");
    assert!(end - start > 40, "a chunk and a step of {} dispatches", end - start);
    let logits = session.logits().unwrap();
    for time in start + 1..=end {
        let what = format!("lose:dispatch:{time}");
        let mut session = begin(&what.parse().unwrap()).unwrap();
        let mut lost = 0;
        let got = feed(&mut session, &whole, &mut lost).unwrap_or_else(|error| panic!("{what}: {error}"));
        let got_logits = session.surviving(&mut |_| Ok(()), &mut Session::logits).unwrap();
        assert_eq!(lost, 1, "{what}");
        assert_eq!(got, wanted, "{what}: candidates and blocks");
        assert!(got_logits.iter().map(|x| x.to_bits()).eq(logits.iter().map(|x| x.to_bits())), "{what}: logits");
    }
    eprintln!("each of {} dispatches was the last one once, nothing changed", end - start);
}

#[test]
fn it_may_be_lost_again_while_it_is_being_restored() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let wanted = converse(&mut load(&gpu, "minicpm_sparse", &options()).unwrap()).unwrap();
    let dispatches = counting.count(FaultPoint::Dispatch);
    let first = format!("lose:dispatch:{}", dispatches * 2 / 3);
    let faults: Faults = first.parse().unwrap();
    let mut session = load(&gpu_with(&faults).unwrap(), "minicpm_sparse", &options()).unwrap();
    let mut at_loss = Vec::new();
    converse_and(&mut session, &mut || at_loss = FaultPoint::ALL.map(|point| faults.count(point)).to_vec()).unwrap();
    // While kernels are compiled again, memory is allocated, weights are written, tokens are computed; and the first
    // result after all that.
    let after = [("compile", 5), ("allocate", 30), ("write", 40), ("dispatch", 100), ("submit", 9), ("read", 1)];
    for (name, later) in after {
        let (index, point) = FaultPoint::ALL.into_iter().enumerate().find(|(_, point)| point.name() == name).unwrap();
        let what = format!("{first},lose:{}:{}", point.name(), at_loss[index] + later);
        let gpu = gpu_with(&what.parse().unwrap()).unwrap();
        let got = converse(&mut load(&gpu, "minicpm_sparse", &options()).unwrap()).unwrap();
        assert_eq!(got.lost, 2, "{what}");
        same(&what, gpu.features.coop.is_some(), &got, &wanted);
    }
}

#[test]
fn a_device_that_is_lost_every_time_is_given_up_and_the_session_can_be_tried_again() {
    let Some(_) = gpu_with(&Faults::default()) else { return };
    let counting = Faults::default();
    load(&gpu_with(&counting).unwrap(), "minicpm_tied", &options()).unwrap();
    let writes = counting.count(FaultPoint::Write);
    // The first submit after each of five loads.
    let list: Vec<String> = (1..=5).map(|load| format!("lose:write:{}", writes * load + load)).collect();
    let gpu = gpu_with(&list.join(",").parse().unwrap()).unwrap();
    let mut session = load(&gpu, "minicpm_tied", &options()).unwrap();
    let context = tokens(50, 3);
    let mut feed = |session: &mut Session| session.feed(&context, &mut |_, _| Ok(()));
    let mut lost = 0;
    let mut report = |recovery| {
        lost += usize::from(matches!(recovery, Recovery::Lost(_)));
        Ok(())
    };
    let error = session.surviving(&mut report, &mut feed).unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    assert_eq!(lost, 4);
    let next = session.surviving(&mut |_| Ok(()), &mut feed).unwrap();
    let wanted = feed(&mut load(&gpu_with(&Faults::default()).unwrap(), "minicpm_tied", &options()).unwrap()).unwrap();
    assert_eq!(next, wanted);
}

#[test]
fn stop_is_heard_while_the_conversation_is_computed_again() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let context = tokens(900, 4);
    let new = |gpu| {
        let mut session = load(gpu, "minicpm_sparse", &options()).unwrap();
        // As many submits on a busy machine as on an idle one.
        session.set_submit_budget(Duration::ZERO);
        session
    };
    new(&gpu).feed(&context, &mut |_, _| Ok(())).unwrap();
    let late = format!("lose:submit:{}", counting.count(FaultPoint::Submit) * 3 / 4);
    let losing = gpu_with(&late.parse().unwrap()).unwrap();
    let mut session = new(&losing);
    let mut report = |recovery| match recovery {
        Recovery::Recomputing(done, _) if done > 0 => Err(Error::Stopped),
        _ => Ok(()),
    };
    let mut feed = |session: &mut Session| session.feed(&context, &mut |_, _| Ok(()));
    assert!(matches!(session.surviving(&mut report, &mut feed), Err(Error::Stopped)));
    let kept = session.tokens().len();
    assert!(kept > 0 && kept < 900, "{kept}");
    let next = feed(&mut session).unwrap();
    let undisturbed = gpu_with(&Faults::default()).unwrap();
    let mut fresh = new(&undisturbed);
    assert_eq!(feed(&mut fresh).unwrap(), next);
}

/// The window changes the marks between two answers, when nothing else has yet met the loss.
#[test]
fn marks_that_change_on_a_lost_device_hold_once_it_is_back() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let context = tokens(600, 5);
    let marks = || BlockMarks::new(500, vec![2], vec![3]);
    let mut feed = |session: &mut Session| session.feed(&context, &mut |_, _| Ok(()));
    let new = |gpu| {
        let mut session = load(gpu, "minicpm_sparse", &options()).unwrap();
        session.set_attention(Attention::Sparse);
        session.set_trace(true);
        session.set_submit_budget(Duration::ZERO);
        session
    };
    let mut session = new(&gpu);
    let writes = counting.count(FaultPoint::Write);
    let plain = feed(&mut session).unwrap();
    session.set_marks(marks()).unwrap();
    let wanted = feed(&mut session).unwrap();
    assert_ne!(plain, wanted, "the marks change nothing here");

    let faults = format!("lose:write:{}", writes + 1).parse().unwrap();
    let mut session = new(&gpu_with(&faults).unwrap());
    session.set_marks(BlockMarks::new(500, vec![4], Vec::new())).unwrap();
    assert_eq!(faults.count(FaultPoint::Write), writes + 1, "the loss is to come with the marks");
    // Now the driver has told.
    assert!(matches!(session.logits(), Err(Error::DeviceLost { .. })));
    session.set_marks(marks()).unwrap();
    let mut lost = 0;
    let mut report = |recovery| {
        lost += usize::from(matches!(recovery, Recovery::Lost(_)));
        Ok(())
    };
    let got = session.surviving(&mut report, &mut feed).unwrap();
    assert_eq!(lost, 1);
    assert_eq!(got, wanted);
}
