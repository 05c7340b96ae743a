// swiglu: the gated activation of the feed-forward block.
//
//     out[t, i] = silu(x[t, i]) * x[t, WIDTH + i] * SCALE          silu(v) = v / (1 + exp(-v))
//
// SCALE is a power of two below one that what follows takes back: large models have activations beyond f16's 65504.
//
// A lane takes eight neighbours. Host: src/ops/swiglu.rs. Twin: src/reference/swiglu.rs.
//
//#import numbers             Eight
//#import row_out             store_eight
//#const  GROUP_SIZE WIDTH SCALE    WIDTH is a multiple of 8

const EIGHTS: u32 = WIDTH / 8u;

struct Params {
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;           // (tokens, 2 * WIDTH / 4): gate, then up
@group(0) @binding(6) var<uniform> params: Params;

// exp of a large number may become infinite, which WGSL does not promise to handle: -gate is kept below 80.
fn gated(gate: vec4<f32>, up: vec4<f32>) -> vec4<f32> {
    return gate / (1.0 + exp(min(-gate, vec4(80.0)))) * up * SCALE;
}

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * GROUP_SIZE + lane;
    let at_work = index < params.tokens * EIGHTS;
    var value = Eight(vec4(0.0), vec4(0.0));
    if at_work {
        let gate = (index / EIGHTS * 2u * EIGHTS + index % EIGHTS) * 2u;
        let up = gate + EIGHTS * 2u;
        value = Eight(gated(x[gate], x[up]), gated(x[gate + 1u], x[up + 1u]));
    }
    store_eight(index, value, lane, at_work);
}
