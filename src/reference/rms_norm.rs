//! CPU twin of `shaders/rms_norm.wgsl`.

use rayon::prelude::*;

/// `x` holds rows of `weight.len()` values; returns the normalised rows times `scale`.
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, scale: f32) -> Vec<f32> {
    let width = weight.len();
    let row = |row: &[f32]| -> Vec<f32> {
        let mean_square = row.iter().map(|v| v * v).sum::<f32>() / width as f32;
        let factor = scale / (mean_square + epsilon).sqrt();
        row.iter().zip(weight).map(|(v, w)| v * factor * w).collect()
    };
    x.par_chunks_exact(width).flat_map_iter(row).collect()
}
