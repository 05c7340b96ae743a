//! How many heads of which size: what all attention ops are compiled for.

use crate::error::{Error, Result};
use crate::gpu::shader::Constant::{self, U32};
use crate::gpu::{Element, Tensor};

/// Grouped-query attention: `heads` query heads share `kv_heads` key and value heads, `heads / kv_heads` to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values of one head; 32, 64, 96 or 128.
    pub head_dim: usize,
}

impl HeadShape {
    /// Query heads of one KV head.
    pub fn group(self) -> usize {
        self.heads / self.kv_heads.max(1)
    }

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
