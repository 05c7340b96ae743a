//! CPU twin of `shaders/add_rms_norm.wgsl`.

use super::rms_norm;

/// Adds `delta * residual_scale` to `stream` in place and returns the normalised rows times `scale`.
pub fn add_rms_norm(
    stream: &mut [f32],
    delta: &[f32],
    weight: &[f32],
    epsilon: f32,
    residual_scale: f32,
    scale: f32,
) -> Vec<f32> {
    for (value, change) in stream.iter_mut().zip(delta) {
        *value += residual_scale * change;
    }
    rms_norm(stream, weight, epsilon, scale)
}
