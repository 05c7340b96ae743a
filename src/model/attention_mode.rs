//! When attention is sparse: what config.json says, what the user asks for, and the rule that decides.
//!
//! The rule follows the models' own code: sparse from `dense_len` tokens on. A prompt is judged by its final length, so that
//! it does not matter in which chunks it is computed; a decode step by the cache's length with its own token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Family, Fields, fault};
use crate::error::{Error, Result};
use crate::sparse_settings::{Lse, ScoreType, SparseSettings, Variant};

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Sparse from `dense_len` tokens on, for models that were trained for it.
    #[default]
    Auto,
    /// Every key, always.
    Dense,
    /// Selected blocks, always. Exactly dense while all blocks fit in the budget.
    Sparse,
}

/// What one step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Reads every key.
    Dense,
    /// Reads selected blocks.
    Sparse,
}

/// Where the numbers of the sparse mode come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SparseOrigin {
    /// config.json, or `--sparse-config`.
    Configured,
    /// The file has none: the values published for MiniCPM4.1.
    Published,
    /// Another family: the method needs no parameters, but the model was not trained for it.
    Experimental,
}

/// The sparse mode of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseConfig {
    /// Blocks and windows.
    pub settings: SparseSettings,
    /// Tokens from which on `auto` is sparse.
    pub dense_len: usize,
    /// Where these come from.
    pub origin: SparseOrigin,
}

/// Published with MiniCPM4 and 4.1.
const DENSE_LEN: usize = 8192;

impl SparseConfig {
    /// From the value of `sparse_config`, which may be absent. `score_type` is what the model's own type asks for.
    pub fn new(json: Option<&Value>, family: Family, score_type: ScoreType) -> Result<Self> {
        let published = SparseSettings { score_type, ..SparseSettings::MINICPM4_1 };
        let Some(json) = json else {
            let origin = if family == Family::MiniCpm { SparseOrigin::Published } else { SparseOrigin::Experimental };
            return Ok(Self { settings: published, dense_len: DENSE_LEN, origin });
        };
        let fields = Fields(json);
        if fields.flag("use_nope")?.unwrap_or(false) {
            return Err(fault(
                "sparse_config.use_nope",
                "false",
                "true",
                "Selection by keys without position is not supported; --attention dense --sparse-config '{}' runs the model dense",
            ));
        }
        let variant = match fields.text("variant")?.unwrap_or("4.1") {
            "4.1" => Variant::Local33,
            "4.0" => Variant::Local32,
            other => return Err(fault("sparse_config.variant", "4.1 or 4.0", other, "Correct --sparse-config")),
        };
        let lse = match fields.text("lse")?.unwrap_or("coarse") {
            "coarse" => Lse::Coarse,
            "exact" => Lse::Exact,
            other => return Err(fault("sparse_config.lse", "coarse or exact", other, "Correct --sparse-config")),
        };
        let score_type = match fields.text("score_type")? {
            None => score_type,
            Some("f32") => ScoreType::F32,
            Some("bf16") => ScoreType::Bf16,
            Some(other) => {
                return Err(fault("sparse_config.score_type", "f32 or bf16", other, "Correct --sparse-config"));
            }
        };
        let settings = SparseSettings {
            kernel_size: fields.size_or("kernel_size", published.kernel_size)?,
            kernel_stride: fields.size_or("kernel_stride", published.kernel_stride)?,
            block_size: fields.size_or("block_size", published.block_size)?,
            init_blocks: fields.count_or("init_blocks", published.init_blocks)?,
            window_size: fields.size_or("window_size", published.window_size)?,
            topk: fields.size_or("topk", published.topk)?,
            variant,
            lse,
            score_type,
        }
        .checked()?;
        // The models' code writes -1 for "always sparse".
        let dense_len = match fields.number_or("dense_len", DENSE_LEN as f64)? {
            always if always < 0.0 => 0,
            length => length as usize,
        };
        Ok(Self { settings, dense_len, origin: SparseOrigin::Configured })
    }

    /// What a step does whose sequence ends at `length` tokens.
    pub fn mode(&self, wanted: Attention, length: usize) -> Mode {
        match wanted {
            Attention::Dense => Mode::Dense,
            Attention::Sparse => Mode::Sparse,
            Attention::Auto if self.origin == SparseOrigin::Experimental => Mode::Dense,
            Attention::Auto => {
                if length >= self.dense_len {
                    Mode::Sparse
                } else {
                    Mode::Dense
                }
            }
        }
    }
}

impl FromStr for Attention {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "dense" => Ok(Self::Dense),
            "sparse" => Ok(Self::Sparse),
            other => Err(Error::Usage {
                what: "--attention".into(),
                expected: "auto, dense or sparse".into(),
                found: format!("\"{other}\""),
            }),
        }
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        })
    }
}
