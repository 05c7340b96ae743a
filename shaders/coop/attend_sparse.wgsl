enable f16;
enable wgpu_cooperative_matrix;
// attend_sparse of a chunk with cooperative matrices: the formula and the slots of attend_sparse.wgsl.
//
// A workgroup of four subgroups takes one token and KV head: the heads of the group are the rows of a tile (padded to
// whole matrices), 64 slots the columns. Keys, then values of the slots pass through workgroup memory, because matrices
// read from the cache itself come in small pieces: 27 TFLOP/s on an H200 that way. For scores the subgroups share out
// the keys, for sums the dimensions. Scores and weights pass through memory too: a matrix's elements cannot be touched.
//
// Weights are exp(score - reference) in f16, where the reference is the row's maximum when it was last taken. It is
// taken again, and the sums so far rescaled through memory, only when a score exceeds it by RISE: weights stay below
// exp(RISE) = 2981, far inside f16, and the sums are f32, so nothing is lost. The list is walked from its end, where the
// query's own neighbourhood usually has the largest scores.
//
// Floor at 128K tokens, 32 heads of 128: 13 TFLOP, 55 ms at 240 TFLOP/s; 0.8 TB of keys and values from the caches.
// Slots past the query have weight 0.
//
// Host: src/ops/attend_sparse.rs. Twin: src/reference/attend_sparse.rs.
//
//#import numbers                     LOWEST, pack_half
//#const  M SUBGROUP HEADS GROUP HEAD_DIM SCALE BLOCK BUDGET ROW_TILES DEPTHS OWN_KEYS OWN_DEPTHS
//        GROUP at most 16; ROW_TILES = GROUP / M and OWN_DEPTHS = DEPTHS / 4 rounded up, DEPTHS = HEAD_DIM / M,
//        OWN_KEYS = 16 / M

const LANES: u32 = 4u * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROWS: u32 = ROW_TILES * M;
const KEYS: u32 = 64u;
const QUADS: u32 = HEAD_DIM / 4u;
// Padding keeps the rows in different banks and the matrices aligned to 16 bytes.
const TILE_PITCH: u32 = QUADS + 2u;                       // in vectors of four
const SCORE_PITCH: u32 = max(KEYS, HEAD_DIM) + 4u;
const WEIGHT_PITCH: u32 = KEYS + 8u;
const LANES_PER_ROW: u32 = LANES / ROWS;
const RISE: f32 = 8.0;

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the cache holds
    tokens: u32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;      // (tokens, HEADS, HEAD_DIM / 4)
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;   // (kv_heads, capacity, HEAD_DIM / 4)
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>; // (kv_heads, capacity, HEAD_DIM / 4)
@group(0) @binding(3) var<storage, read> ids: array<u32>;          // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read_write> out: array<u32>;    // (tokens, HEADS, HEAD_DIM / 2)
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> tile: array<vec4<f16>, KEYS * TILE_PITCH>;          // queries, then keys and values in turn
var<workgroup> scores: array<f32, ROWS * SCORE_PITCH>;             // scores, or sums on their way
var<workgroup> weights: array<f16, ROWS * WEIGHT_PITCH>;
var<workgroup> row_factors: array<f32, ROWS>;
var<workgroup> risen: u32;

// Slots that a query at `position` reads.
fn slots(position: u32) -> u32 {
    let last = position / BLOCK;
    return min(last, BUDGET - 1u) * BLOCK + position % BLOCK + 1u;
}

// Where a slot's vectors start in the cache; past the last slot the last one again.
fn cache_row(list: u32, kv_head: u32, slot: u32, total: u32) -> u32 {
    let real = min(slot, total - 1u);
    return (kv_head * params.capacity + ids[list + real / BLOCK] * BLOCK + real % BLOCK) * QUADS;
}

