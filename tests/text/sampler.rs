//! Sampler: the filters against a plain formulation with masks, the short way (candidates) against the full row, frequencies.

use foveal::error::Error;
use foveal::sampler::{Candidates, Sampled, Sampler, SamplerSettings};
use proptest::prelude::*;

fn settings() -> SamplerSettings {
    SamplerSettings {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repeat_penalty: 1.0,
        repeat_last_n: 64,
        seed: 1,
    }
}

fn sampler(settings: SamplerSettings) -> Sampler {
    Sampler::new(settings).unwrap()
}

/// Probability of every token, by masks over the whole row as Hugging Face's logits warpers do it.
fn probabilities(logits: &[f32], settings: &SamplerSettings, history: &[u32]) -> Vec<f64> {
    let recent = &history[history.len().saturating_sub(settings.repeat_last_n)..];
    let penalty = f64::from(settings.repeat_penalty);
    let mut row: Vec<f64> = (0u32..)
        .zip(logits)
        .map(|(token, &logit)| match f64::from(logit) {
            logit if !recent.contains(&token) => logit,
            logit if logit > 0.0 => logit / penalty,
            logit => logit * penalty,
        })
        .map(|logit| logit / f64::from(settings.temperature))
        .collect();
    let softmax = |row: &[f64]| -> Vec<f64> {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
        row.iter().map(|logit| (logit - largest).exp() / sum).collect()
    };
    // A token goes by how many (and how much probability) stand before it.
    let before = |row: &[f64], token: usize| -> Vec<usize> {
        (0..row.len()).filter(|&other| row[other] > row[token] || (row[other] == row[token] && other < token)).collect()
    };
    if settings.top_k > 0 {
        let drop: Vec<usize> = (0..row.len()).filter(|&token| before(&row, token).len() >= settings.top_k).collect();
        drop.into_iter().for_each(|token| row[token] = f64::NEG_INFINITY);
    }
    if settings.top_p < 1.0 {
        let shares = softmax(&row);
        let ahead = |token: usize| before(&row, token).into_iter().map(|other| shares[other]).sum::<f64>();
        let first = |token: usize| before(&row, token).is_empty();
        let drop: Vec<usize> =
            (0..row.len()).filter(|&token| !first(token) && ahead(token) >= f64::from(settings.top_p)).collect();
        drop.into_iter().for_each(|token| row[token] = f64::NEG_INFINITY);
    }
    let shares = softmax(&row);
    let largest = shares.iter().copied().fold(0.0, f64::max);
    for (logit, share) in row.iter_mut().zip(&shares) {
        if *share < f64::from(settings.min_p) * largest {
            *logit = f64::NEG_INFINITY;
        }
    }
    softmax(&row)
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    largest + logits.iter().map(|logit| (logit - largest).exp()).sum::<f32>().ln()
}

/// The GPU's part: the best `count` tokens, lower ids first among equals.
fn best(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut sorted: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
    sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    sorted.truncate(count);
    sorted
}

fn by_candidates(sampler: &mut Sampler, logits: &[f32], count: usize, history: &[u32]) -> Sampled {
    let best = best(logits, count);
    let candidates = Candidates { best: &best, log_sum_exp: log_sum_exp(logits), vocabulary: logits.len() };
    sampler.sample_candidates(candidates, history).unwrap()
}

#[test]
fn temperature_zero_takes_the_first_of_the_best() {
    let logits = [1.0, 3.0, -0.0, 3.0, 2.0];
    let mut greedy = sampler(SamplerSettings::greedy());
    assert_eq!(greedy.sample_full(&logits, &[]).unwrap(), 1);
    assert_eq!(by_candidates(&mut greedy, &logits, 1, &[]), Sampled::Token(1));
    assert_eq!(greedy.sample_full(&[-0.0, 0.0], &[]).unwrap(), 0, "both zeros are equal");
}

