// rope_and_store: rotates queries and keys by their position, and appends keys and values to the cache.
//
//     rotate(x)[i]       = x[i] cos - x[i + d/2] sin        for i < d/2, with this position's cos and sin of pair i
//     rotate(x)[i + d/2] = x[i + d/2] cos + x[i] sin
//
// A workgroup takes AT_ONCE heads of one token. A lane takes four neighbouring pairs of a head, HEAD_DIM / 8 lanes a whole head, whose 8-bit
// form needs its largest value.
// Host: src/ops/rope_and_store.rs. Twin: src/reference/rope_and_store.rs.
//
//#import numbers                                  pack_half
//#import cache_store                              store_row
//#const  GROUP_SIZE HEADS KV_HEADS HEAD_DIM       HEAD_DIM is a multiple of 8

struct Params {
    start: u32,    // position of the first token
    capacity: u32, // positions of the cache
}

@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;         // (tokens, HEADS + 2 KV_HEADS, HEAD_DIM / 4)
@group(0) @binding(1) var<storage, read> turns: array<vec4<f32>>;       // (tokens, HEAD_DIM / 4): cos, sin, cos, sin
@group(0) @binding(2) var<storage, read_write> queries: array<vec2<u32>>; // (tokens, HEADS, HEAD_DIM / 4)
@group(0) @binding(6) var<uniform> params: Params;

const PARTS: u32 = HEAD_DIM / 8u;
const FOURS: u32 = HEAD_DIM / 4u;
const ALL_HEADS: u32 = HEADS + 2u * KV_HEADS;
const AT_ONCE: u32 = GROUP_SIZE / PARTS; // heads

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = group.x;
    let part = lane % PARTS;
    let turn = turns[token * FOURS + part * 2u];
    let next_turn = turns[token * FOURS + part * 2u + 1u];
    let cosine = vec4(turn.xz, next_turn.xz);
    let sine = vec4(turn.yw, next_turn.yw);
    let first_head = group.y * AT_ONCE;
    let head = first_head + lane / PARTS;
    let at_work = lane < AT_ONCE * PARTS && head < ALL_HEADS;
    let at = (token * ALL_HEADS + min(head, ALL_HEADS - 1u)) * FOURS + part;
    var first = qkv[at];
    var second = qkv[at + PARTS];
    if head < HEADS + KV_HEADS {
        let before = first;
        first = before * cosine - second * sine;
        second = second * cosine + before * sine;
    }
    if at_work && head < HEADS {
        let out = (token * HEADS + head) * FOURS + part;
        queries[out] = vec2(pack_half(first.xy), pack_half(first.zw));
        queries[out + PARTS] = vec2(pack_half(second.xy), pack_half(second.zw));
    }
    // The last workgroups of a token hold keys and values.
    if first_head + AT_ONCE > HEADS {
        let is_key = head < HEADS + KV_HEADS;
        let kv_head = max(head, HEADS) - HEADS - select(KV_HEADS, 0u, is_key);
        let row = kv_head * params.capacity + params.start + token;
        store_row(row, is_key, first, second, part, lane, at_work && head >= HEADS);
    }
}
