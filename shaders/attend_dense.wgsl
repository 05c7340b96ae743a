// attend_dense: softmax attention of every query over all keys at or before it.
//
//     out[t, h] = sum over p <= start + t of softmax_p(q[t, h] . k[p] / sqrt(d)) v[p]     with KV head h / GROUP
//
// `prefill`: a workgroup takes ROWS rows (token, head of the group) of one KV head and walks over the keys.
// `split`: one token; a workgroup per KV head and run of `keys_per_split` keys leaves its maximum, total and weighted sum for
// attend_merge.wgsl. Prefill is bound by arithmetic, decoding by reading the cache.
// Host: src/ops/attend_dense.rs. Twin: src/reference/attend_dense.rs.
//
//#import attend_tile
//#const  HEADS KV_HEADS HEAD_DIM ROWS TILE_KEYS

struct Params {
    tokens: u32,
    start: u32,    // position of the first token
    capacity: u32, // positions of the cache
    keys_per_split: u32,
    splits: u32,
}

@group(0) @binding(0) var<storage, read> queries: array<vec4<u32>>;     // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(4) var<storage, read_write> partial: array<f32>;     // (HEADS, splits, HEAD_DIM + 4)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<u32>>;   // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(6) var<uniform> params: Params;

const GROUP: u32 = HEADS / KV_HEADS;
const PARTIAL: u32 = HEAD_DIM + 4u; // values, maximum, total

// Rows are numbered token by token; those past the last token repeat nothing and see no key.
fn load_rows(lane: u32, kv_head: u32, first: u32) {
    for (var i = lane; i < ROWS * EIGHTHS; i += LANES) {
        let row = first + i / EIGHTHS;
        let head = kv_head * GROUP + row % GROUP;
        var eight = vec4(0u);
        if row < params.tokens * GROUP {
            eight = queries[((row / GROUP) * HEADS + head) * EIGHTHS + i % EIGHTHS];
        }
        query_tile[i] = eight;
    }
    if lane < ROWS {
        let row = first + lane;
        row_limit[lane] = select(-1, i32(params.start + row / GROUP), row < params.tokens * GROUP);
    }
}

@compute @workgroup_size(128)
fn prefill(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = group.y;
    let first = group.x * ROWS;
    load_rows(lane, kv_head, first);
    begin(lane);
    let last_token = min((first + ROWS - 1u) / GROUP, params.tokens - 1u);
    let end = params.start + last_token + 1u;
    for (var position = 0u; position < end; position += TILE_KEYS) {
        attend_tile(lane, kv_head * params.capacity + position, position, min(TILE_KEYS, end - position));
    }
    let row = (lane / EIGHTHS) * ROWS_PER_LANE;
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
        let index = first + row + r;
        if row + r < ROWS && index < params.tokens * GROUP {
            let head = kv_head * GROUP + index % GROUP;
            out[((index / GROUP) * HEADS + head) * EIGHTHS + lane % EIGHTHS] = pack_eight(sums[r], row_total[row + r]);
        }
    }
}

fn pack_eight(sum: Eight, total: f32) -> vec4<u32> {
    let low = sum.low / total;
    let high = sum.high / total;
    return vec4(pack_half(low.xy), pack_half(low.zw), pack_half(high.xy), pack_half(high.zw));
}

@compute @workgroup_size(128)
fn split(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Groups of more than ROWS heads take several workgroups.
    let kv_head = group.y;
    let first = group.z * ROWS;
    load_rows(lane, kv_head, first);
    begin(lane);
    let end = min((group.x + 1u) * params.keys_per_split, params.start + 1u);
    for (var position = group.x * params.keys_per_split; position < end; position += TILE_KEYS) {
        attend_tile(lane, kv_head * params.capacity + position, position, min(TILE_KEYS, end - position));
    }
    let row = (lane / EIGHTHS) * ROWS_PER_LANE;
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
        if row + r < ROWS && first + row + r < GROUP {
            let base = ((kv_head * GROUP + first + row + r) * params.splits + group.x) * PARTIAL;
            if lane % EIGHTHS == 0u {
                partial[base + HEAD_DIM] = row_max[row + r];
                partial[base + HEAD_DIM + 1u] = row_total[row + r];
            }
            for (var i = 0u; i < 4u; i++) {
                partial[base + (lane % EIGHTHS) * 8u + i] = sums[r].low[i];
                partial[base + (lane % EIGHTHS) * 8u + 4u + i] = sums[r].high[i];
            }
        }
    }
}
