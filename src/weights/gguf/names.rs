//! Tensor names of GGUF files in Hugging Face form, and which of them need their rows put back in order.
//!
//! llama.cpp rotates neighbouring values of a head, the model values half a head apart. Its converter therefore permutes the
//! rows of q and k in files of the architectures `llama` and `minicpm`; reading them undoes it.

/// The Hugging Face name, or `None` for tensors that have none (factors of the rotary embedding, other kinds of models).
pub(crate) fn hugging_face_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".into()),
        "output_norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (module, suffix) = part.rsplit_once('.')?;
    if !matches!(suffix, "weight" | "bias") {
        return None;
    }
    let module = match module {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{module}.{suffix}"))
}

/// Whether the rows of this tensor are rotated, and therefore permuted in the file.
pub(crate) fn is_rotated(hugging_face_name: &str) -> bool {
    ["self_attn.q_proj.", "self_attn.k_proj."].iter().any(|part| hugging_face_name.contains(part))
}
