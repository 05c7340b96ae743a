//! What config.json says, checked and turned into what the model needs. Nothing about a model is hard-coded elsewhere.
//!
//! Families: `minicpm` (MiniCPM4, 4.1: scaled embedding, residual and logits) and `llama` (Llama 2 and 3, MiniCPM5). Fields
//! that a file leaves out have the defaults of the families' own configuration classes.

use serde_json::Value;

use super::attention_mode::SparseConfig;
use super::rope::Rope;
use crate::error::{Error, Result};
use crate::ops::HeadShape;
use crate::sparse_settings::ScoreType;

/// Whose formulas the model follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Scaled embedding, residual branches and logits.
    MiniCpm,
    /// None of these scales.
    Llama,
}

/// A model's shape and constants.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// `model_type`.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: HeadShape,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Tokens that the model knows.
    pub vocab_size: usize,
    /// Positions that the model was made for.
    pub max_positions: usize,
    /// Rotation of queries and keys.
    pub rope: Rope,
    /// Added to the mean square before the root.
    pub epsilon: f32,
    /// The head is the embedding table.
    pub tied: bool,
    /// Factor on embedding rows.
    pub embedding_scale: f32,
    /// Factor on what a block adds to the stream.
    pub residual_scale: f32,
    /// Factor on the last normalisation, before the head.
    pub logit_scale: f32,
    /// The sparse mode.
    pub sparse: SparseConfig,
}

impl ModelConfig {
    /// Reads and checks a config.json.
    pub fn new(json: &Value) -> Result<Self> {
        let fields = Fields(json);
        let family = family(&fields)?;
        let hidden_size = fields.size("hidden_size")?;
        let layers = fields.size("num_hidden_layers")?;
        let heads = head_shape(&fields, hidden_size)?;
        for (field, expected) in [("attention_bias", false), ("mlp_bias", false)] {
            if fields.flag(field)?.unwrap_or(expected) != expected {
                return Err(fault(field, "false", "true", "Models with biases are not supported"));
            }
        }
        if let Some(act) = fields.text("hidden_act")?
            && act != "silu"
        {
            return Err(fault("hidden_act", "silu", act, "Other activations are not supported"));
        }
        let max_positions = fields.size_or("max_position_embeddings", 2048)?;
        let minicpm = family == Family::MiniCpm;
        let scaled = |field, default| if minicpm { fields.number_or(field, default) } else { Ok(1.0) };
        let base = scaled("dim_model_base", 1.0)?;
        let config = Self {
            family,
            hidden_size,
            layers,
            heads,
            intermediate_size: fields.size("intermediate_size")?,
            vocab_size: fields.size("vocab_size")?,
            max_positions,
            rope: Rope::new(json, heads.head_dim, max_positions)?,
            epsilon: fields.number_or("rms_norm_eps", 1e-6)? as f32,
            tied: fields.flag("tie_word_embeddings")?.unwrap_or(minicpm),
            embedding_scale: scaled("scale_emb", 1.0)? as f32,
            residual_scale: if minicpm { (scaled("scale_depth", 1.0)? / (layers as f64).sqrt()) as f32 } else { 1.0 },
            logit_scale: if minicpm { (base / hidden_size as f64) as f32 } else { 1.0 },
            sparse: SparseConfig::new(
                json.get("sparse_config").filter(|value| !value.is_null()),
                family,
                ScoreType::of_model(fields.text("torch_dtype")?.or(fields.text("dtype")?)),
            )?,
        };
        config.check_widths()?;
        Ok(config)
    }

    /// Queries, keys and values of one token.
    pub fn qkv_width(&self) -> usize {
        (self.heads.heads + 2 * self.heads.kv_heads) * self.heads.head_dim
    }

    /// Queries, and so attention outputs, of one token.
    pub fn attention_width(&self) -> usize {
        self.heads.heads * self.heads.head_dim
    }

    fn check_widths(&self) -> Result<()> {
        let widths = [("hidden_size", self.hidden_size), ("intermediate_size", self.intermediate_size)];
        for (field, width) in widths {
            if width % 32 != 0 {
                return Err(fault(field, "a multiple of 32", &width.to_string(), "The kernels read whole vectors"));
            }
        }
        if self.epsilon <= 0.0 || !self.epsilon.is_finite() {
            return Err(fault("rms_norm_eps", "a small positive number", &self.epsilon.to_string(), DAMAGED));
        }
        Ok(())
    }
}

