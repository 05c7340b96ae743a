//! CPU twin of `shaders/copy.wgsl`.

/// The same values.
pub fn copy(x: &[u32]) -> Vec<u32> {
    x.to_vec()
}
