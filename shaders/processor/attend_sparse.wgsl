// attend_sparse for drivers that run shaders on the processor: one softmax over the tokens of the selected blocks that lie at or
// before the query.
//
//     out[t, h] = sum_i w_i values[g, i] / sum_i w_i,   w_i = exp(q[t, h] . keys[g, i] / sqrt(d)),   i in blocks(t, g), i <= t
//
// The list is ascending and ends with the query's own block, so the tokens to read are its first slots, with no mask. A workgroup
// takes a token and a KV head, a lane ROWS heads of its group; lanes that are left over repeat the last head, which costs
// little, as it is the addresses of keys and values that take the time.
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import attend_rows                begin, attend_key, result
//#const  HEADS GROUP ROWS LANES BLOCK BUDGET

const KV_HEADS: u32 = HEADS / GROUP;

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tiles: u32,
}

@group(0) @binding(4) var<storage, read> ids: array<u32>;                    // (tokens, kv_heads, BUDGET)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<u32>>;        // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn prefill(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let kv_head = group.y;
    let first_head = group.x * HEADS + kv_head * GROUP;
    for (var r = 0u; r < ROWS; r++) {
        begin(r, (first_head + min(r * LANES + lane, GROUP - 1u)) * EIGHTHS, 0u);
    }
    let list = (group.x * KV_HEADS + kv_head) * BUDGET;
    let position = params.start + group.x;
    let blocks = min(position / BLOCK, BUDGET - 1u) + 1u;
    for (var i = 0u; i < blocks; i++) {
        let first = kv_head * params.capacity + ids[list + i] * BLOCK;
        let count = select(BLOCK, position % BLOCK + 1u, i + 1u == blocks);
        for (var token = 0u; token < count; token++) {
            attend_key(lane, first + token, 0u);
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        if r * LANES + lane < GROUP {
            for (var e = 0u; e < EIGHTHS; e++) {
                out[(first_head + r * LANES + lane) * EIGHTHS + e] = result(r, e);
            }
        }
    }
}
