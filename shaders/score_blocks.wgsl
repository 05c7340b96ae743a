// score_blocks: how much each block matters to each query of a chunk, from compressed keys.
//
//     lse[t, h]       = ln sum_j exp(q[t, h] . keys[g, j] * SCALE)             over the visible coarse (or fine) keys
//     score[t, g, j]  = sum_{h in g} exp(q[t, h] . fine[g, j] * SCALE - lse[t, h])
//     scores[g, t, b] = max of score[t, g, 4b-1 .. 4b+3]
//
// Two dispatches: `lse`, then `scores`, which keeps the fine scores in shared memory and writes a quarter as many block
// scores. Only blocks that a query may choose are written, and only tiles that hold such queries run.
//
// Rows of a tile are the heads of neighbouring tokens, 64 in all; columns are 64 keys, so a staged value serves 64
// products and a lane holds 4 x 4 sums. The 61 fine keys of 15 blocks, each with the key before it, fill 64 columns: no
// key is shared between tiles. Per layer of 32 heads of 128 at n tokens: n^2/2 * (1/16 + 1/64) * 4096 multiply-adds;
// the keys come from cache. Half of one percent of dense attention's bytes, so arithmetic is the floor.
//
// Host: src/ops/score_blocks.rs. Twin: src/reference/score_blocks.rs. One token: score_blocks_decode.wgsl.
//
//#import numbers                     LOWEST, unpack_eight
//#const  HEADS GROUP HEAD_DIM SCALE MOST_EXPONENT BLOCK LSE_STRIDE INIT_BLOCKS LOCAL_BLOCKS
//#const  PITCH    values from row to row: 65, so that neither rows nor columns meet in one bank, or 64 to fit in 16 KiB

const ROWS: u32 = 64u;
const TILE_TOKENS: u32 = ROWS / GROUP;
const TILE_BLOCKS: u32 = 15u;
const FINE_PER_BLOCK: u32 = 4u;
const DEPTH: u32 = 32u; // dimensions staged at a time

struct Params {
    start: u32,        // position of token 0
    tokens: u32,
    first_token: u32,  // tokens before it read every block
    key_slots: u32,    // compressed keys that the bound tensor holds for each KV head
    row_stride: u32,   // scores between two tokens
    head_stride: u32,  // scores between two KV heads
}

@group(0) @binding(0) var<storage, read> q: array<vec4<u32>>;              // (tokens, HEADS, HEAD_DIM / 8)
@group(0) @binding(1) var<storage, read> keys: array<vec4<u32>>;           // (kv_heads, key_slots, HEAD_DIM / 8)
@group(0) @binding(2) var<storage, read_write> lse_rows: array<f32>;       // (tokens, HEADS)
@group(0) @binding(3) var<storage, read_write> block_scores: array<f32>;   // (kv_heads, tokens, blocks)
@group(0) @binding(4) var<uniform> params: Params;

// First both operands of a product, later the tile's exponentials.
var<workgroup> shared_tile: array<f32, ROWS * PITCH>;

// Rows past the last token repeat it; their results are not stored.
fn token_of(row: u32, tile: u32) -> u32 {
    let token = params.first_token + tile * TILE_TOKENS + min(row / GROUP, TILE_TOKENS - 1u);
    return min(token, params.tokens - 1u);
}

// Products of this lane's rows (y + 16 i) with its keys (x + 16 j); `first_key` may be -1.
fn products(tile: u32, kv_head: u32, first_key: i32, lane: u32) -> mat4x4<f32> {
    let x = lane % 16u;
    let y = lane / 16u;
    let row = lane / 4u;
    let part = lane % 4u;
    let head = kv_head * GROUP + row % GROUP;
    let q_row = (token_of(row, tile) * HEADS + head) * (HEAD_DIM / 8u);
    let key = u32(clamp(first_key + i32(row), 0, i32(params.key_slots) - 1));
    let key_row = (kv_head * params.key_slots + key) * (HEAD_DIM / 8u);
    var sums = mat4x4<f32>();
    for (var depth = 0u; depth < HEAD_DIM; depth += DEPTH) {
        let from_q = unpack_eight(q[q_row + depth / 8u + part]);
        let from_key = unpack_eight(keys[key_row + depth / 8u + part]);
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) {
            let low = (part * 8u + i) * PITCH + row;
            let high = low + 4u * PITCH;
            shared_tile[low] = from_q.low[i];
            shared_tile[high] = from_q.high[i];
            shared_tile[DEPTH * PITCH + low] = from_key.low[i];
            shared_tile[DEPTH * PITCH + high] = from_key.high[i];
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let at = d * PITCH + y;
            let key_at = (DEPTH + d) * PITCH + x;
            let rows = vec4(shared_tile[at], shared_tile[at + 16u], shared_tile[at + 32u], shared_tile[at + 48u]);
            sums[0] += rows * shared_tile[key_at];
            sums[1] += rows * shared_tile[key_at + 16u];
            sums[2] += rows * shared_tile[key_at + 32u];
            sums[3] += rows * shared_tile[key_at + 48u];
        }
    }
    workgroupBarrier();
    return sums;
}

