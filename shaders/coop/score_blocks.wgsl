enable f16;
enable wgpu_cooperative_matrix;
// score_blocks of a chunk with cooperative matrices: the formulas and the two dispatches of score_blocks.wgsl.
//
// A workgroup of four subgroups owns the heads of neighbouring tokens as rows; each subgroup keeps the queries of its
// OWN_TILES * M rows in registers while the keys pass by, KEYS of them staged in workgroup memory at a time. Scores pass
// through workgroup memory for the exponentials, half of the keys at a time. Where scores of blocks are wanted, a
// workgroup walks SPAN keys from the one before its first block on, so that 127 blocks share 512 keys.
//
// Floor at 128K tokens, 32 heads of 128: 5.5 TFLOP, 23 ms at 240 TFLOP/s, and 2e10 exponentials, 6 ms. An H100 takes 38: 8 + 31.
// Of the 31, products alone take 11; what is left waits, so little memory and several workgroups at once are worth more than
// few barriers: twice the keys and columns at a time, 41 KB instead of 24, take 10 + 33; half of these keys 9 + 36; all columns
// of these keys at once 11 + 40. Keys fetched ahead into registers cost more than they gave.
//
// Host: src/ops/score_blocks.rs. Twin: src/reference/score_blocks.rs.
//
//#import numbers                     LOWEST
//#const  M SUBGROUP OWN_TILES HEADS GROUP HEAD_DIM DEPTHS SCALE MOST_EXPONENT BLOCK LSE_STRIDE INIT_BLOCKS LOCAL_BLOCKS
//#const  SCORE_LOADS COLUMN_TILES
// GROUP is a multiple of M, 4 * OWN_TILES * M of GROUP; SCORE_LOADS = KEYS * HEAD_DIM / 16 / SUBGROUP;
// COLUMN_TILES = HALF / M.

const LANES: u32 = 4u * SUBGROUP;
const OWN_ROWS: u32 = OWN_TILES * M;       // rows of a subgroup
const ROWS: u32 = 4u * OWN_ROWS;
const KEYS: u32 = 32u;                     // staged at a time
const HALF: u32 = 16u;                     // whose scores are in memory at a time
const VECS: u32 = HEAD_DIM / 4u;
const PITCH: u32 = VECS + 2u;              // rows in different banks, matrices aligned to 16 bytes
const FOURS: u32 = HALF / 4u;
const SCORE_PITCH: u32 = FOURS + 2u;       // in fours, like PITCH
const TILE_TOKENS: u32 = ROWS / GROUP;
const SUMS: u32 = TILE_TOKENS * (KEYS + 1u);
const FINE_PER_BLOCK: u32 = 4u;
const TILE_BLOCKS: u32 = KEYS / FINE_PER_BLOCK;
const SPAN: u32 = 512u;                    // keys of a workgroup
const SPAN_BLOCKS: u32 = SPAN / FINE_PER_BLOCK - 1u;
const TURNS: u32 = (ROWS + LANES - 1u) / LANES;

struct Params {
    start: u32,        // position of token 0
    tokens: u32,
    first_token: u32,  // tokens before it read every block
    key_slots: u32,    // compressed keys that the bound tensor holds for each KV head
    row_stride: u32,   // scores between two tokens
    head_stride: u32,  // scores between two KV heads
}

@group(0) @binding(0) var<storage, read> q: array<f16>;                    // (tokens, HEADS, HEAD_DIM)
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;           // (kv_heads, key_slots, HEAD_DIM / 4) fours
@group(0) @binding(2) var<storage, read_write> lse_rows: array<f32>;       // (tokens, HEADS)
@group(0) @binding(3) var<storage, read_write> block_scores: array<f32>;   // (kv_heads, tokens, blocks)
@group(0) @binding(4) var<uniform> params: Params;

// One structure, because that places it: a matrix is loaded from addresses that are multiples of 16 bytes, four halves need
// only 8, and four floats pull all of it to 16. (A driver that was given less read wrong numbers.)
struct Memory {
    tile: array<vec4<f32>, ROWS * SCORE_PITCH>,
    staged: array<vec4<f16>, KEYS * PITCH>,
}
var<workgroup> memory: Memory;
// Exponentials summed over half of a token's heads, then over the other half; behind each row the largest of the last block
// of the keys before.
var<workgroup> sums: array<f32, 2u * SUMS>;
var<workgroup> norms: array<f32, ROWS>;

