//! CPU twin of `shaders/embed.wgsl`.

use crate::weights::PackedMatrix;

/// The rows of `table` for `ids`, times `scale`.
pub fn embed(table: &PackedMatrix, ids: &[u32], scale: f32) -> Vec<f32> {
    ids.iter().flat_map(|id| table.row_f32(*id as usize)).map(|value| value * scale).collect()
}
