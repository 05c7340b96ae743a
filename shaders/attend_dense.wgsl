// attend_dense: softmax attention of every query over all keys at or before it.
//
//     out[t, h] = sum over p <= start + t of softmax_p(q[t, h] . k[p] / sqrt(d)) v[p]     with KV head h / GROUP
//
// `prefill`: a workgroup takes ROWS rows (token, head of the group) of one KV head and walks over the keys.
// `split` and `merge`: one token; a workgroup per KV head and run of `keys_per_split` keys leaves its maximum, total and
// weighted sum, which `merge` joins, a workgroup per head. Prefill is bound by arithmetic, decoding by reading the cache.
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
@group(0) @binding(4) var<storage, read_write> partial: array<f32>;     // (HEADS, splits, HEAD_DIM + 2)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<u32>>;   // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(6) var<uniform> params: Params;

const GROUP: u32 = HEADS / KV_HEADS;
const PARTIAL: u32 = HEAD_DIM + 2u;
const RUNS: u32 = LANES / EIGHTHS;

var<workgroup> run_total: array<f32, LANES>;
var<workgroup> run_sum: array<Eight, LANES>;

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
                partial[base] = row_max[row + r];
                partial[base + 1u] = row_total[row + r];
            }
            for (var i = 0u; i < 4u; i++) {
                partial[base + 2u + (lane % EIGHTHS) * 8u + i] = sums[r].low[i];
                partial[base + 6u + (lane % EIGHTHS) * 8u + i] = sums[r].high[i];
            }
        }
    }
}

@compute @workgroup_size(128)
fn merge(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = group.x * params.splits * PARTIAL;
    var largest = LOWEST;
    for (var i = lane; i < params.splits; i += LANES) {
        largest = max(largest, partial[base + i * PARTIAL]);
    }
    parts[lane] = largest;
    workgroupBarrier();
    var maximum = LOWEST;
    for (var i = 0u; i < min(LANES, params.splits); i++) {
        maximum = max(maximum, parts[i]);
    }
    // Runs of lanes take every so many splits each; the last lanes may be too few for a run.
    let part = lane / EIGHTHS;
    let eighth = lane % EIGHTHS;
    var total = 0.0;
    var sum = Eight(vec4(0.0), vec4(0.0));
    for (var i = part; part < RUNS && i < params.splits; i += RUNS) {
        let at = base + i * PARTIAL;
        let weight = exp(max(partial[at] - maximum, -80.0));
        let first = at + 2u + eighth * 8u;
        total += weight * partial[at + 1u];
        sum.low += weight * vec4(partial[first], partial[first + 1u], partial[first + 2u], partial[first + 3u]);
        sum.high += weight * vec4(partial[first + 4u], partial[first + 5u], partial[first + 6u], partial[first + 7u]);
    }
    run_total[lane] = total;
    run_sum[lane] = sum;
    workgroupBarrier();
    if lane >= EIGHTHS {
        return;
    }
    for (var i = 1u; i < RUNS; i++) {
        let other = i * EIGHTHS + lane;
        total += run_total[other];
        sum.low += run_sum[other].low;
        sum.high += run_sum[other].high;
    }
    out[group.x * EIGHTHS + lane] = pack_eight(sum, total);
}
