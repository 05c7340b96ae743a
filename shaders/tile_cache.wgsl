// tile_cache: one layer's keys and values as the cooperative attentions read them, matrix by matrix.
//
//     tiled_keys[g, s / M, d / M, s % M, d % M]   = keys[g, s, d]
//     tiled_values[g, s / M, d / M, d % M, s % M] = values[g, s, d]         slots from `tokens` on are zero
//
// A matrix is one piece of memory, and of a column of the product's right side (a slot for keys, a value's dimension for
// values) the neighbours that a lane wants together lie together. 8-bit caches become floats on the way, so cooperative
// attention serves them too. The whole layer is written again for every chunk of a prompt: at 128K tokens of 2 heads of 128
// that is 134 MB read and as many written, 0.1 ms, beside 2 ms of sparse and 29 of dense attention for 2048 tokens; a copy
// for every layer would double the cache. A workgroup takes 16 slots; values are turned in its memory.
//
// Host: src/ops/tile_cache.rs. Twin: src/reference/tile_cache.rs.
//
//#import numbers                                  Eight, pack_halves
//#import cache                                    keys, values, unpack_cached, key_scale, value_scale
//#const  GROUP_SIZE HEAD_DIM M

const SLOTS: u32 = 16u;
const EIGHTS: u32 = HEAD_DIM / 8u;
const PITCH: u32 = SLOTS + 1u;

struct Params {
    capacity: u32,        // tokens that the cache holds
    tokens: u32,          // that are in it
    tile_capacity: u32,   // tokens that the tiles hold
}

@group(0) @binding(4) var<storage, read_write> tiled_keys: array<vec4<u32>>;    // (kv_heads, tile_capacity / M, HEAD_DIM / M, M, M / 8)
@group(0) @binding(5) var<storage, read_write> tiled_values: array<vec4<u32>>;  // (kv_heads, tile_capacity / M, HEAD_DIM / M, M, M / 8)
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> turned: array<f32, HEAD_DIM * PITCH>;

// Where the eight begins whose `outer` (slot of a key, dimension of a value) is given within its matrix.
fn eight_at(first_slot: u32, slot: u32, dim: u32, outer: u32, inner: u32) -> u32 {
    return ((first_slot + slot / M * M) * HEAD_DIM + dim / M * M * M + outer % M * M + inner % M) / 8u;
}

fn scaled(eight: Eight, scale: f32) -> Eight {
    return Eight(eight.low * scale, eight.high * scale);
}

// Workgroup: 16 slots, KV head.
@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_slot = group.y * params.tile_capacity + group.x * SLOTS;
    let first_row = (group.y * params.capacity + group.x * SLOTS) * EIGHTS;
    let used = max(params.tokens, group.x * SLOTS) - group.x * SLOTS;
    for (var item = lane; item < SLOTS * EIGHTS; item += GROUP_SIZE) {
        let slot = item / EIGHTS;
        let dim = item % EIGHTS * 8u;
        var key = Eight(vec4(0.0), vec4(0.0));
        var value = key;
        if slot < used {
            let row = (first_row + item) / EIGHTS;
            key = scaled(unpack_cached(keys[first_row + item]), key_scale(row));
            value = scaled(unpack_cached(values[first_row + item]), value_scale(row));
        }
        tiled_keys[eight_at(first_slot, slot, dim, slot, dim)] = pack_halves(key);
        for (var i = 0u; i < 4u; i++) {
            turned[(dim + i) * PITCH + slot] = value.low[i];
            turned[(dim + 4u + i) * PITCH + slot] = value.high[i];
        }
    }
    workgroupBarrier();
    for (var item = lane; item < SLOTS * EIGHTS; item += GROUP_SIZE) {
        let dim = item / (SLOTS / 8u);
        let slot = item % (SLOTS / 8u) * 8u;
        let at = dim * PITCH + slot;
        let low = vec4(turned[at], turned[at + 1u], turned[at + 2u], turned[at + 3u]);
        let high = vec4(turned[at + 4u], turned[at + 5u], turned[at + 6u], turned[at + 7u]);
        tiled_values[eight_at(first_slot, slot, dim, dim, slot)] = pack_halves(Eight(low, high));
    }
}