const DAMAGED: &str = "The file may be damaged: fetch it again";

/// `model_type`, or where it is missing (MiniCPM4-0.5B has none) the class named under `architectures`.
fn family(fields: &Fields<'_>) -> Result<Family> {
    let class = || fields.present("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    match (fields.text("model_type")?, class()) {
        (Some("minicpm" | "minicpm4"), _) | (None, Some("MiniCPMForCausalLM")) => Ok(Family::MiniCpm),
        (Some("llama"), _) | (None, Some("LlamaForCausalLM")) => Ok(Family::Llama),
        (named, class) => {
            let found = named.or(class).unwrap_or("nothing");
            Err(fault("model_type", "minicpm or llama", found, "Other families are not supported"))
        }
    }
}

fn head_shape(fields: &Fields<'_>, hidden_size: usize) -> Result<HeadShape> {
    let heads = fields.size("num_attention_heads")?;
    let kv_heads = fields.size_or("num_key_value_heads", heads)?;
    if heads % kv_heads != 0 {
        return Err(fault("num_key_value_heads", &format!("a divisor of {heads}"), &kv_heads.to_string(), DAMAGED));
    }
    let head_dim = match fields.0.get("head_dim").filter(|value| !value.is_null()) {
        Some(_) => fields.size("head_dim")?,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            return Err(fault(
                "num_attention_heads",
                &format!("a divisor of {hidden_size}"),
                &heads.to_string(),
                DAMAGED,
            ));
        }
    };
    if ![32, 64, 96, 128].contains(&head_dim) {
        return Err(fault("head_dim", "32, 64, 96 or 128", &head_dim.to_string(), "Other sizes are not supported"));
    }
    HeadShape::new(heads, kv_heads, head_dim)
}

/// Typed access to a JSON object with errors that name the field.
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    fn present(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn size(&self, field: &str) -> Result<usize> {
        // A count beyond this is no model but a damaged file, and products of two still fit in 64 bits.
        const MOST: u64 = 1 << 28;
        let value = self.present(field).ok_or_else(|| fault(field, "a number", "nothing", DAMAGED))?;
        match value.as_u64() {
            Some(size) if (1..=MOST).contains(&size) => Ok(size as usize),
            _ => Err(fault(field, "a whole number from 1 up", &value.to_string(), DAMAGED)),
        }
    }

    pub(crate) fn size_or(&self, field: &str, default: usize) -> Result<usize> {
        if self.present(field).is_some() { self.size(field) } else { Ok(default) }
    }

    pub(crate) fn count_or(&self, field: &str, default: usize) -> Result<usize> {
        if self.present(field).and_then(Value::as_u64) == Some(0) { Ok(0) } else { self.size_or(field, default) }
    }

    pub(crate) fn number_or(&self, field: &str, default: f64) -> Result<f64> {
        let Some(value) = self.present(field) else { return Ok(default) };
        let number = value.as_f64().filter(|number| number.is_finite() && number.abs() < 1e30);
        number.ok_or_else(|| fault(field, "a number", &value.to_string(), DAMAGED))
    }

    pub(crate) fn numbers(&self, field: &str, count: usize) -> Result<Vec<f64>> {
        let wrong = |found: String| fault(field, &format!("a list of {count} positive numbers"), &found, DAMAGED);
        let list = self.present(field).and_then(Value::as_array).ok_or_else(|| wrong("none".into()))?;
        let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).filter(|n| n.is_finite() && *n > 0.0).collect();
        if numbers.len() == count && list.len() == count {
            Ok(numbers)
        } else {
            Err(wrong(format!("{} entries", list.len())))
        }
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| fault(field, "a text", &value.to_string(), DAMAGED))
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>> {
        let Some(value) = self.present(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| fault(field, "true or false", &value.to_string(), DAMAGED))
    }
}

pub(crate) fn fault(field: &str, expected: &str, found: &str, advice: &str) -> Error {
    let mut found = found.to_owned();
    if let Some((end, _)) = found.char_indices().nth(80) {
        found.truncate(end);
    }
    Error::Config { field: field.into(), expected: expected.into(), found, advice: advice.into() }
}
