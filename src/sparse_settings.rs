//! The numbers of InfLLM-V2 block selection and everything derived from them, in one place.
//!
//! Source: MiniCPM4.1's `sparse_config` and OpenBMB's infllmv2 kernels. With stride s, kernels of 2s tokens and blocks of
//! 4s tokens: fine key j is the mean of tokens [sj, sj + 2s), coarse key j of tokens [4sj, 4sj + 8s). A compressed key
//! is visible to position p when its last token is at or before p. Block b is touched by the fine keys 4b-1 .. 4b+3.

use half::bf16;

use crate::error::{Error, Result};

/// How local blocks and the budget are counted; the two published generations differ by one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// MiniCPM4.1: `window_size / block_size + 1` local blocks, all inside the budget.
    Local33,
    /// MiniCPM4 and the paper: `window_size / block_size` local blocks beside `topk` ranked ones.
    Local32,
}

/// Which keys the softmax denominator of the scores comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lse {
    /// The coarse keys: a quarter of the work (MiniCPM4.1).
    Coarse,
    /// The fine keys themselves (MiniCPM4).
    Exact,
}

/// What compressed keys and block scores are rounded to before blocks are ranked. The official implementation holds them in
/// the model's type, bf16 for all published models: rounded alike, and with the lower block first among equals, the choice
/// is its own, block for block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreType {
    /// Not rounded, but for the f16 that the device keeps compressed keys in.
    F32,
    /// bfloat16, to the nearest, ties to even.
    Bf16,
}

impl ScoreType {
    /// For what config.json calls `torch_dtype`. The published models are bfloat16, also where a file no longer says so.
    pub fn of_model(torch_dtype: Option<&str>) -> Self {
        match torch_dtype {
            Some("float32" | "float16") => Self::F32,
            _ => Self::Bf16,
        }
    }

    /// The value as it is ranked, or as a key is kept.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// Heads of an attention layer. Query head h reads key and value head `h / group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values per head.
    pub head_dim: usize,
}

/// What `sparse_config` says, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SparseSettings {
    /// Tokens under one fine key.
    pub kernel_size: usize,
    /// Tokens from one fine key to the next.
    pub kernel_stride: usize,
    /// Tokens of a block.
    pub block_size: usize,
    /// First blocks of the text, always read.
    pub init_blocks: usize,
    /// Tokens of the local window.
    pub window_size: usize,
    /// Blocks beside the window.
    pub topk: usize,
    /// How local blocks are counted.
    pub variant: Variant,
    /// Where the denominators come from.
    pub lse: Lse,
    /// What keys and scores are rounded to.
    pub score_type: ScoreType,
}

impl HeadShape {
    /// An error unless heads divide evenly and the width is one that the kernels take.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Result<Self> {
        if kv_heads == 0 || heads == 0 || !heads.is_multiple_of(kv_heads) {
            let expected = format!("a multiple of the {kv_heads} key heads");
            return Err(config("num_attention_heads", expected, heads));
        }
        if heads / kv_heads > 64 {
            return Err(config("num_attention_heads", "at most 64 for each key head".into(), heads / kv_heads));
        }
        if ![32, 64, 96, 128].contains(&head_dim) {
            return Err(config("head_dim", "32, 64, 96 or 128".into(), head_dim));
        }
        Ok(Self { heads, kv_heads, head_dim })
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Factor on query times key.
    pub fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

impl SparseSettings {
    /// Tokens from one fine key to the next, in blocks: the pooling stride.
    pub const FINE_PER_BLOCK: usize = 4;

    /// The published values of MiniCPM4.1.
    pub const MINICPM4_1: Self = Self {
        kernel_size: 32,
        kernel_stride: 16,
        block_size: 64,
        init_blocks: 1,
        window_size: 2048,
        topk: 64,
        variant: Variant::Local33,
        lse: Lse::Coarse,
        score_type: ScoreType::Bf16,
    };

    /// Checks that the numbers fit each other; every op relies on it.
    pub fn checked(self) -> Result<Self> {
        let stride = self.kernel_stride;
        if !stride.is_power_of_two() || !(4..=64).contains(&stride) {
            return Err(config("sparse_config.kernel_stride", "4, 8, 16, 32 or 64".into(), stride));
        }
        if self.kernel_size != 2 * stride {
            return Err(config(
                "sparse_config.kernel_size",
                format!("twice the stride, {}", 2 * stride),
                self.kernel_size,
            ));
        }
        if self.block_size != Self::FINE_PER_BLOCK * stride {
            let expected = format!("four strides, {}", Self::FINE_PER_BLOCK * stride);
            return Err(config("sparse_config.block_size", expected, self.block_size));
        }
        if self.window_size == 0 || !self.window_size.is_multiple_of(self.block_size) || self.window_size > 1 << 20 {
            let expected = format!("a multiple of the block size {}, at most 1048576", self.block_size);
            return Err(config("sparse_config.window_size", expected, self.window_size));
        }
        // The forced blocks must fit: 4.1 counts one local block more inside the budget.
        let least = match self.variant {
            Variant::Local33 => self.init_blocks.saturating_add(1),
            Variant::Local32 => self.init_blocks,
        };
        if self.topk < least || self.topk == 0 || self.topk > 4096 {
            return Err(config("sparse_config.topk", format!("{} to 4096", least.max(1)), self.topk));
        }
        Ok(self)
    }

    /// Blocks that a query reads when there are more than that.
    pub fn budget(&self) -> usize {
        self.topk + self.window_size / self.block_size
    }

    /// The query's own block and those right before it, always read.
    pub fn local_blocks(&self) -> usize {
        match self.variant {
            Variant::Local33 => self.window_size / self.block_size + 1,
            Variant::Local32 => self.window_size / self.block_size,
        }
    }

    /// Blocks that the scores choose.
    pub fn free_blocks(&self) -> usize {
        self.budget() - self.init_blocks - self.local_blocks()
    }

    /// Blocks selected for a query at `position`: all of them while they fit.
    pub fn count(&self, position: usize) -> usize {
        self.budget().min(position / self.block_size + 1)
    }

    /// Tokens in the blocks selected for a query at `position`, up to its own.
    pub fn tokens_read(&self, position: usize) -> usize {
        (self.count(position) - 1) * self.block_size + position % self.block_size + 1
    }

    /// First position at which there are more blocks than the budget. Before it sparse is exactly dense.
    pub fn first_choice(&self) -> usize {
        self.budget() * self.block_size
    }

    /// Blocks among which a query at `position` may choose: from `init_blocks` to here, exclusive.
    pub fn free_end(&self, position: usize) -> usize {
        (position / self.block_size + 1).saturating_sub(self.local_blocks())
    }

    /// Fine keys whose tokens all lie within the first `tokens`.
    pub fn fine_keys(&self, tokens: usize) -> usize {
        (tokens / self.kernel_stride).saturating_sub(1)
    }

    /// Coarse keys whose tokens all lie within the first `tokens`.
    pub fn coarse_keys(&self, tokens: usize) -> usize {
        (tokens / self.block_size).saturating_sub(1)
    }
}

fn config(field: &str, expected: String, found: usize) -> Error {
    Error::Config {
        field: field.into(),
        expected,
        found: found.to_string(),
        advice: "Correct config.json, or give the values with --sparse-config".into(),
    }
}