#[test]
fn a_penalised_token_falls_behind() {
    let logits = [4.0, 3.0, 1.0, -1.0, -1.5];
    let with = |repeat_penalty| sampler(SamplerSettings { repeat_penalty, ..SamplerSettings::greedy() });
    assert_eq!(with(1.2).sample_full(&logits, &[0]).unwrap(), 0, "4 / 1.2 is still the best");
    assert_eq!(with(1.5).sample_full(&logits, &[0]).unwrap(), 1);
    assert_eq!(with(1.5).sample_full(&logits, &[0, 1]).unwrap(), 0, "both lowered");
    assert_eq!(with(2.0).sample_full(&[-1.0, -1.5], &[0]).unwrap(), 1, "a negative one grows");
    // 4 / 5 falls below the floor of 1: what lies between is unknown, but 3 is certain. With both lowered nothing is.
    assert_eq!(by_candidates(&mut with(5.0), &logits, 3, &[0]), Sampled::Token(1));
    assert_eq!(by_candidates(&mut with(5.0), &logits, 2, &[0, 1]), Sampled::NeedFullRow);
    // Below 1 the penalty is a reward, which may raise a token that is no candidate.
    assert_eq!(by_candidates(&mut with(0.1), &logits, 2, &[2]), Sampled::NeedFullRow);
    assert_eq!(with(0.1).sample_full(&logits, &[2]).unwrap(), 2);
    let short = SamplerSettings { repeat_penalty: 1.5, repeat_last_n: 1, ..SamplerSettings::greedy() };
    assert_eq!(sampler(short).sample_full(&logits, &[0, 3]).unwrap(), 0, "token 0 is too long ago");
}

#[test]
fn temperature_comes_before_top_p() {
    // At temperature 2 the shares .5 .3 .2 become .415 .322 .263: half of the whole is two tokens, not one.
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let mut sampler = sampler(SamplerSettings { temperature: 2.0, top_p: 0.499, ..settings() });
    let tokens: Vec<u32> = (0..200).map(|_| sampler.sample_full(&logits, &[]).unwrap()).collect();
    assert!(tokens.contains(&1) && !tokens.contains(&2));
}

#[test]
fn frequencies_are_the_probabilities() {
    let logits: Vec<f32> = (0..40).map(|token| ((token * 37 % 40) as f32 * 0.7).sin() * 2.5).collect();
    let history = [3, 5, 7];
    let cases = [
        settings(),
        SamplerSettings { temperature: 0.6, top_p: 0.9, ..settings() },
        SamplerSettings { temperature: 1.7, top_k: 9, min_p: 0.2, ..settings() },
        SamplerSettings { top_k: 20, top_p: 0.8, repeat_penalty: 1.3, ..settings() },
    ];
    for case in cases {
        let expected = probabilities(&logits, &case, &history);
        let mut sampler = sampler(case);
        let (draws, mut counts) = (20_000, vec![0u32; logits.len()]);
        for _ in 0..draws {
            counts[sampler.sample_full(&logits, &history).unwrap() as usize] += 1;
        }
        let mut chi_square = 0.0;
        let mut degrees: f64 = -1.0;
        for (&count, &share) in counts.iter().zip(&expected) {
            assert!(share > 0.0 || count == 0, "{case:?}: a token that was filtered out");
            if share > 0.0 {
                chi_square += (f64::from(count) - share * f64::from(draws)).powi(2) / (share * f64::from(draws));
                degrees += 1.0;
            }
        }
        // Mean and deviation of the chi-square distribution; five deviations do not happen by chance.
        assert!(chi_square < degrees + 5.0 * (2.0 * degrees).sqrt(), "{case:?}: {chi_square} at {degrees} degrees");
    }
}

