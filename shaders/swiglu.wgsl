// swiglu: the gated activation of the feed-forward block.
//
//     out[t, i] = silu(x[t, i]) * x[t, WIDTH + i] * SCALE          silu(v) = v / (1 + exp(-v))
//
// SCALE is a power of two below one that what follows takes back: large models have activations beyond f16's 65504.
//
// One lane per pair of values. Host: src/ops/swiglu.rs. Twin: src/reference/swiglu.rs.
//
//#import numbers             pack_half
//#const  GROUP_SIZE WIDTH SCALE    WIDTH is even

struct Params {
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec2<f32>>;           // (tokens, 2 * WIDTH / 2): gate, then up
@group(0) @binding(1) var<storage, read_write> out: array<u32>;         // (tokens, WIDTH / 2) pairs of f16
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * GROUP_SIZE + lane;
    if index >= params.tokens * (WIDTH / 2u) {
        return;
    }
    let token = index / (WIDTH / 2u);
    let pair = index % (WIDTH / 2u);
    let gate = x[token * WIDTH + pair];
    let up = x[token * WIDTH + WIDTH / 2u + pair];
    // exp of a large number may become infinite, which WGSL does not promise to handle: -gate is kept below 80.
    out[index] = pack_half(gate / (1.0 + exp(min(-gate, vec2(80.0)))) * up * SCALE);
}
