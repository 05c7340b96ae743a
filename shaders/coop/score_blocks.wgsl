enable f16;
enable wgpu_cooperative_matrix;
// score_blocks of a chunk with cooperative matrices: the formulas, tiles and two dispatches of score_blocks.wgsl.
//
// 64 rows (heads of neighbouring tokens) times 64 keys; each of four subgroups owns 16 rows, whose queries stay in
// registers, and takes keys straight from memory into matrices. Scores pass through workgroup memory for the
// exponentials. Floor at 128K tokens, 32 heads of 128: 5.5 TFLOP, 23 ms at 240 TFLOP/s, and 2e10 exponentials, 6 ms.
//
// Host: src/ops/score_blocks.rs. Twin: src/reference/score_blocks.rs.
//
//#import numbers                     LOWEST
//#const  M SUBGROUP HEADS GROUP HEAD_DIM DEPTHS SCALE MOST_EXPONENT BLOCK LSE_STRIDE INIT_BLOCKS LOCAL_BLOCKS
// GROUP is a multiple of M, key_slots at least M, 4 * LOCAL_BLOCKS at least M.

const LANES: u32 = 4u * SUBGROUP;
const ROWS: u32 = 64u;
const OWN_ROWS: u32 = 16u;                 // rows of a subgroup
const ROW_TILES: u32 = OWN_ROWS / M;
const KEYS: u32 = 64u;
const PITCH: u32 = KEYS + 4u;              // rows in different banks, matrices aligned to 16 bytes
const TILE_TOKENS: u32 = ROWS / GROUP;
const TILE_BLOCKS: u32 = 15u;
const FINE_PER_BLOCK: u32 = 4u;
// Two lanes share a row of scores; where there are fewer lanes, each takes several.
const ITEMS: u32 = 2u * OWN_ROWS;
const TURNS: u32 = (ITEMS + SUBGROUP - 1u) / SUBGROUP;

struct Params {
    start: u32,        // position of token 0
    tokens: u32,
    first_token: u32,  // tokens before it read every block
    key_slots: u32,    // compressed keys that the bound tensor holds for each KV head
    row_stride: u32,   // scores between two tokens
    head_stride: u32,  // scores between two KV heads
}

@group(0) @binding(0) var<storage, read> q: array<f16>;                    // (tokens, HEADS, HEAD_DIM)
@group(0) @binding(1) var<storage, read> keys: array<f16>;                 // (kv_heads, key_slots, HEAD_DIM)
@group(0) @binding(2) var<storage, read_write> lse_rows: array<f32>;       // (tokens, HEADS)
@group(0) @binding(3) var<storage, read_write> block_scores: array<f32>;   // (kv_heads, tokens, blocks)
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> tile: array<f32, ROWS * PITCH>;

// Rows past the last token repeat it; their results are not stored.
fn token_of(row: u32, token_tile: u32) -> u32 {
    let token = params.first_token + token_tile * TILE_TOKENS + min(row / GROUP, TILE_TOKENS - 1u);
    return min(token, params.tokens - 1u);
}

// First of the M keys that the matrix meant for `key` holds: the last M at the end of the memory.
fn matrix_key(key: u32) -> u32 {
    return min(key, params.key_slots - M);
}

// Scaled products of this subgroup's rows with 64 keys from `first_key` on, into `tile`.
fn products(token_tile: u32, kv_head: u32, first_key: u32, subgroup: u32) {
    for (var r = 0u; r < ROW_TILES; r++) {
        let row = subgroup * OWN_ROWS + r * M;
        let q_row = (token_of(row, token_tile) * HEADS + kv_head * GROUP + row % GROUP) * HEAD_DIM;
        // Matrices have names: an array of them would not stay in registers.
        //#repeat d DEPTHS
        let heads_@d = coopLoadT<coop_matMxM<f16, A>>(&q[q_row + @d * M], HEAD_DIM);
        //#end
        for (var n = 0u; n < KEYS; n += M) {
            let key_row = (kv_head * params.key_slots + matrix_key(first_key + n)) * HEAD_DIM;
            var sums: coop_matMxM<f32, C>;
            //#repeat d DEPTHS
            let key_@d = coopLoad<coop_matMxM<f16, B>>(&keys[key_row + @d * M], HEAD_DIM);
            sums = coopMultiplyAdd(heads_@d, key_@d, sums);
            //#end
            let at = row * PITCH + n;
            coopStoreT(sums, &tile[at], PITCH);
        }
    }
}

