//! CPU twin of `shaders/top_logits.wgsl`.

use crate::ops::top_logits::{KEEP, Top};

/// The largest logits, largest first and lower id first among equals, and ln of the sum of all exponentials.
pub fn top_logits(logits: &[f32]) -> Top {
    let mut candidates: Vec<(u32, f32)> = logits.iter().enumerate().map(|(id, logit)| (id as u32, *logit)).collect();
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let maximum = candidates.first().map_or(0.0, |best| best.1);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - maximum).exp()).sum();
    candidates.truncate(KEEP);
    Top { candidates, log_sum_exp: maximum + sum.ln() as f32 }
}
