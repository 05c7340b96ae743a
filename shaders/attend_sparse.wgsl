// attend_sparse: one softmax over the tokens of the selected blocks that lie at or before the query.
//
//     out[t, h] = sum_i w_i values[g, i] / sum_i w_i,   w_i = exp(q[t, h] . keys[g, i] * SCALE),   i in blocks(t, g), i <= t
//
// The list is ascending and ends with the query's own block, so the tokens to read are the first `total` slots of the
// list, with no mask: slot s is token s % BLOCK of block ids[s / BLOCK]. A workgroup takes 64 slots at a time for up to 16
// heads of a group, which share every key and value that is loaded. `prefill` walks all slots with a running maximum, a
// workgroup per token and KV head; `decode` takes one tile per workgroup and leaves sums for attend_merge.wgsl:
// 96 x 2 workgroups for the 8B shape, which read 6.3 MB, 1.5 us at an H200's rate.
//
// Floor of prefill at 128K tokens, 32 heads of 128: 13 TFLOP and 0.8 TB of keys and values, which only caches can serve;
// this form has 16 products per loaded value and no matrix units. The cooperative form is coop/attend_sparse.wgsl.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import numbers                     LOWEST, pack_half
//#import cache                       keys, value_pair, key_scale, value_scale
//#import key_dots                    key_dots, stage_q, key_rows
//#const  GROUP_SIZE QUADS HEADS GROUP HEAD_DIM SCALE BLOCK BUDGET

const HEAD_TILES: u32 = (GROUP + TILE_HEADS - 1u) / TILE_HEADS;
const KV_HEADS: u32 = HEADS / GROUP;
const COLUMNS: u32 = HEAD_DIM / 2u;      // pairs of values, one per lane of a quad
const LANES_PER_HEAD: u32 = 16u;         // GROUP_SIZE / TILE_HEADS
const PARTIAL: u32 = HEAD_DIM + 4u;      // weighted values, maximum, sum of weights

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tiles: u32,      // decode: workgroups over the slots
}

@group(0) @binding(0) var<storage, read> q: array<vec4<u32>>;                // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(4) var<storage, read> ids: array<u32>;                    // (tokens, kv_heads, BUDGET)
@group(0) @binding(5) var<storage, read_write> out: array<u32>;              // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;         // (HEADS, tiles, PARTIAL)
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> weights: array<vec4<f32>, GROUP_SIZE>;
var<workgroup> part_most: array<f32, GROUP_SIZE>;
var<workgroup> tile_most: array<f32, TILE_HEADS>;

// What a lane has gathered: its quad's maximum and sum of weights, and the weighted sums of its pair of values.
struct Running {
    most: vec4<f32>,
    sum: vec4<f32>,
    even: vec4<f32>,
    odd: vec4<f32>,
}

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    let last = position / BLOCK;
    return min(last, BUDGET - 1u) * BLOCK + position % BLOCK + 1u;
}

fn stage_rows(list: u32, kv_head: u32, first: u32, total: u32, lane: u32) {
    if lane < TILE_KEYS {
        let slot = min(first + lane, total - 1u);
        let token = ids[list + slot / BLOCK] * BLOCK + slot % BLOCK;
        key_rows[lane] = kv_head * params.capacity + token;
    }
}

