//! Names of the tensors as Hugging Face checkpoints write them; readers of other formats translate to these.

/// The embedding table, and the head where it is tied.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
/// The last normalisation.
pub(crate) const NORM: &str = "model.norm.weight";
/// The head where it is not tied.
pub(crate) const HEAD: &str = "lm_head.weight";

/// Name of a layer's tensor: `layer(3, "mlp.up_proj")`.
pub(crate) fn layer(index: usize, part: &str) -> String {
    format!("model.layers.{index}.{part}.weight")
}
