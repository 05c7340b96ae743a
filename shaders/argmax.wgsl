// argmax: the token with the largest logit; the lowest id among equals.
//
// One workgroup. Host: src/ops/argmax.rs. Twin: src/reference/argmax.rs.
//
//#const GROUP_SIZE

struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // (count)
@group(0) @binding(1) var<storage, read_write> out: array<u32>;         // (1)
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> best_logit: array<f32, GROUP_SIZE>;
var<workgroup> best_id: array<u32, GROUP_SIZE>;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(local_invocation_index) lane: u32) {
    var id = min(lane, params.count - 1u);
    var logit = logits[id];
    for (var i = lane + GROUP_SIZE; i < params.count; i += GROUP_SIZE) {
        let candidate = logits[i];
        if candidate > logit {
            logit = candidate;
            id = i;
        }
    }
    best_logit[lane] = logit;
    best_id[lane] = id;
    for (var half = GROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let other = lane + half;
            let larger = best_logit[other] > best_logit[lane];
            let equal = best_logit[other] == best_logit[lane];
            if larger || (equal && best_id[other] < best_id[lane]) {
                best_logit[lane] = best_logit[other];
                best_id[lane] = best_id[other];
            }
        }
    }
    if lane == 0u {
        out[0] = best_id[0];
    }
}
