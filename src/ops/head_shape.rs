//! What the ops need of the shape of heads: constants for their kernels, and the check of a cache.

use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, U32};
use crate::gpu::{Element, Tensor};
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

    /// Checks a cache's two tensors and that they hold `positions`; returns their capacity.
    pub(crate) fn expect_cache(self, op: &str, keys: &Tensor, values: &Tensor, positions: usize) -> Result<usize> {
        let capacity = keys.shape.get(1).copied().unwrap_or(0);
        keys.expect(&format!("{op} keys"), &[self.kv_heads, capacity, self.head_dim], Element::F16)?;
        values.expect(&format!("{op} values"), &keys.shape, Element::F16)?;
        if positions > capacity {
            return Err(Error::ContextFull { needed: positions, capacity, over: positions - capacity });
        }
        Ok(capacity)
    }
}
