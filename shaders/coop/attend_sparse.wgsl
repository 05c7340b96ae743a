enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula of attend_sparse.wgsl, the work as attend_coop.wgsl
// tells. The forced blocks (first ones, local window) of neighbouring tokens are the same but for one, so they are
// shared slots; the freely chosen blocks are each token's own.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s. The free blocks, two thirds of the keys and
// values, are read for each token: 0.55 TB, 41 ms at the 64 bytes a clock that a multiprocessor takes from the cache.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_coop                 attend
//#const  BLOCK BUDGET INIT_BLOCKS LOCAL_BLOCKS        BLOCK is a multiple of ROUND

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

const INIT: u32 = INIT_BLOCKS * BLOCK;

// First token of the local window: after the first blocks, which have slots of their own.
fn local_start(position: u32) -> u32 {
    return max(position / BLOCK + 1u, INIT_BLOCKS + LOCAL_BLOCKS) * BLOCK - LOCAL_BLOCKS * BLOCK;
}

// The first blocks, then the local windows of all tokens of the workgroup.
fn shared_slots(first_position: u32, last_position: u32) -> u32 {
    return last_position + 1u + INIT - local_start(first_position);
}

fn shared_token(first_position: u32, last_position: u32, slot: u32) -> u32 {
    return min(select(slot - INIT + local_start(first_position), slot, slot < INIT), last_position);
}

fn shared_seen(first_position: u32, position: u32) -> Seen {
    let start = local_start(first_position);
    return Seen(INIT, INIT + local_start(position) - start, position + 1u + INIT - start);
}

// Slots of the chosen blocks: what the list holds between the forced ones.
fn own_slots(position: u32) -> u32 {
    return (max(min(position / BLOCK + 1u, BUDGET), INIT_BLOCKS + LOCAL_BLOCKS) - INIT_BLOCKS - LOCAL_BLOCKS) * BLOCK;
}

fn own_token(list: u32, slot: u32, end: u32) -> u32 {
    // Past the last own slot anything finite will do.
    let inside = select(0u, slot, slot < end);
    let entry = select(0u, INIT_BLOCKS + inside / BLOCK, end > 0u);
    return ids[list * BUDGET + entry] * BLOCK + inside % BLOCK;
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