// Adds the 64 slots from `first` on, whose rows and heads are staged.
fn add_tile(before: Running, first: u32, total: u32, lane: u32) -> Running {
    let dots = key_dots(lane) * (SCALE * key_scale(key_rows[lane % TILE_KEYS]));
    let quad = lane / TILE_KEYS;
    let seen = first + lane % TILE_KEYS < total;
    weights[lane] = select(vec4(LOWEST), dots, seen);
    workgroupBarrier();
    // 16 lanes for each head, 4 keys each, then one lane for each head.
    let head = lane / LANES_PER_HEAD;
    let at = head / 4u * TILE_KEYS + lane % LANES_PER_HEAD * 4u;
    var most = weights[at][head % 4u];
    for (var i = 1u; i < 4u; i++) {
        most = max(most, weights[at + i][head % 4u]);
    }
    part_most[lane] = most;
    workgroupBarrier();
    if lane < TILE_HEADS {
        most = part_most[lane * LANES_PER_HEAD];
        for (var i = 1u; i < LANES_PER_HEAD; i++) {
            most = max(most, part_most[lane * LANES_PER_HEAD + i]);
        }
        tile_most[lane] = most;
    }
    workgroupBarrier();
    var now = before;
    let of_quad = quad * 4u;
    now.most = max(
        before.most,
        vec4(tile_most[of_quad], tile_most[of_quad + 1u], tile_most[of_quad + 2u], tile_most[of_quad + 3u]),
    );
    weights[lane] = select(vec4(0.0), exp(dots - now.most), seen);
    workgroupBarrier();
    let factor = exp(before.most - now.most);
    now.sum *= factor;
    now.even *= factor;
    now.odd *= factor;
    let column = lane % TILE_KEYS;
    if column < COLUMNS {
        // Sixteen values are on their way at a time: one after the other they would wait for memory 64 times.
        for (var first_key = 0u; first_key < TILE_KEYS; first_key += 16u) {
            //#repeat K 16
            let row@K = key_rows[first_key + @Ku];
            let value@K = value_pair(row@K, column) * value_scale(row@K);
            //#end
            //#repeat K 16
            let weight@K = weights[quad * TILE_KEYS + first_key + @Ku];
            now.sum += weight@K;
            now.even += weight@K * value@K.x;
            now.odd += weight@K * value@K.y;
            //#end
        }
    }
    return now;
}

// Workgroup: token, tile of heads.
@compute @workgroup_size(GROUP_SIZE)
fn prefill(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = group.y / HEAD_TILES;
    let first_head = group.y % HEAD_TILES * TILE_HEADS;
    let total = slots(params.start + group.x);
    let q_head = group.x * HEADS + kv_head * GROUP + first_head;
    stage_q(q_head * ROW, min(GROUP - first_head, TILE_HEADS), lane);
    var running = Running(vec4(LOWEST), vec4(0.0), vec4(0.0), vec4(0.0));
    for (var first = 0u; first < total; first += TILE_KEYS) {
        workgroupBarrier();
        stage_rows((group.x * KV_HEADS + kv_head) * BUDGET, kv_head, first, total, lane);
        running = add_tile(running, first, total, lane);
    }
    let column = lane % TILE_KEYS;
    let quad = lane / TILE_KEYS;
    for (var i = 0u; i < 4u; i++) {
        let head = quad * 4u + i;
        if column < COLUMNS && first_head + head < GROUP {
            let pair = vec2(running.even[i], running.odd[i]) / running.sum[i];
            out[(q_head + head) * COLUMNS + column] = pack_half(pair);
        }
    }
}

// Workgroup: 64 slots, tile of heads.
@compute @workgroup_size(GROUP_SIZE)
fn decode(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = group.y / HEAD_TILES;
    let first_head = group.y % HEAD_TILES * TILE_HEADS;
    let total = slots(params.start);
    let q_head = kv_head * GROUP + first_head;
    stage_q(q_head * ROW, min(GROUP - first_head, TILE_HEADS), lane);
    stage_rows(kv_head * BUDGET, kv_head, group.x * TILE_KEYS, total, lane);
    let empty = Running(vec4(LOWEST), vec4(0.0), vec4(0.0), vec4(0.0));
    let running = add_tile(empty, group.x * TILE_KEYS, total, lane);
    let column = lane % TILE_KEYS;
    let quad = lane / TILE_KEYS;
    for (var i = 0u; i < 4u; i++) {
        let head = quad * 4u + i;
        if column < COLUMNS && first_head + head < GROUP {
            let at = ((q_head + head) * params.tiles + group.x) * PARTIAL;
            partials[at + column * 2u] = running.even[i];
            partials[at + column * 2u + 1u] = running.odd[i];
            if column == 0u {
                partials[at + HEAD_DIM] = running.most[i];
                partials[at + HEAD_DIM + 1u] = running.sum[i];
            }
        }
    }
}