// Workgroup: tile of tokens, KV head.
@compute @workgroup_size(LANES)
fn lse(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let end = (params.start + token_of(ROWS - 1u, group.x) + 1u) / LSE_STRIDE - 1u;
    var most: array<f32, TURNS>;
    var sum: array<f32, TURNS>;
    for (var turn = 0u; turn < TURNS; turn++) {
        most[turn] = LOWEST;
        sum[turn] = 0.0;
    }
    for (var first = 0u; first < end; first += KEYS) {
        workgroupBarrier();
        products(group.x, group.y, first, subgroup);
        workgroupBarrier();
        for (var turn = 0u; turn < TURNS; turn++) {
            let item = min(sublane + turn * SUBGROUP, ITEMS - 1u);
            let row = subgroup * OWN_ROWS + item / 2u;
            let visible = (params.start + token_of(row, group.x) + 1u) / LSE_STRIDE - 1u;
            var larger = most[turn];
            for (var column = item % 2u; column < KEYS; column += 2u) {
                // A matrix at the end of the memory repeats keys of the one before it.
                let meant = first + column / M * M;
                let key = matrix_key(meant) + column % M;
                if key >= meant && key < visible {
                    larger = max(larger, tile[row * PITCH + column] * SCALE);
                }
            }
            var total = sum[turn] * exp(most[turn] - larger);
            for (var column = item % 2u; column < KEYS; column += 2u) {
                let meant = first + column / M * M;
                let key = matrix_key(meant) + column % M;
                if key >= meant && key < visible {
                    total += exp(tile[row * PITCH + column] * SCALE - larger);
                }
            }
            most[turn] = larger;
            sum[turn] = total;
        }
    }
    for (var turn = 0u; turn < TURNS; turn++) {
        let item = sublane + turn * SUBGROUP;
        let row = subgroup * OWN_ROWS + item / 2u;
        let other = subgroupShuffleXor(most[turn], 1u);
        let other_sum = subgroupShuffleXor(sum[turn], 1u);
        let larger = max(most[turn], other);
        let total = sum[turn] * exp(most[turn] - larger) + other_sum * exp(other - larger);
        let token = params.first_token + group.x * TILE_TOKENS + row / GROUP;
        if item < ITEMS && item % 2u == 0u && row < TILE_TOKENS * GROUP && token < params.tokens {
            lse_rows[token * HEADS + group.y * GROUP + row % GROUP] = larger + log(total);
        }
    }
}

// Workgroup: tile of blocks, tile of tokens, KV head.
@compute @workgroup_size(LANES)
fn scores(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let first_block = group.x * TILE_BLOCKS;
    let last_position = params.start + token_of(ROWS - 1u, group.y);
    if first_block + LOCAL_BLOCKS >= last_position / BLOCK + 1u {
        return; // No query of this tile may choose one of these blocks.
    }
    // The first tile has no key before its first block.
    let before = select(1u, 0u, first_block == 0u);
    products(group.y, group.z, first_block * FINE_PER_BLOCK - before, subgroup);
    workgroupBarrier();
    // Sum over the heads of a token into the row of its first head; each item stays with one lane.
    for (var item = lane; item < TILE_TOKENS * KEYS; item += LANES) {
        let column = item % KEYS;
        let row = item / KEYS * GROUP;
        let norms = token_of(row, group.y) * HEADS + group.z * GROUP;
        var sum = 0.0;
        for (var head = 0u; head < GROUP; head++) {
            let score = tile[(row + head) * PITCH + column] * SCALE;
            sum += exp(min(score - lse_rows[norms + head], MOST_EXPONENT));
        }
        tile[row * PITCH + column] = sum;
    }
    workgroupBarrier();
    for (var item = lane; item < TILE_TOKENS * TILE_BLOCKS; item += LANES) {
        let block = first_block + item % TILE_BLOCKS;
        let token = params.first_token + group.y * TILE_TOKENS + item / TILE_BLOCKS;
        let free_end = (params.start + token) / BLOCK + 1u - LOCAL_BLOCKS;
        if token < params.tokens && block >= INIT_BLOCKS && block < free_end {
            // Column of the block's first own key; the one before it belongs to it too.
            let own = item % TILE_BLOCKS * FINE_PER_BLOCK + before;
            let row = item / TILE_BLOCKS * GROUP * PITCH;
            var most = 0.0;
            for (var column = max(own, 1u) - 1u; column < own + FINE_PER_BLOCK; column++) {
                most = max(most, tile[row + column]);
            }
            block_scores[group.z * params.head_stride + token * params.row_stride + block] = most;
        }
    }
}
