// log_probs: how likely each row of logits makes the token that really followed.
//
//     out[t] = logits[t, target[t]] - ln(sum over v of exp(logits[t, v]))
//
// One workgroup per row. Host: src/ops/log_probs.rs. Twin: src/reference/log_probs.rs.
//
//#import reduce         group_sum, group_max
//#import numbers        LOWEST
//#const  GROUP_SIZE

struct Params {
    vocab: u32,
    first: u32, // place of the first row in targets and out
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // (rows, vocab)
@group(0) @binding(1) var<storage, read> targets: array<u32>;           // (tokens)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;         // (tokens)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * params.vocab;
    var largest = LOWEST;
    for (var i = lane; i < params.vocab; i += GROUP_SIZE) {
        largest = max(largest, logits[row + i]);
    }
    let maximum = group_max(largest, lane);
    var part = 0.0;
    for (var i = lane; i < params.vocab; i += GROUP_SIZE) {
        part += exp(logits[row + i] - maximum);
    }
    let sum = group_sum(part, lane);
    if lane == 0u {
        let place = params.first + group.x;
        out[place] = logits[row + targets[place]] - maximum - log(sum);
    }
}
