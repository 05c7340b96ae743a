// attend_dense for drivers that run shaders on the processor: softmax attention of every query over all keys at or before it.
//
//     out[t, h] = sum over p <= start + t of softmax_p(q[t, h] . k[p] / sqrt(d)) v[p]     with KV head h / GROUP
//
// A lane has ROWS rows (token, head of the group) and walks over the keys by itself. On two processors 1.0 GFLOP/s became 8 to
// 10 with Mesa 22, 4.8 became 13 to 26 with Mesa 26. More rows for each lane would be faster still, and the driver's compiler
// takes as many times longer.
// Host: src/ops/attend_dense.rs. Twin: src/reference/attend_dense.rs.
//
//#import attend_rows                begin, attend_key, result
//#const  HEADS KV_HEADS ROWS LANES

struct Params {
    tokens: u32,
    start: u32,    // position of the first token
    capacity: u32, // positions of the cache
    keys_per_split: u32,
    splits: u32,
}

@group(0) @binding(5) var<storage, read_write> out: array<vec4<u32>>;   // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(6) var<uniform> params: Params;

const GROUP: u32 = HEADS / KV_HEADS;

// Rows are numbered token by token.
fn place_of(row: u32, kv_head: u32) -> u32 {
    return ((row / GROUP) * HEADS + kv_head * GROUP + row % GROUP) * EIGHTHS;
}

@compute @workgroup_size(LANES)
fn prefill(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let kv_head = group.y;
    let first = group.x * ROWS * LANES + lane;
    let rows = params.tokens * GROUP;
    for (var r = 0u; r < ROWS; r++) {
        // Lanes without a row do the last one's work.
        let row = min(first + r * LANES, rows - 1u);
        begin(r, place_of(row, kv_head), params.start + row / GROUP);
    }
    let last_row = min((group.x + 1u) * ROWS * LANES, rows) - 1u;
    for (var position = 0u; position <= params.start + last_row / GROUP; position++) {
        attend_key(lane, kv_head * params.capacity + position, position);
    }
    for (var r = 0u; r < ROWS; r++) {
        if first + r * LANES < rows {
            for (var e = 0u; e < EIGHTHS; e++) {
                out[place_of(first + r * LANES, kv_head) + e] = result(r, e);
            }
        }
    }
}
