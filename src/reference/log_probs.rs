//! CPU twin of `shaders/log_probs.wgsl`.

/// `logits` holds rows of `vocab` values; returns ln of the probability of `targets[t]` in row t.
pub fn log_probs(logits: &[f32], vocab: usize, targets: &[u32]) -> Vec<f32> {
    let row = |(row, target): (&[f32], &u32)| {
        let maximum = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|logit| f64::from(logit - maximum).exp()).sum();
        row[*target as usize] - maximum - sum.ln() as f32
    };
    logits.chunks_exact(vocab).zip(targets).map(row).collect()
}
