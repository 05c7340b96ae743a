//! Long use: turns of random lengths, edits, stops, changes of the mode and of the text, on one session. At random its
//! logits are compared with those of a fresh computation, and its memory must not grow.
//!
//! `FOVEAL_SOAK_TURNS=2000` runs it in full; without it a few turns.

use foveal::error::Error;
use foveal::gpu::Faults;
use foveal::model::Attention;

use super::{gpu_with, load, options};
use crate::harness::Random;

const CAPACITY: usize = 1024;

fn token(random: &mut Random) -> u32 {
    3 + random.below(190) as u32
}

/// Kilobytes of main memory that this process holds.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn two_thousand_turns() {
    let turns = std::env::var("FOVEAL_SOAK_TURNS").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let Some(gpu) = gpu_with(&Faults::default()) else { return };
    let mut session = load(&gpu, "minicpm_sparse", &options()).unwrap();
    let mut fresh = load(&gpu, "minicpm_sparse", &options()).unwrap();
    let mut random = Random::new(2000);
    let mut context: Vec<u32> = (0..50).map(|_| token(&mut random)).collect();
    let (mut compared, mut stopped, mut changed, mut worst) = (0, 0, 0, 0.0f32);
    let mut attention = Attention::Dense;
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
                attention = [Attention::Dense, Attention::Sparse][random.below(2)];
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
        }
        assert_eq!(session.tokens(), context, "turn {turn}");
        if random.below(8) == 0 || turn + 1 == turns {
            // Selection hangs on rounding where two blocks are nearly as good, and the cache was computed in other steps than
            // the fresh one: dense logits are compared closely, sparse ones by what the answer would be made of.
            compared += 1;
            fresh.truncate(0);
            fresh.set_attention(attention);
            let other = fresh.feed(&context, &mut |_, _| Ok(())).unwrap();
            assert_eq!(other.mode, next.mode);
            let (got, wanted) = (session.logits().unwrap(), fresh.logits().unwrap());
            let gap = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            worst = worst.max(gap);
            let allowed = if attention == Attention::Dense { 2e-2 } else { 1.0 };
            assert!(gap < allowed, "turn {turn}, {attention}, {} tokens: {gap}", context.len());
        }
        if turn == turns / 4 {
            (device_memory, main_memory) = (gpu.allocated_bytes(), resident());
        }
    }
    let grown = main_memory.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    eprintln!(
        "{turns} turns, {stopped} stopped, {changed} changes of the mode, {compared} compared with a fresh computation, \
         largest difference {worst}; {device_memory} bytes on the device, {grown:?} KiB more main memory in the last three \
         quarters"
    );
    assert_eq!(gpu.allocated_bytes(), device_memory, "memory of the device");
    if turns >= 1000 {
        assert!(grown.is_none_or(|kilobytes| kilobytes < 16 << 10), "{grown:?} KiB more main memory");
    }
}
