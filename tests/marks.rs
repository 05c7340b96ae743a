//! Pinned and excluded blocks in a whole conversation, on the device and in the twins.

use std::path::{Path, PathBuf};

use foveal::block_marks::BlockMarks;
use foveal::model::{Attention, LoadOptions};
use foveal::session::{Next, Session};

use crate::forward::{cpu_session, gpu_session};
use crate::harness::gpu_variants;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints/minicpm_sparse")
}

fn tokens() -> Vec<u32> {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(expected["token_ids"].clone()).unwrap()
}

/// What the last token gives, and how many tokens were computed for it.
fn feed(session: &mut Session, tokens: &[u32]) -> (Next, usize) {
    session.set_attention(Attention::Sparse);
    session.set_trace(true);
    let mut computed = 0;
    let next = session
        .feed(tokens, &mut |_, total| {
            computed = total;
            Ok(())
        })
        .unwrap();
    (next, computed)
}

fn check(what: &str, new: impl Fn() -> Session) {
    let tokens = tokens();
    let mut session = new();
    let (plain, _) = feed(&mut session, &tokens);
    let trace = plain.trace.clone().unwrap();
    let votes = trace.votes();
    let chosen = (0..votes.len()).max_by_key(|block| votes[*block]).unwrap();
    let unchosen = (trace.init_blocks..trace.local_first).min_by_key(|block| votes[*block]).unwrap();
    assert!(votes[chosen] > votes[unchosen], "{what}: {votes:?}");
    assert!((votes[unchosen] as usize) < trace.readers.len(), "{what}: {votes:?}");

    let from = tokens.len() - 40;
    let marks = BlockMarks::new(from, vec![unchosen], vec![chosen]);
    session.set_marks(marks.clone()).unwrap();
    let (marked, computed) = feed(&mut session, &tokens);
    assert_eq!(computed, 40, "{what}: what stands before the marks is not read again");
    let trace = marked.trace.clone().unwrap();
    assert_eq!((&trace.pinned, &trace.excluded), (&vec![unchosen as u32], &vec![chosen as u32]));
    for reader in &trace.readers {
        assert!(reader.contains(&(unchosen as u32)) && !reader.contains(&(chosen as u32)), "{what}: {reader:?}");
    }
    assert_eq!(trace.votes()[unchosen], 0, "{what}: pinned is not chosen");
    let logits = session.logits().unwrap();
    // The same marks again change nothing; in a new conversation they give the same.
    session.set_marks(marks.clone()).unwrap();
    assert_eq!(session.tokens().len(), tokens.len());
    let mut fresh = new();
    fresh.set_marks(marks).unwrap();
    assert_eq!(feed(&mut fresh, &tokens), (marked.clone(), tokens.len()));
    assert_eq!(fresh.logits().unwrap(), logits, "{what}");

    session.set_marks(BlockMarks::default()).unwrap();
    let (again, computed) = feed(&mut session, &tokens);
    assert_eq!((again, computed), (plain, 40), "{what}");
    assert_ne!(session.logits().unwrap(), logits, "{what}: marks change the answer");
}

#[test]
fn pinned_is_read_and_excluded_is_not() {
    // One chunk a token, so that prompt and generation take the same way whatever was cached.
    let options = || LoadOptions { context: Some(1024), chunk: Some(1), ..Default::default() };
    check("processor", || cpu_session(&folder(), &options()));
    for (variant, gpu) in gpu_variants() {
        check(variant, || gpu_session(gpu, &folder(), &options()));
    }
}

#[test]
fn a_chunk_may_begin_before_the_marks() {
    let tokens = tokens();
    let marks = BlockMarks::new(tokens.len() - 20, vec![2], vec![3, 4]);
    let logits = |mut session: Session| {
        session.set_marks(marks.clone()).unwrap();
        feed(&mut session, &tokens);
        session.logits().unwrap()
    };
    let options = |chunk| LoadOptions { context: Some(1024), chunk: Some(chunk), ..Default::default() };
    let expected = logits(cpu_session(&folder(), &options(1)));
    let close = |what: &str, got: Vec<f32>| {
        let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-2, "{what}: {worst}");
    };
    close("processor", logits(cpu_session(&folder(), &options(64))));
    for (variant, gpu) in gpu_variants() {
        close(variant, logits(gpu_session(gpu, &folder(), &options(64))));
    }
}
