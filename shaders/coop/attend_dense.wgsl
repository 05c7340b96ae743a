enable f16;
enable wgpu_cooperative_matrix;
// attend_dense of a chunk with cooperative matrices: every position up to the query's is a slot, the work as
// attend_coop.wgsl tells, with tokens that share what they read.
//
// Host: src/ops/attend_dense.rs. Twin: src/reference/attend_dense.rs.
//
//#import attend_coop                 attend

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
    lead: u32,       // tokens of the first workgroup that lie before the chunk
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;          // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;       // (kv_heads, capacity / M, DEPTHS, M slots, M / 4 fours)
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>;     // (kv_heads, capacity / M, DEPTHS, M dims, M / 4 fours)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(4) var<uniform> params: Params;

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    return position + 1u;
}

fn slot_origin(token: u32, kv_head: u32, slot: u32) -> u32 {
    return slot;
}

fn leave(row: u32, column: u32, four: vec4<f32>, of_row: vec2<f32>) {
    out[row * VECS + column] = vec4<f16>(four / of_row.y);
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
