//! Keys and values of one layer's tokens on the device, and which `cache` piece reads them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::gpu::{Binding, Element, Gpu, Tensor};
use crate::sparse_settings::HeadShape;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CacheFormat {
    /// 16-bit floats.
    #[default]
    F16,
    /// Signed 8-bit integers with one f32 scale per head and token.
    Q8,
}

impl CacheFormat {
    /// Both.
    pub const ALL: [Self; 2] = [Self::F16, Self::Q8];

    /// The variant of the slots `cache` and `cache_store`.
    pub(crate) fn piece(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }

    /// Bytes of one token's key and value in one head, with their scales.
    pub fn token_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::F16 => 4 * head_dim,
            Self::Q8 => 2 * head_dim + 8,
        }
    }
}

impl fmt::Display for CacheFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.piece())
    }
}

impl FromStr for CacheFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.piece() == text).ok_or_else(|| Error::Usage {
            what: "cache format".into(),
            expected: "f16 or q8".into(),
            found: format!("\"{text}\""),
        })
    }
}

/// Room for the keys and values of one layer.
pub struct CachedTokens {
    /// How they are stored.
    pub format: CacheFormat,
    /// Tokens that it has room for.
    pub capacity: usize,
    /// (kv_heads, capacity, head_dim) f16, or (kv_heads, capacity, head_dim / 4) u32 of four integers each; rotated
    pub keys: Tensor,
    /// As the keys.
    pub values: Tensor,
    /// (kv_heads, capacity, 2) f32: scale of the key, of the value
    pub scales: Option<Tensor>,
    heads: HeadShape,
}

impl CachedTokens {
    /// Room for `capacity` tokens.
    pub fn new(gpu: &Gpu, label: &str, heads: HeadShape, format: CacheFormat, capacity: usize) -> Result<Self> {
        let (columns, element) = match format {
            CacheFormat::F16 => (heads.head_dim, Element::F16),
            CacheFormat::Q8 => (heads.head_dim / 4, Element::U32),
        };
        let tensor = |name: &str, columns: usize, element| {
            gpu.tensor(format!("{label}.{name}"), &[heads.kv_heads, capacity, columns], element)
        };
        let scales = match format {
            CacheFormat::F16 => None,
            CacheFormat::Q8 => Some(tensor("scales", 2, Element::F32)?),
        };
        let (keys, values) = (tensor("keys", columns, element)?, tensor("values", columns, element)?);
        Ok(Self { format, capacity, keys, values, scales, heads })
    }

    /// The tensors of the pieces, in binding order.
    pub(super) fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        [Some(&self.keys), Some(&self.values), self.scales.as_ref()].into_iter().flatten().map(Binding::from)
    }

    /// An error unless it has this format and shape and room for `positions`, in whole blocks of `block`.
    pub(super) fn expect(
        &self,
        op: &str,
        heads: HeadShape,
        format: CacheFormat,
        (positions, block): (usize, usize),
    ) -> Result<()> {
        let shape = |heads: HeadShape| (heads.kv_heads, heads.head_dim);
        if self.format != format || shape(self.heads) != shape(heads) {
            let describe = |format: CacheFormat, heads: HeadShape| {
                format!("{format} of {} heads of {}", heads.kv_heads, heads.head_dim)
            };
            return Err(Error::shape(
                format!("{op} keys and values"),
                describe(format, heads),
                describe(self.format, self.heads),
            ));
        }
        if self.capacity < positions || !self.capacity.is_multiple_of(block) {
            let expected = format!("room for {positions} tokens in whole blocks of {block}");
            return Err(Error::shape(format!("{op} keys and values"), expected, self.capacity));
        }
        Ok(())
    }
}
