//! CPU twin of `shaders/argmax.wgsl`.

/// The index of the largest value; the first among equals.
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}
