//! What the ops need of the shape of heads: constants for their kernels.

use crate::gpu::shader::Constant::{self, U32};
use crate::sparse_settings::HeadShape;

impl HeadShape {
    /// The constants of kernels that work on heads.
    pub(crate) fn constants(self) -> Vec<(&'static str, Constant)> {
        vec![
            ("HEADS", U32(self.heads as u32)),
            ("KV_HEADS", U32(self.kv_heads as u32)),
            ("HEAD_DIM", U32(self.head_dim as u32)),
        ]
    }
}
