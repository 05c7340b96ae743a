enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula and the slots of attend_sparse.wgsl.
//
// The heads of a token's group are the rows of a tile (padded to 16, or to whole matrices of 8), 64 slots of its list the
// columns. A subgroup owns a token; TOKENS neighbouring tokens share a workgroup and walk their lists in step, so that
// the local blocks, which they share, and most chosen ones come from the nearest cache. Keys and values go straight
// from the cache into matrices: M neighbouring slots are M neighbouring rows. Scores and weights pass through
// workgroup memory, because the elements of a matrix cannot be touched.
//
// Weights are exp(score - reference) in f16, where the reference is the row's maximum when it was last taken. It is
// taken again, and the sums so far rescaled through memory, only when a score exceeds it by RISE: weights stay below
// exp(RISE) = 2981, far inside f16, and the sums are f32, so nothing is lost. The list is walked from its end, where
// the query's own neighbourhood usually has the largest scores.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s; 0.8 TB of keys and values from the caches.
// Slots past the query have weight 0, so the cache must hold finite numbers there.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import numbers                     LOWEST, pack_half
//#const  M SUBGROUP HEADS GROUP HEAD_DIM SCALE BLOCK BUDGET       BLOCK is a multiple of M, GROUP at most 16

const TOKENS: u32 = 4u;
const LANES: u32 = TOKENS * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROW_TILES: u32 = (GROUP + M - 1u) / M;
const ROWS: u32 = ROW_TILES * M;
const KEYS: u32 = 64u;                     // slots of a tile, and values of a head that pass through memory at a time
const KEY_TILES: u32 = KEYS / M;
const DEPTHS: u32 = HEAD_DIM / M;
const RISE: f32 = 8.0;
// A few elements of padding keep the rows in different banks and the matrices aligned to 16 bytes.
const SCORE_PITCH: u32 = KEYS + 4u;
const WEIGHT_PITCH: u32 = KEYS + 8u;
// Two lanes share a row of scores; where there are fewer lanes, each takes several.
const ITEMS: u32 = 2u * ROWS;
const TURNS: u32 = (ITEMS + SUBGROUP - 1u) / SUBGROUP;

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> q: array<u32>;            // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(1) var<storage, read> keys: array<f16>;         // (kv_heads, capacity, HEAD_DIM)
@group(0) @binding(2) var<storage, read> values: array<f16>;       // (kv_heads, capacity, HEAD_DIM)
@group(0) @binding(3) var<storage, read> ids: array<u32>;          // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read_write> out: array<u32>;    // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> scores: array<f32, TOKENS * ROWS * SCORE_PITCH>;
var<workgroup> weights: array<f16, TOKENS * ROWS * WEIGHT_PITCH>;
var<workgroup> row_sums: array<f32, TOKENS * ROWS>;
var<workgroup> row_factors: array<f32, TOKENS * ROWS>;
var<workgroup> risen: u32;

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    let last = position / BLOCK;
    return min(last, BUDGET - 1u) * BLOCK + position % BLOCK + 1u;
}

// Where the M rows from `slot` on start in the cache; past the last slot the last M again.
fn cache_row(list: u32, kv_head: u32, slot: u32, total: u32) -> u32 {
    let first = min(slot, (total - 1u) / M * M);
    let token = ids[list + first / BLOCK] * BLOCK + first % BLOCK;
    return (kv_head * params.capacity + token) * HEAD_DIM;
}

