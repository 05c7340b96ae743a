enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula and the slots of attend_sparse.wgsl, the work as
// attend_coop.wgsl tells. A subgroup owns a token; neighbours share the local blocks and most chosen ones.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s; 0.8 TB of keys and values from the caches.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_coop                 attend
//#const  BLOCK BUDGET                BLOCK is a multiple of M

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> q: array<u32>;            // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(1) var<storage, read> keys: array<f16>;         // (kv_heads, capacity, HEAD_DIM)
@group(0) @binding(2) var<storage, read> values: array<f16>;       // (kv_heads, capacity, HEAD_DIM)
@group(0) @binding(3) var<storage, read> ids: array<u32>;          // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read_write> out: array<u32>;    // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(5) var<uniform> params: Params;

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    let last = position / BLOCK;
    return min(last, BUDGET - 1u) * BLOCK + position % BLOCK + 1u;
}

// Where the M rows from `slot` on start in the cache; past the last slot the last M again.
fn cache_row(query: u32, kv_head: u32, slot: u32, total: u32) -> u32 {
    let list = (query * KV_HEADS + kv_head) * BUDGET;
    let first = min(slot, (total - 1u) / M * M);
    let token = ids[list + first / BLOCK] * BLOCK + first % BLOCK;
    return (kv_head * params.capacity + token) * HEAD_DIM;
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
