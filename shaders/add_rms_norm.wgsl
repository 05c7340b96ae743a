// add_rms_norm: adds a layer's output to the residual stream, then normalises the sum as rms_norm does.
//
//     stream[t, i] += residual_scale * delta[t, i]
//     out[t, i]     = stream[t, i] / sqrt(mean(stream[t, ..]²) + EPSILON) * weight[i] * scale
//
// One workgroup per token t; a lane keeps TURNS times eight neighbours in registers, and all that it reads is on its way
// before the first sum. Host: src/ops/add_rms_norm.rs. Twin: src/reference/add_rms_norm.rs.
//
//#import reduce                            group_sum
//#import numbers                           Eight
//#import row_out                           store_eight
//#const  GROUP_SIZE WIDTH TURNS EPSILON    WIDTH is a multiple of 8, TURNS = WIDTH / 8 / GROUP_SIZE, rounded up

const EIGHTS: u32 = WIDTH / 8u;

struct Params {
    first_row: u32, // row of stream and delta that token 0 uses
    residual_scale: f32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read_write> stream: array<vec4<f32>>; // (rows, WIDTH / 4)
@group(0) @binding(1) var<storage, read> delta: array<vec4<f32>>;        // (rows, WIDTH / 4)
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;       // (WIDTH / 4)
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (params.first_row + group.x) * EIGHTS;
    //#repeat T TURNS
    let at@T = lane + @Tu * GROUP_SIZE;
    let works@T = at@T < EIGHTS;
    var low@T = vec4(0.0);
    var high@T = vec4(0.0);
    var low_weight@T = vec4(0.0);
    var high_weight@T = vec4(0.0);
    if works@T {
        let low_at = (first + at@T) * 2u;
        low@T = stream[low_at] + params.residual_scale * delta[low_at];
        high@T = stream[low_at + 1u] + params.residual_scale * delta[low_at + 1u];
        low_weight@T = weight[at@T * 2u];
        high_weight@T = weight[at@T * 2u + 1u];
    }
    //#end
    var squares = 0.0;
    //#repeat T TURNS
    squares += dot(low@T, low@T) + dot(high@T, high@T);
    if works@T {
        stream[(first + at@T) * 2u] = low@T;
        stream[(first + at@T) * 2u + 1u] = high@T;
    }
    //#end
    let scale = inverseSqrt(group_sum(squares, lane) / f32(WIDTH) + EPSILON) * params.scale;
    //#repeat T TURNS
    let normed@T = Eight(low@T * scale * low_weight@T, high@T * scale * high_weight@T);
    store_eight(group.x * EIGHTS + at@T, normed@T, lane, works@T);
    //#end
}
