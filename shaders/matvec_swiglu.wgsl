// matvec_swiglu: the first half of the feed-forward block for one token: gate and up, the gated activation, and its
// rounding, in one dispatch.
//
//     out[i] = silu(gate_i) * up_i * SCALE,   gate_i = factor * (row i . x),   up_i = factor * (row inner + i . x)
//
// A team computes gate and up of one place together. Host: src/ops/matvec_swiglu.rs. Twin: src/reference/matvec_swiglu.rs.
//
//#import row_products           two_rows
//#import norm_factor            norm_share, norm_factor
//#import round_out              outputs, round_outputs
//#const  SCALE

struct Params {
    inner: u32, // places; a multiple of OUTPUTS
}

@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> pairs: array<vec2<f32>, OUTPUTS>;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * OUTPUTS;
    if first >= params.inner {
        return;
    }
    let share = norm_share(lane);
    for (var turn = 0u; turn < OUTPUTS / TEAMS; turn++) {
        let place = turn * TEAMS + lane / LANES;
        let pair = two_rows(first + place, params.inner + first + place, lane);
        if lane % LANES == 0u {
            pairs[place] = pair;
        }
    }
    // Its barriers also show every lane the pairs.
    let factor = norm_factor(share, lane);
    if lane < OUTPUTS {
        let gate = pairs[lane].x * factor;
        let up = pairs[lane].y * factor;
        // exp of a large number may become infinite, which WGSL does not promise to handle.
        outputs[lane] = gate / (1.0 + exp(min(-gate, 80.0))) * up * SCALE;
    }
    round_outputs(first, lane);
}