#[test]
fn the_seed_is_all_the_chance_there_is() {
    let logits: Vec<f32> = (0..100).map(|token| (token as f32).sin()).collect();
    let run = |seed| {
        let mut sampler = sampler(SamplerSettings { seed, ..settings() });
        (0..20).map(|_| sampler.sample_full(&logits, &[]).unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// A row as models make them: a few likely tokens, a long tail. The short way must be the usual one.
#[test]
fn candidates_are_usually_enough() {
    let row = |step: usize| -> Vec<f32> {
        (0..50_000).map(|token| 12.0 - 1.4 * ((1 + token) as f32).ln() + ((token * (step + 3)) as f32).sin()).collect()
    };
    let published = SamplerSettings { temperature: 0.6, top_p: 0.95, ..settings() };
    let mut sampler = sampler(published);
    for step in 0..30 {
        let mut other = sampler.clone();
        let Sampled::Token(token) = by_candidates(&mut sampler, &row(step), 128, &[]) else {
            panic!("step {step} needs the full row")
        };
        assert_eq!(token, other.sample_full(&row(step), &[]).unwrap());
    }
}

#[test]
fn the_tail_needs_the_row() {
    // 4 candidates of 1, 996 others of 1: only what the seed puts into the first few thousandths is certain.
    let row = [1.0; 1000];
    let mut sampler = sampler(settings());
    let needed = (0..1000).filter(|_| {
        let needs = by_candidates(&mut sampler, &row, 4, &[]) == Sampled::NeedFullRow;
        if needs {
            sampler.sample_full(&row, &[]).unwrap();
        }
        needs
    });
    assert!((980..1000).contains(&needed.count()));
}

#[test]
fn bad_input_is_an_error() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut sampler = sampler(settings());
        assert!(matches!(sampler.sample_full(&[1.0, bad], &[]), Err(Error::Gpu { .. })));
        for (logit, log_sum_exp) in [(bad, 1.0), (1.0, bad)] {
            let candidates = Candidates { best: &[(0, logit)], log_sum_exp, vocabulary: 9 };
            assert!(matches!(sampler.sample_candidates(candidates, &[]), Err(Error::Gpu { .. })));
        }
        for wrong in [
            SamplerSettings { temperature: bad, ..settings() },
            SamplerSettings { top_p: bad, ..settings() },
            SamplerSettings { min_p: bad, ..settings() },
            SamplerSettings { repeat_penalty: bad, ..settings() },
            SamplerSettings { temperature: -0.1, ..settings() },
            SamplerSettings { top_p: 1.1, ..settings() },
            SamplerSettings { repeat_penalty: 0.0, ..settings() },
        ] {
            assert!(matches!(Sampler::new(wrong), Err(Error::Usage { .. })), "{wrong:?}");
        }
    }
    let mut sampler = sampler(settings());
    assert!(matches!(sampler.sample_full(&[], &[]), Err(Error::Shape { .. })));
    for unsorted in [&[(0, 1.0), (1, 2.0)][..], &[(1, 1.0), (0, 1.0)], &[(0, 3.0), (1, 2.0), (2, 1.0)]] {
        let candidates = Candidates { best: unsorted, log_sum_exp: 3.0, vocabulary: 2 };
        assert!(matches!(sampler.sample_candidates(candidates, &[]), Err(Error::Shape { .. })));
    }
}

fn any_settings() -> impl Strategy<Value = SamplerSettings> {
    let temperature = prop_oneof![Just(0.0), Just(1.0), 0.05..3.0f32];
    let top_k = prop_oneof![Just(0), 1..30usize];
    let top_p = prop_oneof![Just(1.0), 0.0..1.0f32];
    let min_p = prop_oneof![Just(0.0), 0.0..0.5f32];
    let penalty = prop_oneof![Just(1.0), 0.5..3.0f32];
    (temperature, top_k, top_p, min_p, penalty, 0..8usize, any::<u64>()).prop_map(
        |(temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n, seed)| SamplerSettings {
            temperature,
            top_k,
            top_p,
            min_p,
            repeat_penalty,
            repeat_last_n,
            seed,
        },
    )
}

/// Rows of different steepness, often with equal logits.
fn any_row() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![(-8..12i32).prop_map(|logit| logit as f32 * 0.5), -20.0..20.0f32];
    (prop::collection::vec(logit, 2..120), prop_oneof![Just(1.0), 0.05..1.0f32])
        .prop_map(|(row, scale)| row.into_iter().map(|logit| logit * scale).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn candidates_give_what_the_row_gives(
        settings in any_settings(), row in any_row(), count in 1..40usize, history in prop::collection::vec(0..60u32, 0..12),
    ) {
        let mut short = sampler(settings);
        let mut full = short.clone();
        for _ in 0..3 {
            let expected = full.sample_full(&row, &history).unwrap();
            match by_candidates(&mut short, &row, count.min(row.len()), &history) {
                Sampled::Token(token) => prop_assert_eq!(token, expected),
                Sampled::NeedFullRow => {
                    prop_assert!(count < row.len(), "all tokens are candidates");
                    prop_assert_eq!(short.sample_full(&row, &history).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn only_what_the_filters_leave_is_drawn(
        settings in any_settings(), row in any_row(), history in prop::collection::vec(0..60u32, 0..12),
    ) {
        let settings = SamplerSettings { temperature: settings.temperature.max(0.05), ..settings };
        let shares = probabilities(&row, &settings, &history);
        let mut sampler = sampler(settings);
        for _ in 0..10 {
            prop_assert!(shares[sampler.sample_full(&row, &history).unwrap() as usize] > 0.0);
        }
    }
}