// Workgroup: tile of tokens, KV head.
@compute @workgroup_size(256)
fn lse(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let x = lane % 16u;
    let y = lane / 16u;
    var visible = vec4(0u);
    for (var i = 0u; i < 4u; i++) {
        visible[i] = (params.start + token_of(y + 16u * i, group.x) + 1u) / LSE_STRIDE - 1u;
    }
    let end = (params.start + token_of(ROWS - 1u, group.x) + 1u) / LSE_STRIDE - 1u;
    // Each lane keeps maximum and sum over its own columns; they meet at the end.
    var most = vec4(LOWEST);
    var sum = vec4(0.0);
    for (var first = 0u; first < end; first += ROWS) {
        var tile = products(group.x, group.y, i32(first), lane) * SCALE;
        for (var j = 0u; j < 4u; j++) {
            let seen = vec4(first + x + 16u * j) < visible;
            let value = select(vec4(LOWEST), tile[j], seen);
            let larger = max(most, value);
            sum = sum * exp(most - larger) + select(vec4(0.0), exp(value - larger), seen);
            most = larger;
        }
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
        let at = (y + 16u * i) * 32u + x * 2u;
        shared_tile[at] = most[i];
        shared_tile[at + 1u] = sum[i];
    }
    workgroupBarrier();
    let token = params.first_token + group.x * TILE_TOKENS + lane / GROUP;
    if lane < TILE_TOKENS * GROUP && token < params.tokens {
        var row_most = LOWEST;
        for (var i = 0u; i < 16u; i++) {
            row_most = max(row_most, shared_tile[lane * 32u + i * 2u]);
        }
        var row_sum = 0.0;
        for (var i = 0u; i < 16u; i++) {
            row_sum += shared_tile[lane * 32u + i * 2u + 1u] * exp(shared_tile[lane * 32u + i * 2u] - row_most);
        }
        lse_rows[token * HEADS + group.y * GROUP + lane % GROUP] = row_most + log(row_sum);
    }
}

// Workgroup: tile of blocks, tile of tokens, KV head.
@compute @workgroup_size(256)
fn scores(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_block = group.x * TILE_BLOCKS;
    let last_position = params.start + token_of(ROWS - 1u, group.y);
    if first_block + LOCAL_BLOCKS >= last_position / BLOCK + 1u {
        return; // No query of this tile may choose one of these blocks.
    }
    let first_key = i32(first_block * FINE_PER_BLOCK) - 1;
    var sums = products(group.y, group.z, first_key, lane) * SCALE;
    let x = lane % 16u;
    let y = lane / 16u;
    for (var i = 0u; i < 4u; i++) {
        let row = y + 16u * i;
        let norm = lse_rows[token_of(row, group.y) * HEADS + group.z * GROUP + row % GROUP];
        for (var j = 0u; j < 4u; j++) {
            shared_tile[row * PITCH + x + 16u * j] = exp(min(sums[j][i] - norm, MOST_EXPONENT));
        }
    }
    workgroupBarrier();
    // Sum over the heads of a token into the row of its first head; each item stays with one lane.
    for (var item = lane; item < TILE_TOKENS * ROWS; item += 256u) {
        let column = item % ROWS;
        let row = item / ROWS * GROUP;
        var sum = 0.0;
        for (var head = 0u; head < GROUP; head++) {
            sum += shared_tile[(row + head) * PITCH + column];
        }
        // Before the first key there is none.
        shared_tile[row * PITCH + column] = select(sum, 0.0, first_key + i32(column) < 0);
    }
    workgroupBarrier();
    for (var item = lane; item < TILE_TOKENS * TILE_BLOCKS; item += 256u) {
        let block = first_block + item % TILE_BLOCKS;
        let token = params.first_token + group.y * TILE_TOKENS + item / TILE_BLOCKS;
        let free_end = (params.start + token) / BLOCK + 1u - LOCAL_BLOCKS;
        if token < params.tokens && block >= INIT_BLOCKS && block < free_end {
            let at = item / TILE_BLOCKS * GROUP * PITCH + item % TILE_BLOCKS * FINE_PER_BLOCK;
            var most = shared_tile[at];
            for (var i = 1u; i <= FINE_PER_BLOCK; i++) {
                most = max(most, shared_tile[at + i]);
            }
            block_scores[group.z * params.head_stride + token * params.row_stride + block] = most;
        }
    }
}
