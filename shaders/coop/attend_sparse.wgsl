enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula of attend_sparse.wgsl in two passes, each divided as
// attend_coop.wgsl tells.
//
// FORCED: the first and the local blocks, a third of what a token reads. Tokens of one block have the same, so TOKENS of them
// share what is staged. It leaves its softmax, and of each row the reference and the sum of weights, in `parts`. Then the
// chosen blocks, which every token has its own of: one token and subgroup for each workgroup, that waits for nobody; at its end
// it joins both.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s. An H100 takes 35 + 98 ms; in one pass that shared
// nothing it took 152, 0.8 TB of keys and values at 5.4 TB/s. What is left of the second pass is not the second-level cache:
// with one and the same block on every list it takes 84 ms.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_coop                 attend
//#const  FORCED BLOCK BUDGET INIT_BLOCKS LOCAL_BLOCKS       BLOCK is a multiple of KEYS, and where FORCED of TOKENS

const FORCED_BLOCKS: u32 = INIT_BLOCKS + LOCAL_BLOCKS;

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the tiles hold
    tokens: u32,
    lead: u32,       // tokens of the first workgroup that lie before the chunk
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;          // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;       // (kv_heads, capacity / M, DEPTHS, M slots, M / 4 fours)
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>;     // (kv_heads, capacity / M, DEPTHS, M dims, M / 4 fours)
@group(0) @binding(3) var<storage, read> ids: array<u32>;              // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read_write> parts: array<vec2<f32>>;  // (tokens, HEADS)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(6) var<uniform> params: Params;

// Blocks that a query in block `last` reads of this pass.
fn blocks(last: u32) -> u32 {
    let forced = min(last + 1u, FORCED_BLOCKS);
    return select(min(last + 1u, BUDGET) - forced, forced, FORCED);
}

// Slots that a query at `position` reads. The chosen blocks lie before the query as a whole.
fn slots(position: u32) -> u32 {
    let whole = blocks(position / BLOCK) * BLOCK;
    return select(whole, whole - BLOCK + position % BLOCK + 1u, FORCED);
}

fn slot_origin(token: u32, kv_head: u32, slot: u32) -> u32 {
    let last = (params.start + token) / BLOCK;
    let place = min(slot / BLOCK, max(blocks(last), 1u) - 1u);
    if FORCED {
        // What lies between the first blocks and the local ones is left out.
        let skipped = max(last + 1u, FORCED_BLOCKS) - FORCED_BLOCKS;
        return (place + select(0u, skipped, place >= INIT_BLOCKS)) * BLOCK + slot % BLOCK;
    }
    return ids[(token * KV_HEADS + kv_head) * BUDGET + min(INIT_BLOCKS + place, last)] * BLOCK + slot % BLOCK;
}

fn leave(row: u32, column: u32, four: vec4<f32>, of_row: vec2<f32>) {
    if FORCED {
        out[row * VECS + column] = vec4<f16>(four / of_row.y);
        if column == 0u {
            parts[row] = of_row;
        }
        return;
    }
    let forced = parts[row];
    let most = max(forced.x, of_row.x);
    let weight = forced.y * exp(forced.x - most);
    let factor = exp(of_row.x - most);
    let joined = vec4<f32>(out[row * VECS + column]) * weight + four * factor;
    out[row * VECS + column] = vec4<f16>(joined / (weight + of_row.y * factor));
}

// Workgroup: TOKENS tokens, KV head.
@compute @workgroup_size(LANES)
fn forced(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    attend(group, lane, subgroup, sublane);
}

// Workgroup: token, KV head.
@compute @workgroup_size(LANES)
fn chosen(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    attend(group, lane, subgroup, sublane);
}
