// score_blocks for one token: the formulas of score_blocks.wgsl, split over keys so that a large GPU is filled.
//
// Two dispatches. `lse_parts` leaves maximum and sum of exponentials of every tile of 64 keys and head; `scores` merges
// them (a few KB from cache) and handles 15 blocks with their 61 fine keys. At 128K tokens and 2 KV heads: 64 and 274
// workgroups. Floor: 1 + 4.2 MB of compressed keys read once, about 1 us on an H200; what counts is latency,
// so a workgroup makes one trip to memory (see key_dots).
//
// Host: src/ops/score_blocks.rs. Twin: src/reference/score_blocks.rs.
//
//#import numbers                     LOWEST, Eight
//#import key_dots                    key_dots, stage_q, key_rows
//#const  GROUP_SIZE QUADS HEADS GROUP HEAD_DIM SCALE MOST_EXPONENT BLOCK STRIDE LSE_STRIDE INIT_BLOCKS LOCAL_BLOCKS

const TILE_BLOCKS: u32 = 15u;
const FINE_PER_BLOCK: u32 = 4u;
const HEAD_TILES: u32 = (GROUP + TILE_HEADS - 1u) / TILE_HEADS;
const LANES_PER_HEAD: u32 = 16u; // GROUP_SIZE / TILE_HEADS

struct Params {
    position: u32,
    key_slots: u32,    // compressed keys that the bound tensor holds for each KV head
    parts: u32,        // tiles of the denominators' keys
    head_stride: u32,  // scores between two KV heads
}

@group(0) @binding(0) var<storage, read> q: array<vec4<u32>>;                   // (HEADS, HEAD_DIM / 8)
@group(0) @binding(1) var<storage, read> keys: array<vec4<u32>>;                // (kv_heads, key_slots, HEAD_DIM / 8)
@group(0) @binding(2) var<storage, read_write> lse_tiles: array<vec2<f32>>;     // (kv_heads, parts, GROUP)
@group(0) @binding(3) var<storage, read_write> block_scores: array<f32>;        // (kv_heads, blocks)
@group(0) @binding(4) var<uniform> params: Params;

// Compressed keys are f16 whatever the cache's format.
alias Cached = vec4<u32>;

fn unpack_cached(eight: Cached) -> Eight {
    return unpack_eight(eight);
}

var<workgroup> exchange: array<vec4<f32>, GROUP_SIZE>;
var<workgroup> merging: array<vec2<f32>, GROUP_SIZE>;
var<workgroup> head_lse: array<f32, TILE_HEADS>;
var<workgroup> key_scores: array<f32, TILE_KEYS>;

// Maximum and sum of exponentials of both.
fn merge(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let most = max(a.x, b.x);
    return vec2(most, a.y * exp(a.x - most) + b.y * exp(b.x - most));
}

// All parts of one head, which its 16 lanes left in `merging`.
fn merged(head: u32) -> vec2<f32> {
    var all = merging[head * LANES_PER_HEAD];
    for (var i = 1u; i < LANES_PER_HEAD; i++) {
        all = merge(all, merging[head * LANES_PER_HEAD + i]);
    }
    return all;
}

fn stage_heads(kv_head: u32, head_tile: u32, lane: u32) {
    let first = head_tile * TILE_HEADS;
    stage_q((kv_head * GROUP + first) * ROW, min(GROUP - first, TILE_HEADS), lane);
}

fn stage_rows(kv_head: u32, first_key: i32, end: u32, lane: u32) {
    if lane < TILE_KEYS {
        let key = u32(clamp(first_key + i32(lane), 0, i32(end) - 1));
        key_rows[lane] = kv_head * params.key_slots + key;
    }
}

// Workgroup: tile of 64 keys, KV head.
@compute @workgroup_size(GROUP_SIZE)
fn lse_parts(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let visible = (params.position + 1u) / LSE_STRIDE - 1u;
    let first = group.x * TILE_KEYS;
    stage_rows(group.y, i32(first), visible, lane);
    for (var head_tile = 0u; head_tile < HEAD_TILES; head_tile++) {
        workgroupBarrier();
        stage_heads(group.y, head_tile, lane);
        let dots = key_dots(lane) * SCALE;
        let seen = first + lane % TILE_KEYS < visible;
        exchange[lane] = select(vec4(LOWEST), dots, seen);
        workgroupBarrier();
        // From quads of heads by keys to 16 lanes for each head, 4 keys each.
        let head = lane / LANES_PER_HEAD;
        let at = head / 4u * TILE_KEYS + lane % LANES_PER_HEAD * 4u;
        var all = vec2(LOWEST, 0.0);
        for (var i = 0u; i < 4u; i++) {
            all = merge(all, vec2(exchange[at + i][head % 4u], 1.0));
        }
        merging[lane] = all;
        workgroupBarrier();
        let group_head = head_tile * TILE_HEADS + lane;
        if lane < TILE_HEADS && group_head < GROUP {
            // Keys past the last visible one count as exp(LOWEST - most), which is 0 beside any visible key.
            lse_tiles[(group.y * params.parts + group.x) * GROUP + group_head] = merged(lane);
        }
    }
}

// Workgroup: tile of 15 blocks, KV head.
@compute @workgroup_size(GROUP_SIZE)
fn scores(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_block = group.x * TILE_BLOCKS;
    let first_key = i32(first_block * FINE_PER_BLOCK) - 1;
    stage_rows(group.y, first_key, (params.position + 1u) / STRIDE - 1u, lane);
    var sum = 0.0;
    for (var head_tile = 0u; head_tile < HEAD_TILES; head_tile++) {
        workgroupBarrier();
        stage_heads(group.y, head_tile, lane);
        let head = head_tile * TILE_HEADS + lane / LANES_PER_HEAD;
        var all = vec2(LOWEST, 0.0);
        if head < GROUP {
            for (var part = lane % LANES_PER_HEAD; part < params.parts; part += LANES_PER_HEAD) {
                all = merge(all, lse_tiles[(group.y * params.parts + part) * GROUP + head]);
            }
        }
        merging[lane] = all;
        let dots = key_dots(lane) * SCALE;
        if lane < TILE_HEADS {
            let whole = merged(lane);
            head_lse[lane] = whole.x + log(max(whole.y, 1e-30));
        }
        workgroupBarrier();
        let quad = lane / TILE_KEYS * 4u;
        for (var i = 0u; i < 4u; i++) {
            if head_tile * TILE_HEADS + quad + i < GROUP {
                sum += exp(min(dots[i] - head_lse[quad + i], MOST_EXPONENT));
            }
        }
    }
    merging[lane] = vec2(sum, 0.0);
    workgroupBarrier();
    if lane < TILE_KEYS {
        var key_sum = merging[lane].x;
        for (var quad = 1u; quad < QUADS; quad++) {
            key_sum += merging[quad * TILE_KEYS + lane].x;
        }
        // Before the first key there is none.
        key_scores[lane] = select(key_sum, 0.0, first_key + i32(lane) < 0);
    }
    workgroupBarrier();
    let block = first_block + lane;
    let free_end = params.position / BLOCK + 1u - LOCAL_BLOCKS;
    if lane < TILE_BLOCKS && block >= INIT_BLOCKS && block < free_end {
        var most = key_scores[lane * FINE_PER_BLOCK];
        for (var i = 1u; i <= FINE_PER_BLOCK; i++) {
            most = max(most, key_scores[lane * FINE_PER_BLOCK + i]);
        }
        block_scores[group.y * params.head_stride + block] = most;
    }
}
