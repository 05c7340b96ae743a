//! CPU twin of `shaders/compress_keys.wgsl`.

use rayon::prelude::*;

/// Means over the complete windows of `2 * stride` tokens that start at every multiple of `stride`.
///
/// `keys` is (kv_heads, capacity, head_dim) with `length` tokens in use; the result is (kv_heads, capacity / stride,
/// head_dim) with zeros where no window is complete. Fine keys have the kernel stride, coarse ones the block size. They are
/// to be rounded to the settings' `score_type`.
pub fn compress_keys(
    keys: &[f32],
    kv_heads: usize,
    capacity: usize,
    head_dim: usize,
    length: usize,
    stride: usize,
) -> Vec<f32> {
    let windows = (length / stride).saturating_sub(1);
    let slots = capacity / stride;
    let mut out = vec![0.0; kv_heads * slots * head_dim];
    out.par_chunks_exact_mut(head_dim).enumerate().for_each(|(row, mean)| {
        let (head, window) = (row / slots, row % slots);
        if window >= windows {
            return;
        }
        let first = (head * capacity + window * stride) * head_dim;
        for token in keys[first..].chunks_exact(head_dim).take(2 * stride) {
            for (sum, value) in mean.iter_mut().zip(token) {
                *sum += value;
            }
        }
        for sum in mean {
            *sum /= 2.0 * stride as f32;
        }
    });
    out
}
