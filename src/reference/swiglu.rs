//! CPU twin of `shaders/swiglu.wgsl`.

use rayon::prelude::*;

/// `x` holds rows of `width` gate values and `width` up values; returns `silu(gate) * up`.
pub fn swiglu(x: &[f32], width: usize) -> Vec<f32> {
    let row = |row: &[f32]| -> Vec<f32> {
        let (gate, up) = row.split_at(width);
        gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
    };
    x.par_chunks_exact(2 * width).flat_map_iter(row).collect()
}
