//! GGUF metadata in the form of config.json, so that the model reads one kind of configuration.
//!
//! Keys: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, and llama.cpp's converter for MiniCPM, which writes
//! `embedding_scale` = scale_emb, `residual_scale` = scale_depth / sqrt(layers), and `logit_scale` = hidden size /
//! dim_model_base, by which the last hidden state is divided.

use serde_json::{Map, Value, json};

use super::metadata::Metadata;
use super::tokenizer;
use crate::error::{Error, Result};

/// What the tensors tell beyond the metadata.
pub(crate) struct TensorFacts {
    /// Rows of the embedding.
    pub(crate) vocab_size: usize,
    /// Whether there is a head apart from the embedding.
    pub(crate) has_head: bool,
    /// Whether the attention's projections have biases.
    pub(crate) has_attention_bias: bool,
    /// Factors of the rotary embedding for short and long contexts, half a head long.
    pub(crate) rope_factors: Option<(Vec<f32>, Vec<f32>)>,
}

/// The architectures that are read.
pub(crate) fn architecture<'a>(metadata: &Metadata<'a>) -> Result<&'a str> {
    match metadata.text("general.architecture")? {
        Some(name @ ("llama" | "minicpm")) => Ok(name),
        other => Err(Error::Config {
            field: "general.architecture".into(),
            expected: "minicpm or llama".into(),
            found: other.unwrap_or("nothing").into(),
            advice: "This kind of model is not supported".into(),
        }),
    }
}

/// Size of one attention head.
pub(crate) fn head_dim(metadata: &Metadata) -> Result<u64> {
    let arch = architecture(metadata)?;
    let heads = require(metadata, &format!("{arch}.attention.head_count"))?;
    let hidden = require(metadata, &format!("{arch}.embedding_length"))?;
    let key_length = format!("{arch}.attention.key_length");
    let head_dim = match metadata.count(&key_length)? {
        Some(length) => length,
        None => hidden.checked_div(heads).unwrap_or(0),
    };
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(metadata.wrong(&key_length, "an even size of a head", head_dim));
    }
    Ok(head_dim)
}

fn require(metadata: &Metadata, key: &str) -> Result<u64> {
    metadata.count(key)?.ok_or_else(|| metadata.wrong(key, "a number", "nothing"))
}

/// The configuration as config.json would have it.
pub(crate) fn config(metadata: &Metadata, facts: &TensorFacts) -> Result<Value> {
    let arch = architecture(metadata)?;
    let key = |name: &str| format!("{arch}.{name}");
    let count = |name: &str| require(metadata, &key(name));
    let number = |name: &str| metadata.number(&key(name));
    let (hidden, layers, heads) = (count("embedding_length")?, count("block_count")?, count("attention.head_count")?);
    let context = count("context_length")?;
    let ids = tokenizer::special_ids(metadata)?;

    let mut config = Map::new();
    let mut set = |name: &str, value: Value| config.insert(name.into(), value);
    let minicpm = arch == "minicpm";
    set("architectures", json!([if minicpm { "MiniCPMForCausalLM" } else { "LlamaForCausalLM" }]));
    set("model_type", json!(arch));
    set("hidden_size", json!(hidden));
    set("num_hidden_layers", json!(layers));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(metadata.count(&key("attention.head_count_kv"))?.unwrap_or(heads)));
    set("head_dim", json!(head_dim(metadata)?));
    set("intermediate_size", json!(count("feed_forward_length")?));
    set("vocab_size", json!(facts.vocab_size));
    set("max_position_embeddings", json!(context));
    set("rms_norm_eps", json!(number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6)));
    set("rope_theta", json!(number("rope.freq_base")?.unwrap_or(10000.0)));
    set("rope_scaling", rope_scaling(metadata, arch, facts, context)?);
    set("hidden_act", json!("silu"));
    set("attention_bias", json!(facts.has_attention_bias));
    set("mlp_bias", json!(false));
    set("tie_word_embeddings", json!(!facts.has_head));
    set("bos_token_id", json!(ids.bos));
    set("eos_token_id", json!(ids.eos));
    if minicpm {
        // Files from before these keys are MiniCPM 1 and 2, whose numbers llama.cpp assumes too. (Its default for the logit
        // scale is 256 / hidden, the reciprocal of what its converter writes; the models mean hidden / 256.)
        set("scale_emb", json!(number("embedding_scale")?.unwrap_or(12.0)));
        let residual = number("residual_scale")?.map(|scale| scale * (layers as f64).sqrt());
        set("scale_depth", json!(residual.unwrap_or(1.4)));
        let base = match number("logit_scale")? {
            None => 256.0,
            Some(scale) if scale > 0.0 => hidden as f64 / scale,
            Some(scale) => return Err(metadata.wrong(&key("logit_scale"), "a positive number", scale)),
        };
        set("dim_model_base", json!(base));
    }
    Ok(Value::Object(config))
}

/// `rope_scaling` of config.json.
///
/// Llama 3 files hold the factors that their scaling gives (`rope_freqs`) and not its parameters. Dividing the frequencies by
/// fixed factors is what LongRoPE does when both lists are equal and the original context is the whole one.
fn rope_scaling(metadata: &Metadata, arch: &str, facts: &TensorFacts, context: u64) -> Result<Value> {
    let key = |name: &str| format!("{arch}.rope.scaling.{name}");
    let original = metadata.count(&key("original_context_length"))?.unwrap_or(context);
    let kind = metadata.text(&key("type"))?.unwrap_or("none");
    let mut scaling = match (&facts.rope_factors, kind) {
        (Some((short, long)), _) => json!({
            "rope_type": "longrope",
            "short_factor": short,
            "long_factor": long,
            "original_max_position_embeddings": original,
        }),
        (None, "none") => return Ok(Value::Null),
        (None, "longrope") => {
            return Err(metadata.wrong(&key("type"), "tensors rope_factors_short and _long for longrope", "none"));
        }
        (None, other) => json!({ "rope_type": other, "original_max_position_embeddings": original }),
    };
    if let Some(fields) = scaling.as_object_mut() {
        for (name, field) in [("factor", "factor"), ("attn_factor", "attention_factor")] {
            if let Some(number) = metadata.number(&key(name))? {
                fields.insert(field.into(), json!(number));
            }
        }
    }
    Ok(scaling)
}
