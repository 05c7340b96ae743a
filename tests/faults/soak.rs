//! Long use: turns of random lengths, edits, stops, changes of the mode and of the text, on one session. At random what its
//! cache holds is computed anew by a fresh one in the same steps, and its memory must not grow.
//!
//! `FOVEAL_SOAK_TURNS=2000` runs it in full; without it a few turns. In a process of its own, so that its memory is its own.

use std::time::Duration;

use foveal::error::Error;
use foveal::gpu::Faults;
use foveal::model::{Attention, Mode};

use super::{gpu_with, load, options};
use crate::harness::Random;

const CAPACITY: usize = 1024;
const VARIABLE: &str = "FOVEAL_SOAK_TURNS";
const FEW: &str = "40";
/// What drivers and allocators keep for later grows a little at first.
const MOST_KILOBYTES: u64 = 16 << 10;

fn token(random: &mut Random) -> u32 {
    3 + random.below(190) as u32
}

/// Kilobytes of main memory that this process holds.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn many_turns_of_all_kinds() {
    if gpu_with(&Faults::default()).is_none() {
        return;
    }
    let Ok(turns) = std::env::var(VARIABLE) else {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "faults::soak::many_turns_of_all_kinds", "--nocapture"]).env(VARIABLE, FEW);
        let output = alone.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && words.contains("40 turns, "), "{words}");
        eprintln!("{words}");
        return;
    };
    soak(turns.parse().unwrap());
}

fn soak(turns: usize) {
    let gpu = gpu_with(&Faults::default()).unwrap();
    let mut session = load(&gpu, "minicpm_sparse", &options()).unwrap();
    let mut fresh = load(&gpu, "minicpm_sparse", &options()).unwrap();
    for each in [&mut session, &mut fresh] {
        // Chunks are made shorter where submits take too long, which a busy machine decides.
        each.set_submit_budget(Duration::from_secs(1));
    }
    let mut random = Random::new(2000);
    let mut context: Vec<u32> = (0..50).map(|_| token(&mut random)).collect();
    let (mut compared, mut stopped, mut changed, mut worst) = (0, 0, 0, 0.0f32);
    let mut steps = [0, 0];
    let mut attention = Attention::Auto;
    let (mut device_memory, mut main_memory) = (0, None);
    for turn in 0..turns {
        // What a person does between two answers.
        match random.below(6) {
            0 => context.truncate(1 + random.below(context.len())),
            1 => {
                let place = random.below(context.len());
                context[place] = token(&mut random);
            }
            2 => {
                attention = [Attention::Dense, Attention::Sparse, Attention::Auto][random.below(3)];
                changed += 1;
            }
            3 => session.truncate(random.below(context.len() + 1)),
            _ => {}
        }
        let length = 1 + random.below(150);
        if context.len() + length + 12 > CAPACITY {
            context.truncate(60);
        }
        context.extend((0..length).map(|_| token(&mut random)));
        session.set_attention(attention);
        if random.below(5) == 0 {
            let mut left = random.below(3);
            let stopping = session.feed(&context, &mut |_, _| {
                left = left.checked_sub(1).ok_or(Error::Stopped)?;
                Ok(())
            });
            stopped += usize::from(matches!(stopping, Err(Error::Stopped)));
        }
        let mut next = session.feed(&context, &mut |_, _| Ok(())).unwrap();
        for _ in 0..random.below(10) {
            let token = next.top.candidates[0].0;
            context.push(token);
            next = session.advance(token).unwrap();
            steps[usize::from(next.mode == Mode::Sparse)] += 1;
        }
        assert_eq!(session.tokens(), context, "turn {turn}");
        if random.below(8) == 0 || turn + 1 == turns {
            compared += 1;
            fresh.repeat(&session, &mut |_| Ok(())).unwrap();
            assert_eq!(fresh.tokens(), context, "turn {turn}");
            let (got, wanted) = (session.logits().unwrap(), fresh.logits().unwrap());
            let gap = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            worst = worst.max(gap);
            // The same numbers in the same order, but for where chunks end: cooperative matrices take no chunk's last few.
            let allowed = if gpu.features.coop.is_some() { 2e-2 } else { 0.0 };
            assert!(gap <= allowed, "turn {turn}, {attention}, {} tokens: {gap}", context.len());
        }
        if turn == turns / 4 {
            (device_memory, main_memory) = (gpu.allocated_bytes(), resident());
        }
    }
    let grown = main_memory.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    eprintln!(
        "{turns} turns, {} dense and {} sparse tokens of answers, {stopped} stopped, {changed} changes of the mode, {compared} \
         compared with a fresh computation, largest difference {worst}; {device_memory} bytes on the device, {grown:?} KiB more \
         main memory in the last three quarters",
        steps[0], steps[1]
    );
    assert!(steps[0] > turns / 10 && steps[1] > turns / 10, "both modes: {steps:?}");
    assert_eq!(gpu.allocated_bytes(), device_memory, "memory of the device");
    assert!(grown.is_none_or(|kilobytes| kilobytes < MOST_KILOBYTES), "{grown:?} KiB more main memory");
}
