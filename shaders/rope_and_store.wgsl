// rope_and_store: rotates queries and keys by their position, and appends keys and values to the cache.
//
//     rotate(x)[i]       = x[i] cos - x[i + d/2] sin        for i < d/2, with this position's cos and sin of pair i
//     rotate(x)[i + d/2] = x[i + d/2] cos + x[i] sin
//
// One workgroup per token. A lane takes two neighbouring pairs (i, i + 1), so that it writes whole words of f16.
// Host: src/ops/rope_and_store.rs. Twin: src/reference/rope_and_store.rs.
//
//#import numbers                                  pack_half
//#const  GROUP_SIZE HEADS KV_HEADS HEAD_DIM       HEAD_DIM is a multiple of 4

struct Params {
    start: u32,    // position of the first token
    capacity: u32, // positions of the cache
}

@group(0) @binding(0) var<storage, read> qkv: array<vec2<f32>>;         // (tokens, (HEADS + 2 KV_HEADS) * HEAD_DIM / 2)
@group(0) @binding(1) var<storage, read> turns: array<vec4<f32>>;       // (tokens, HEAD_DIM / 4): cos, sin, cos, sin
@group(0) @binding(2) var<storage, read_write> queries: array<u32>;     // (tokens, HEADS, HEAD_DIM / 2) pairs of f16
@group(0) @binding(3) var<storage, read_write> keys: array<u32>;        // (KV_HEADS, capacity, HEAD_DIM / 2)
@group(0) @binding(4) var<storage, read_write> values: array<u32>;      // (KV_HEADS, capacity, HEAD_DIM / 2)
@group(0) @binding(5) var<uniform> params: Params;

const PAIRS: u32 = HEAD_DIM / 2u;
const QUARTER: u32 = HEAD_DIM / 4u;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = group.x;
    let row = token * (HEADS + 2u * KV_HEADS) * PAIRS;
    for (var i = lane; i < (HEADS + KV_HEADS) * QUARTER; i += GROUP_SIZE) {
        let head = i / QUARTER;
        let place = i % QUARTER;
        let first = qkv[row + head * PAIRS + place];
        let second = qkv[row + head * PAIRS + QUARTER + place];
        let turn = turns[token * QUARTER + place];
        let cosine = turn.xz;
        let sine = turn.yw;
        let low = pack_half(first * cosine - second * sine);
        let high = pack_half(second * cosine + first * sine);
        if head < HEADS {
            let out = (token * HEADS + head) * PAIRS + place;
            queries[out] = low;
            queries[out + QUARTER] = high;
        } else {
            let out = ((head - HEADS) * params.capacity + params.start + token) * PAIRS + place;
            keys[out] = low;
            keys[out + QUARTER] = high;
        }
    }
    for (var i = lane; i < KV_HEADS * PAIRS; i += GROUP_SIZE) {
        let head = i / PAIRS;
        let value = qkv[row + (HEADS + KV_HEADS) * PAIRS + i];
        values[(head * params.capacity + params.start + token) * PAIRS + i % PAIRS] = pack_half(value);
    }
}
