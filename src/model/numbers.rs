//! Where numbers stop being numbers: looks at what every part of every layer leaves behind, and names the first that holds
//! an infinity or something that is no number. Reads back after each layer, so it is for finding out, not for use.

use super::forward::{Model, Step};
use crate::error::{Error, Result};
use crate::gpu::{Element, Recorder, Tensor};

/// The largest f16: what does not fit is stored as this.
const MOST_HALF: f32 = 65_504.0;

/// After layer `index` of a step: an error that names the first part with a bad number.
pub(super) fn look(model: &Model, recorder: &mut Recorder, index: usize, step: Step) -> Result<()> {
    let s = &model.scratch;
    // In the order in which they are computed.
    let parts = [
        (&s.qkv, "queries, keys or values (self_attn.q_proj, k_proj, v_proj, input_layernorm)"),
        (&s.attended.floats, "attention"),
        (&s.stream, "the sum with what attention adds (self_attn.o_proj)"),
        (&s.normed.floats, "the input of the feed-forward block (post_attention_layernorm)"),
        (&s.gate_up, "mlp.gate_proj or up_proj"),
        (&s.activated.floats, "the activation between mlp.gate_proj, up_proj and down_proj"),
        (&s.delta, "mlp.down_proj"),
    ];
    for (tensor, part) in parts {
        let columns = tensor.shape.last().copied().unwrap_or(1).max(1);
        let values = read(model, recorder, tensor)?;
        let used = values.iter().take(step.tokens * columns);
        let most = if tensor.element == Element::F16 { MOST_HALF } else { f32::INFINITY };
        if let Some((place, value)) = used.enumerate().find(|(_, value)| value.is_nan() || value.abs() >= most) {
            return Err(Error::Numbers {
                position: step.start + place / columns,
                place: format!("layer {index}, {part}"),
                found: value.to_string(),
                advice: "If the weights came from elsewhere, fetch them again; otherwise run `foveal selfcheck`".into(),
            });
        }
    }
    Ok(())
}

fn read(model: &Model, recorder: &mut Recorder, tensor: &Tensor) -> Result<Vec<f32>> {
    match tensor.element {
        Element::F16 => {
            let halves: Vec<half::f16> = recorder.read(&model.gpu, tensor)?;
            Ok(halves.into_iter().map(half::f16::to_f32).collect())
        }
        Element::F32 | Element::U32 => recorder.read(&model.gpu, tensor),
    }
}
