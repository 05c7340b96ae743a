enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices, first pass: the first and the local blocks, a third of what a token reads.
// Tokens of one block have the same, so they share what is staged, as attend_coop.wgsl tells. The pass leaves their softmax in
// `out` and of each row the reference and the sum of weights in `parts`; attend_chosen.wgsl, the second pass, joins the rest.
//
// Floor at 128K tokens, 32 heads of 128: 4.4 TFLOP, 18 ms at 240 TFLOP/s. An H100 takes 34. Both passes as one that shared
// nothing took 152, 0.8 TB of keys and values at 5.4 TB/s.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_coop                 attend
//#const  BLOCK INIT_BLOCKS LOCAL_BLOCKS       BLOCK is a multiple of KEYS and of TOKENS

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
@group(0) @binding(3) var<storage, read_write> parts: array<vec2<f32>>;  // (tokens, HEADS)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(5) var<uniform> params: Params;

// Slots that a query at `position` reads of this pass.
fn slots(position: u32) -> u32 {
    return min(position / BLOCK, FORCED_BLOCKS - 1u) * BLOCK + position % BLOCK + 1u;
}

fn slot_origin(token: u32, kv_head: u32, slot: u32) -> u32 {
    let last = (params.start + token) / BLOCK;
    let place = min(slot / BLOCK, min(last, FORCED_BLOCKS - 1u));
    // What lies between the first blocks and the local ones is left out.
    let skipped = max(last + 1u, FORCED_BLOCKS) - FORCED_BLOCKS;
    return (place + select(0u, skipped, place >= INIT_BLOCKS)) * BLOCK + slot % BLOCK;
}

fn leave(row: u32, column: u32, four: vec4<f32>, of_row: vec2<f32>) {
    out[row * VECS + column] = vec4<f16>(four / of_row.y);
    if column == 0u {
        parts[row] = of_row;
    }
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
