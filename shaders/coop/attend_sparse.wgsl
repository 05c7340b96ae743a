enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula and the slots of attend_sparse.wgsl, the work as
// attend_coop.wgsl tells, with one token for each workgroup. Its one subgroup waits for nobody, so that barriers cost
// little and eight or more workgroups hide each other's loads: 162 ms at 128K tokens on an H200, where four tokens that
// share the forced blocks, but wait for each other at the chosen ones, take 215.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s. What bounds it are 0.8 TB of keys and values
// from the second-level cache, read at 5 TB/s.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_coop                 attend
//#const  BLOCK BUDGET                BLOCK is a multiple of STAGED

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;          // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;       // (kv_heads, capacity, HEAD_DIM / 4) fours
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>;     // (kv_heads, capacity, HEAD_DIM / 4) fours
@group(0) @binding(3) var<storage, read> ids: array<u32>;              // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(5) var<uniform> params: Params;

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    return min(position / BLOCK, BUDGET - 1u) * BLOCK + position % BLOCK + 1u;
}

// Past the last block on the list the first one: any will do.
fn slot_origin(token: u32, kv_head: u32, slot: u32) -> u32 {
    let inside = select(0u, slot, slot < slots(params.start + token));
    return ids[(token * KV_HEADS + kv_head) * BUDGET + inside / BLOCK] * BLOCK + inside % BLOCK;
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
