//! CPU twin of `shaders/matvec_add.wgsl`.

use super::matvec;
use crate::weights::PackedMatrix;

/// Adds `scale * matrix . x` to `stream` in place and returns it times `norm`.
pub fn matvec_add(x: &[f32], matrix: &PackedMatrix, stream: &mut [f32], norm: &[f32], scale: f32) -> Vec<f32> {
    for (value, change) in stream.iter_mut().zip(matvec(x, matrix)) {
        *value += scale * change;
    }
    stream.iter().zip(norm).map(|(value, weight)| value * weight).collect()
}
