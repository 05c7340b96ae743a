enable f16;
enable wgpu_cooperative_matrix;
// attend_dense of a chunk with cooperative matrices: every position up to the query's is a shared slot, the work
// as attend_coop.wgsl tells.
//
// Host: src/ops/attend_dense.rs. Twin: src/reference/attend_dense.rs.
//
//#import attend_coop                 attend

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;          // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;       // (kv_heads, capacity, HEAD_DIM / 4) fours
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>;     // (kv_heads, capacity, HEAD_DIM / 4) fours
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(4) var<uniform> params: Params;

fn shared_slots(first_position: u32, last_position: u32) -> u32 {
    return last_position + 1u;
}

fn shared_token(first_position: u32, last_position: u32, slot: u32) -> u32 {
    return min(slot, last_position);
}

fn shared_seen(first_position: u32, position: u32) -> Seen {
    return Seen(0u, 0u, position + 1u);
}

// No query has slots of its own.
fn own_slots(position: u32) -> u32 {
    return 0u;
}

fn own_token(list: u32, slot: u32, end: u32) -> u32 {
    return 0u;
}

// Workgroup: TOKENS tokens, KV head.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    attend(group, lane, subgroup, sublane);
}