// Workgroup: token, KV head.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let kv_head = group.y;
    let list = (group.x * KV_HEADS + kv_head) * BUDGET;
    let total = slots(params.start + group.x);
    let head_base = (group.x * HEADS + kv_head * GROUP) * QUADS;
    if lane == 0u {
        risen = 0u;
    }
    for (var item = lane; item < ROWS * QUADS; item += LANES) {
        // Rows past the group repeat its first head and are not stored.
        let row = item / QUADS;
        tile[row * TILE_PITCH + item % QUADS] = q[head_base + select(0u, row, row < GROUP) * QUADS + item % QUADS];
    }
    workgroupBarrier();
    // Matrices have names: an array of them would not stay in registers.
    //#repeat r ROW_TILES
    //#repeat d DEPTHS
    let heads_@r_@d = coopLoadT<coop_matMxM<f16, A>>(&tile[@r * M * TILE_PITCH + @d * M / 4], TILE_PITCH);
    //#end
    //#repeat d OWN_DEPTHS
    var sums_@r_@d: coop_matMxM<f32, C>;
    //#end
    //#end
    // Dimensions of this subgroup; where they do not share out evenly two subgroups do the same ones.
    //#repeat d OWN_DEPTHS
    let own_@d = min(subgroup * OWN_DEPTHS + @d, DEPTHS - 1u) * M;
    //#end

    let row = lane / LANES_PER_ROW;
    let part = lane % LANES_PER_ROW;
    var reference = LOWEST;
    var weight_sum = 0.0;
    let tiles = (total + KEYS - 1u) / KEYS;
    for (var step = 0u; step < tiles; step++) {
        let first = (tiles - 1u - step) * KEYS;
        workgroupBarrier();
        for (var item = lane; item < KEYS * QUADS; item += LANES) {
            let at = cache_row(list, kv_head, first + item / QUADS, total) + item % QUADS;
            tile[item / QUADS * TILE_PITCH + item % QUADS] = keys[at];
        }
        workgroupBarrier();
        //#repeat n OWN_KEYS
        let key_@n = (subgroup * OWN_KEYS + @n) * M;
        //#repeat r ROW_TILES
        var products_@n_@r: coop_matMxM<f32, C>;
        //#end
        //#repeat d DEPTHS
        let keys_@n_@d = coopLoad<coop_matMxM<f16, B>>(&tile[key_@n * TILE_PITCH + @d * M / 4], TILE_PITCH);
        //#repeat r ROW_TILES
        products_@n_@r = coopMultiplyAdd(heads_@r_@d, keys_@n_@d, products_@n_@r);
        //#end
        //#end
        //#repeat r ROW_TILES
        let score_at_@n_@r = @r * M * SCORE_PITCH + key_@n;
        coopStoreT(products_@n_@r, &scores[score_at_@n_@r], SCORE_PITCH);
        //#end
        //#end
        workgroupBarrier();

        for (var item = lane; item < KEYS * QUADS; item += LANES) {
            let at = cache_row(list, kv_head, first + item / QUADS, total) + item % QUADS;
            tile[item / QUADS * TILE_PITCH + item % QUADS] = values[at];
        }
        var most = LOWEST;
        for (var column = part; column < KEYS; column += LANES_PER_ROW) {
            most = select(most, max(most, scores[row * SCORE_PITCH + column] * SCALE), first + column < total);
        }
        for (var apart = 1u; apart < LANES_PER_ROW; apart *= 2u) {
            most = max(most, subgroupShuffleXor(most, apart));
        }
        var factor = 1.0;
        if most > reference + RISE {
            // Before the first weight there is nothing to rescale.
            if reference > LOWEST {
                factor = exp(max(reference - most, -80.0));
                risen = 1u;
            }
            reference = most;
        }
        var sum = 0.0;
        for (var column = part; column < KEYS; column += LANES_PER_ROW) {
            let exact = exp(min(scores[row * SCORE_PITCH + column] * SCALE - reference, RISE));
            let weight = f16(select(0.0, exact, first + column < total));
            weights[row * WEIGHT_PITCH + column] = weight;
            sum += f32(weight);
        }
        weight_sum = weight_sum * factor + sum;
        if part == 0u {
            row_factors[row] = factor;
        }
        if workgroupUniformLoad(&risen) != 0u {
            // The scores are used up, so their memory is free for the sums.
            //#repeat r ROW_TILES
            //#repeat d OWN_DEPTHS
            let old_at_@r_@d = @r * M * SCORE_PITCH + own_@d;
            coopStoreT(sums_@r_@d, &scores[old_at_@r_@d], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            for (var item = lane; item < ROWS * HEAD_DIM; item += LANES) {
                scores[item / HEAD_DIM * SCORE_PITCH + item % HEAD_DIM] *= row_factors[item / HEAD_DIM];
            }
            workgroupBarrier();
            //#repeat r ROW_TILES
            //#repeat d OWN_DEPTHS
            sums_@r_@d = coopLoadT<coop_matMxM<f32, C>>(&scores[old_at_@r_@d], SCORE_PITCH);
            //#end
            //#end
            if lane == 0u {
                risen = 0u;
            }
        }
        for (var n = 0u; n < KEYS; n += M) {
            //#repeat r ROW_TILES
            let weight_at_@r = @r * M * WEIGHT_PITCH + n;
            let weight_@r = coopLoadT<coop_matMxM<f16, A>>(&weights[weight_at_@r], WEIGHT_PITCH);
            //#end
            //#repeat d OWN_DEPTHS
            let value_@d = coopLoadT<coop_matMxM<f16, B>>(&tile[n * TILE_PITCH + own_@d / 4u], TILE_PITCH);
            //#repeat r ROW_TILES
            sums_@r_@d = coopMultiplyAdd(weight_@r, value_@d, sums_@r_@d);
            //#end
            //#end
        }
    }

    for (var apart = 1u; apart < LANES_PER_ROW; apart *= 2u) {
        weight_sum += subgroupShuffleXor(weight_sum, apart);
    }
    workgroupBarrier();
    if part == 0u {
        row_factors[row] = 1.0 / weight_sum;
    }
    //#repeat r ROW_TILES
    //#repeat d OWN_DEPTHS
    let out_at_@r_@d = @r * M * SCORE_PITCH + own_@d;
    coopStoreT(sums_@r_@d, &scores[out_at_@r_@d], SCORE_PITCH);
    //#end
    //#end
    workgroupBarrier();
    for (var item = lane; item < GROUP * HEAD_DIM / 2u; item += LANES) {
        let head = item / (HEAD_DIM / 2u);
        let column = item % (HEAD_DIM / 2u) * 2u;
        let at = head * SCORE_PITCH + column;
        out[head_base * 2u + item] = pack_half(vec2(scores[at], scores[at + 1u]) * row_factors[head]);
    }
}
