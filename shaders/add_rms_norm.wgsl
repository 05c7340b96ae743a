// add_rms_norm: adds a layer's output to the residual stream, then normalises the sum as rms_norm does.
//
//     stream[t, i] += residual_scale * delta[t, i]
//     out[t, i]     = stream[t, i] / sqrt(mean(stream[t, ..]²) + EPSILON) * weight[i] * scale
//
// One workgroup per token t. Host: src/ops/add_rms_norm.rs. Twin: src/reference/add_rms_norm.rs.
//
//#import reduce                      group_sum
//#import numbers                     pack_half
//#const  GROUP_SIZE WIDTH EPSILON    WIDTH is even

struct Params {
    first_row: u32, // row of stream and delta that token 0 uses
    residual_scale: f32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read_write> stream: array<vec2<f32>>; // (rows, WIDTH / 2)
@group(0) @binding(1) var<storage, read> delta: array<vec2<f32>>;        // (rows, WIDTH / 2)
@group(0) @binding(2) var<storage, read> weight: array<vec2<f32>>;       // (WIDTH / 2)
@group(0) @binding(3) var<storage, read_write> out: array<u32>;          // (tokens, WIDTH / 2) pairs of f16
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (params.first_row + group.x) * (WIDTH / 2u);
    var squares = 0.0;
    for (var i = lane; i < WIDTH / 2u; i += GROUP_SIZE) {
        let sum = stream[first + i] + params.residual_scale * delta[first + i];
        stream[first + i] = sum;
        squares += dot(sum, sum);
    }
    // The same lane wrote what it reads back below, so no storage barrier is needed.
    let scale = inverseSqrt(group_sum(squares, lane) / f32(WIDTH) + EPSILON) * params.scale;
    let target_row = group.x * (WIDTH / 2u);
    for (var i = lane; i < WIDTH / 2u; i += GROUP_SIZE) {
        out[target_row + i] = pack_half(stream[first + i] * scale * weight[i]);
    }
}