// Workgroup: TOKENS tokens, KV head.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let kv_head = group.y;
    // Tokens past the last repeat it and are not stored.
    let token = min(group.x * TOKENS + subgroup, params.tokens - 1u);
    let list = (token * KV_HEADS + kv_head) * BUDGET;
    let total = slots(params.start + token);
    var longest = 0u;
    for (var i = 0u; i < TOKENS; i++) {
        longest = max(longest, slots(params.start + min(group.x * TOKENS + i, params.tokens - 1u)));
    }
    let score_base = subgroup * ROWS * SCORE_PITCH;
    let weight_base = subgroup * ROWS * WEIGHT_PITCH;
    let head_base = token * HEADS + kv_head * GROUP;
    if lane == 0u {
        risen = 0u;
    }

    // The queries, scaled, through the weights' memory: rows past the group are zero.
    var heads: array<coop_matMxM<f16, A>, ROW_TILES * DEPTHS>;
    for (var first = 0u; first < HEAD_DIM; first += KEYS) {
        workgroupBarrier();
        for (var item = sublane; item < ROWS * KEYS / 2u; item += SUBGROUP) {
            let row = item / (KEYS / 2u);
            let column = item % (KEYS / 2u) * 2u;
            var pair = vec2(0.0);
            if row < GROUP && first + column < HEAD_DIM {
                pair = unpack2x16float(q[((head_base + row) * HEAD_DIM + first + column) / 2u]);
            }
            weights[weight_base + row * WEIGHT_PITCH + column] = f16(pair.x);
            weights[weight_base + row * WEIGHT_PITCH + column + 1u] = f16(pair.y);
        }
        workgroupBarrier();
        for (var r = 0u; r < ROW_TILES; r++) {
            for (var k = 0u; k < min(KEYS, HEAD_DIM - first) / M; k++) {
                let at = weight_base + r * M * WEIGHT_PITCH + k * M;
                heads[r * DEPTHS + first / M + k] = coopLoadT<coop_matMxM<f16, A>>(&weights[at], WEIGHT_PITCH);
            }
        }
    }

    var sums: array<coop_matMxM<f32, C>, ROW_TILES * DEPTHS>;
    var reference: array<f32, TURNS>;
    var weight_sum: array<f32, TURNS>;
    for (var turn = 0u; turn < TURNS; turn++) {
        reference[turn] = LOWEST;
        weight_sum[turn] = 0.0;
    }
    let tiles = (longest + KEYS - 1u) / KEYS;
    for (var step = 0u; step < tiles; step++) {
        let first = (tiles - 1u - step) * KEYS;
        for (var n = 0u; n < KEY_TILES; n++) {
            let row = cache_row(list, kv_head, first + n * M, total);
            var products: array<coop_matMxM<f32, C>, ROW_TILES>;
            for (var k = 0u; k < DEPTHS; k++) {
                let key = coopLoad<coop_matMxM<f16, B>>(&keys[row + k * M], HEAD_DIM);
                for (var r = 0u; r < ROW_TILES; r++) {
                    products[r] = coopMultiplyAdd(heads[r * DEPTHS + k], key, products[r]);
                }
            }
            for (var r = 0u; r < ROW_TILES; r++) {
                coopStoreT(products[r], &scores[score_base + r * M * SCORE_PITCH + n * M], SCORE_PITCH);
            }
        }
        workgroupBarrier();

        for (var turn = 0u; turn < TURNS; turn++) {
            let item = sublane + turn * SUBGROUP;
            let row = min(item / 2u, ROWS - 1u);
            let at = score_base + row * SCORE_PITCH;
            var most = LOWEST;
            for (var column = item % 2u; column < KEYS; column += 2u) {
                most = select(most, max(most, scores[at + column] * SCALE), first + column < total);
            }
            most = max(most, subgroupShuffleXor(most, 1u));
            var factor = 1.0;
            if most > reference[turn] + RISE {
                // Before the first weight there is nothing to rescale.
                if reference[turn] > LOWEST {
                    factor = exp(reference[turn] - most);
                    risen = 1u;
                }
                reference[turn] = most;
            }
            var sum = 0.0;
            for (var column = item % 2u; column < KEYS; column += 2u) {
                let exact = exp(min(scores[at + column] * SCALE - reference[turn], RISE));
                let weight = f16(select(0.0, exact, first + column < total));
                if item < ITEMS {
                    weights[weight_base + row * WEIGHT_PITCH + column] = weight;
                }
                sum += f32(weight);
            }
            weight_sum[turn] = weight_sum[turn] * factor + sum;
            if item < ITEMS && item % 2u == 0u {
                row_factors[subgroup * ROWS + row] = factor;
            }
        }
        if workgroupUniformLoad(&risen) != 0u {
            // The scores are used up, so their memory is free for the sums, 64 values of a head at a time.
            for (var part = 0u; part < HEAD_DIM; part += KEYS) {
                let count = min(KEYS, HEAD_DIM - part) / M;
                for (var r = 0u; r < ROW_TILES; r++) {
                    for (var d = 0u; d < count; d++) {
                        let at = score_base + r * M * SCORE_PITCH + d * M;
                        coopStoreT(sums[r * DEPTHS + part / M + d], &scores[at], SCORE_PITCH);
                    }
                }
                workgroupBarrier();
                for (var item = sublane; item < ROWS * KEYS; item += SUBGROUP) {
                    let row = item / KEYS;
                    scores[score_base + row * SCORE_PITCH + item % KEYS] *= row_factors[subgroup * ROWS + row];
                }
                workgroupBarrier();
                for (var r = 0u; r < ROW_TILES; r++) {
                    for (var d = 0u; d < count; d++) {
                        let at = score_base + r * M * SCORE_PITCH + d * M;
                        sums[r * DEPTHS + part / M + d] = coopLoadT<coop_matMxM<f32, C>>(&scores[at], SCORE_PITCH);
                    }
                }
                workgroupBarrier();
            }
            if lane == 0u {
                risen = 0u;
            }
        }

        for (var n = 0u; n < KEY_TILES; n++) {
            let row = cache_row(list, kv_head, first + n * M, total);
            var weight: array<coop_matMxM<f16, A>, ROW_TILES>;
            for (var r = 0u; r < ROW_TILES; r++) {
                let at = weight_base + r * M * WEIGHT_PITCH + n * M;
                weight[r] = coopLoadT<coop_matMxM<f16, A>>(&weights[at], WEIGHT_PITCH);
            }
            for (var d = 0u; d < DEPTHS; d++) {
                let value = coopLoadT<coop_matMxM<f16, B>>(&values[row + d * M], HEAD_DIM);
                for (var r = 0u; r < ROW_TILES; r++) {
                    sums[r * DEPTHS + d] = coopMultiplyAdd(weight[r], value, sums[r * DEPTHS + d]);
                }
            }
        }
    }

    for (var turn = 0u; turn < TURNS; turn++) {
        let item = sublane + turn * SUBGROUP;
        let sum = weight_sum[turn] + subgroupShuffleXor(weight_sum[turn], 1u);
        if item < ITEMS && item % 2u == 0u {
            row_sums[subgroup * ROWS + item / 2u] = sum;
        }
    }
    for (var part = 0u; part < HEAD_DIM; part += KEYS) {
        workgroupBarrier();
        for (var r = 0u; r < ROW_TILES; r++) {
            for (var d = 0u; d < min(KEYS, HEAD_DIM - part) / M; d++) {
                let at = score_base + r * M * SCORE_PITCH + d * M;
                coopStoreT(sums[r * DEPTHS + part / M + d], &scores[at], SCORE_PITCH);
            }
        }
        workgroupBarrier();
        for (var item = sublane; item < ROWS * KEYS / 2u; item += SUBGROUP) {
            let row = item / (KEYS / 2u);
            let column = item % (KEYS / 2u) * 2u;
            let stored = row < GROUP && part + column < HEAD_DIM && group.x * TOKENS + subgroup < params.tokens;
            if stored {
                let at = score_base + row * SCORE_PITCH + column;
                let pair = vec2(scores[at], scores[at + 1u]) / row_sums[subgroup * ROWS + row];
                out[((head_base + row) * HEAD_DIM + part + column) / 2u] = pack_half(pair);
            }
        }
    }
}