// Rows past the last token repeat it; their results are not stored.
fn token_of(row: u32, token_tile: u32) -> u32 {
    let token = params.first_token + token_tile * TILE_TOKENS + min(row / GROUP, TILE_TOKENS - 1u);
    return min(token, params.tokens - 1u);
}

// Keys from the one before `after` on; past either end the last one again.
fn stage(kv_head: u32, after: u32, lane: u32) {
    //#repeat i SCORE_LOADS
    let row_@i = (lane + @i * LANES) / VECS;
    let column_@i = (lane + @i * LANES) % VECS;
    let from_@i = kv_head * params.key_slots + min(max(after + row_@i, 1u), params.key_slots) - 1u;
    let four_@i = keys[from_@i * VECS + column_@i];
    //#end
    //#repeat i SCORE_LOADS
    memory.staged[row_@i * PITCH + column_@i] = four_@i;
    //#end
}

// Workgroup: tile of tokens, KV head.
@compute @workgroup_size(LANES)
fn lse(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    // Matrices have names: an array of them would not stay in registers.
    //#repeat r OWN_TILES
    let row_@r = subgroup * OWN_ROWS + @r * M;
    let q_row_@r = (token_of(row_@r, group.x) * HEADS + group.y * GROUP + row_@r % GROUP) * HEAD_DIM;
    //#repeat d DEPTHS
    let heads_@r_@d = coopLoadT<coop_matMxM<f16, A>>(&q[q_row_@r + @d * M], HEAD_DIM);
    //#end
    //#end
    let end = (params.start + token_of(ROWS - 1u, group.x) + 1u) / LSE_STRIDE - 1u;
    var most: array<f32, TURNS>;
    var sum: array<f32, TURNS>;
    for (var turn = 0u; turn < TURNS; turn++) {
        most[turn] = LOWEST;
        sum[turn] = 0.0;
    }
    for (var first = 0u; first < end; first += KEYS) {
        stage(group.y, first + 1u, lane);
        workgroupBarrier();
        for (var half = 0u; half < KEYS; half += HALF) {
            //#repeat n COLUMN_TILES
            //#repeat r OWN_TILES
            var products_@n_@r: coop_matMxM<f32, C>;
            //#end
            //#repeat d DEPTHS
            let key_at_@n_@d = (half + @n * M) * PITCH + @d * M / 4u;
            let key_@n_@d = coopLoad<coop_matMxM<f16, B>>(&memory.staged[key_at_@n_@d], PITCH);
            //#repeat r OWN_TILES
            products_@n_@r = coopMultiplyAdd(heads_@r_@d, key_@n_@d, products_@n_@r);
            //#end
            //#end
            //#repeat r OWN_TILES
            let at_@n_@r = row_@r * SCORE_PITCH + @n * M / 4u;
            coopStoreT(products_@n_@r, &memory.tile[at_@n_@r], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            for (var turn = 0u; turn < TURNS; turn++) {
                let row = min(lane + turn * LANES, ROWS - 1u);
                let visible = (params.start + token_of(row, group.x) + 1u) / LSE_STRIDE - 1u;
                let here = max(visible, first + half) - first - half;
                var largest = vec4(LOWEST);
                //#repeat i 4
                let seen_@i = vec4(@iu * 4u) + vec4(0u, 1u, 2u, 3u) < vec4(here);
                let score_@i = select(vec4(LOWEST), memory.tile[row * SCORE_PITCH + @i] * SCALE, seen_@i);
                largest = max(largest, score_@i);
                //#end
                let larger = max(most[turn], max(max(largest.x, largest.y), max(largest.z, largest.w)));
                var four = vec4(0.0);
                //#repeat i 4
                four += select(vec4(0.0), exp(score_@i - larger), seen_@i);
                //#end
                sum[turn] = sum[turn] * exp(most[turn] - larger) + (four.x + four.y) + (four.z + four.w);
                most[turn] = larger;
            }
            workgroupBarrier();
        }
    }
    for (var turn = 0u; turn < TURNS; turn++) {
        let row = lane + turn * LANES;
        let token = params.first_token + group.x * TILE_TOKENS + row / GROUP;
        if row < TILE_TOKENS * GROUP && token < params.tokens {
            lse_rows[token * HEADS + group.y * GROUP + row % GROUP] = most[turn] + log(sum[turn]);
        }
    }
}

// Workgroup: span of blocks, tile of tokens, KV head.
@compute @workgroup_size(LANES)
fn scores(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let first_block = group.x * SPAN_BLOCKS;
    let last_position = params.start + token_of(ROWS - 1u, group.y);
    // No query of this tile may choose a block from here on.
    let end_block = last_position / BLOCK + 1u - min(last_position / BLOCK + 1u, LOCAL_BLOCKS);
    //#repeat r OWN_TILES
    let row_@r = subgroup * OWN_ROWS + @r * M;
    let q_row_@r = (token_of(row_@r, group.y) * HEADS + group.z * GROUP + row_@r % GROUP) * HEAD_DIM;
    //#repeat d DEPTHS
    let heads_@r_@d = coopLoadT<coop_matMxM<f16, A>>(&q[q_row_@r + @d * M], HEAD_DIM);
    //#end
    //#end
    for (var row = lane; row < ROWS; row += LANES) {
        norms[row] = lse_rows[token_of(row, group.y) * HEADS + group.z * GROUP + row % GROUP];
    }
    // Column c of the span is key 4 * first_block - 1 + c; the very first does not exist.
    let blocks = min(max(end_block, first_block) - first_block, SPAN_BLOCKS);
    let columns = select(0u, blocks * FINE_PER_BLOCK + 1u, blocks > 0u);
    for (var first = 0u; first < columns; first += KEYS) {
        stage(group.z, first_block * FINE_PER_BLOCK + first, lane);
        workgroupBarrier();
        for (var half = 0u; half < KEYS; half += HALF) {
            //#repeat n COLUMN_TILES
            //#repeat r OWN_TILES
            var products_@n_@r: coop_matMxM<f32, C>;
            //#end
            //#repeat d DEPTHS
            let key_at_@n_@d = (half + @n * M) * PITCH + @d * M / 4u;
            let key_@n_@d = coopLoad<coop_matMxM<f16, B>>(&memory.staged[key_at_@n_@d], PITCH);
            //#repeat r OWN_TILES
            products_@n_@r = coopMultiplyAdd(heads_@r_@d, key_@n_@d, products_@n_@r);
            //#end
            //#end
            //#repeat r OWN_TILES
            let at_@n_@r = row_@r * SCORE_PITCH + @n * M / 4u;
            coopStoreT(products_@n_@r, &memory.tile[at_@n_@r], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            for (var item = lane; item < TILE_TOKENS * 2u * FOURS; item += LANES) {
                let column = item % FOURS;
                let part = item / FOURS % 2u;
                let tile_token = item / FOURS / 2u;
                let row = tile_token * GROUP + part * (GROUP / 2u);
                var sum = vec4(0.0);
                for (var head = 0u; head < GROUP / 2u; head++) {
                    let score = memory.tile[(row + head) * SCORE_PITCH + column] * SCALE;
                    sum += exp(min(score - norms[row + head], vec4(MOST_EXPONENT)));
                }
                if first_block + first + half + column == 0u {
                    sum.x = 0.0; // the key before the first
                }
                let to = part * SUMS + tile_token * (KEYS + 1u) + half + column * 4u;
                sums[to] = sum.x;
                sums[to + 1u] = sum.y;
                sums[to + 2u] = sum.z;
                sums[to + 3u] = sum.w;
            }
            workgroupBarrier();
        }
        // A block has four keys and the first one of the next, for which the last block of these keys must wait.
        for (var item = lane; item < TILE_TOKENS * TILE_BLOCKS; item += LANES) {
            let row = item / TILE_BLOCKS * (KEYS + 1u);
            let quad = item % TILE_BLOCKS;
            let at = row + quad * FINE_PER_BLOCK;
            let largest = max(max(total(at), total(at + 1u)), max(total(at + 2u), total(at + 3u)));
            let block = first_block + first / FINE_PER_BLOCK + quad;
            if quad + 1u < TILE_BLOCKS {
                write(group, item / TILE_BLOCKS, block, max(largest, total(at + FINE_PER_BLOCK)));
            } else {
                if first > 0u {
                    write(group, item / TILE_BLOCKS, block - TILE_BLOCKS, max(sums[row + KEYS], total(row)));
                }
                sums[row + KEYS] = largest;
            }
        }
        workgroupBarrier();
    }
}

fn total(at: u32) -> f32 {
    return sums[at] + sums[SUMS + at];
}

// The score of a block that the token may choose.
fn write(group: vec3<u32>, tile_token: u32, block: u32, score: f32) {
    let token = params.first_token + group.y * TILE_TOKENS + tile_token;
    let blocks = (params.start + token) / BLOCK + 1u;
    if token < params.tokens && block >= INIT_BLOCKS && block + LOCAL_BLOCKS < blocks {
        block_scores[group.z * params.head_stride + token * params.row_stride + block] = score;
    }
}
