// attend_coop: running softmax attention of one token per subgroup with cooperative matrices.
//
// The heads of a token's group are the rows of a tile (padded to whole matrices), 64 slots the columns. TOKENS
// neighbouring tokens share a workgroup and walk their slots in step, so that keys which several of them read come from
// the nearest cache. Keys and values go straight from the cache into matrices: M neighbouring slots are M neighbouring
// rows. Scores and weights pass through workgroup memory, because the elements of a matrix cannot be touched.
//
// Weights are exp(score - reference) in f16, where the reference is the row's maximum when it was last taken. It is
// taken again, and the sums so far rescaled through memory, only when a score exceeds it by RISE: weights stay below
// exp(RISE) = 2981, far inside f16, and the sums are f32, so nothing is lost. Slots are walked from the end, where the
// query's own neighbourhood usually has the largest scores. Slots past the query have weight 0, so the cache must hold
// finite numbers there.
//
// The kernel says what a slot is: `slots(position)` how many a query reads, `cache_row(token, kv_head, slot, total)`
// where the M rows from a slot on start.
//
//#import numbers                     LOWEST, pack_half
//#const  M SUBGROUP HEADS GROUP HEAD_DIM SCALE ROW_TILES DEPTHS
//        GROUP at most 16; ROW_TILES = GROUP / M rounded up, DEPTHS = HEAD_DIM / M

const TOKENS: u32 = 4u;
const LANES: u32 = TOKENS * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROWS: u32 = ROW_TILES * M;
const KEYS: u32 = 64u;                     // slots of a tile, and values of a head that pass through memory at a time
const KEY_TILES: u32 = KEYS / M;
const RISE: f32 = 8.0;
// A few elements of padding keep the rows in different banks and the matrices aligned to 16 bytes.
const SCORE_PITCH: u32 = KEYS + 4u;
const WEIGHT_PITCH: u32 = KEYS + 8u;
// Two lanes share a row of scores; where there are fewer lanes, each takes several.
const ITEMS: u32 = 2u * ROWS;
const TURNS: u32 = (ITEMS + SUBGROUP - 1u) / SUBGROUP;

var<workgroup> scores: array<f32, TOKENS * ROWS * SCORE_PITCH>;
var<workgroup> weights: array<f16, TOKENS * ROWS * WEIGHT_PITCH>;
var<workgroup> row_sums: array<f32, TOKENS * ROWS>;
var<workgroup> row_factors: array<f32, TOKENS * ROWS>;
var<workgroup> risen: u32;

fn attend(group: vec3<u32>, lane: u32, subgroup: u32, sublane: u32) {
    let kv_head = group.y;
    // Tokens past the last repeat it and are not stored.
    let token = min(group.x * TOKENS + subgroup, params.tokens - 1u);
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
    //#repeat r ROW_TILES
    //#repeat d DEPTHS
    var heads_@r_@d: coop_matMxM<f16, A>;
    //#end
    //#end
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
        //#repeat r ROW_TILES
        //#repeat d DEPTHS
        if first == @d * M / KEYS * KEYS {
            let at = weight_base + @r * M * WEIGHT_PITCH + @d * M % KEYS;
            heads_@r_@d = coopLoadT<coop_matMxM<f16, A>>(&weights[at], WEIGHT_PITCH);
        }
        //#end
        //#end
    }

    // Matrices have names: an array of them would not stay in registers.
    //#repeat r ROW_TILES
    //#repeat d DEPTHS
    var sums_@r_@d: coop_matMxM<f32, C>;
    //#end
    //#end
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
            let row = cache_row(token, kv_head, first + n * M, total);
            //#repeat r ROW_TILES
            var products_@r: coop_matMxM<f32, C>;
            //#end
            //#repeat d DEPTHS
            let key_@d = coopLoad<coop_matMxM<f16, B>>(&keys[row + @d * M], HEAD_DIM);
            //#repeat r ROW_TILES
            products_@r = coopMultiplyAdd(heads_@r_@d, key_@d, products_@r);
            //#end
            //#end
            //#repeat r ROW_TILES
            let at_@r = score_base + @r * M * SCORE_PITCH + n * M;
            coopStoreT(products_@r, &scores[at_@r], SCORE_PITCH);
            //#end
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
                //#repeat r ROW_TILES
                //#repeat d DEPTHS
                if part == @d * M / KEYS * KEYS {
                    let at = score_base + @r * M * SCORE_PITCH + @d * M % KEYS;
                    coopStoreT(sums_@r_@d, &scores[at], SCORE_PITCH);
                }
                //#end
                //#end
                workgroupBarrier();
                for (var item = sublane; item < ROWS * KEYS; item += SUBGROUP) {
                    let row = item / KEYS;
                    scores[score_base + row * SCORE_PITCH + item % KEYS] *= row_factors[subgroup * ROWS + row];
                }
                workgroupBarrier();
                //#repeat r ROW_TILES
                //#repeat d DEPTHS
                if part == @d * M / KEYS * KEYS {
                    let at = score_base + @r * M * SCORE_PITCH + @d * M % KEYS;
                    sums_@r_@d = coopLoadT<coop_matMxM<f32, C>>(&scores[at], SCORE_PITCH);
                }
                //#end
                //#end
                workgroupBarrier();
            }
            if lane == 0u {
                risen = 0u;
            }
        }

        for (var n = 0u; n < KEY_TILES; n++) {
            let row = cache_row(token, kv_head, first + n * M, total);
            //#repeat r ROW_TILES
            let weight_at_@r = weight_base + @r * M * WEIGHT_PITCH + n * M;
            let weight_@r = coopLoadT<coop_matMxM<f16, A>>(&weights[weight_at_@r], WEIGHT_PITCH);
            //#end
            //#repeat d DEPTHS
            let value_@d = coopLoadT<coop_matMxM<f16, B>>(&values[row + @d * M], HEAD_DIM);
            //#repeat r ROW_TILES
            sums_@r_@d = coopMultiplyAdd(weight_@r, value_@d, sums_@r_@d);
            //#end
            //#end
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
        //#repeat r ROW_TILES
        //#repeat d DEPTHS
        if part == @d * M / KEYS * KEYS {
            let at = score_base + @r * M * SCORE_PITCH + @d * M % KEYS;
            coopStoreT(sums_@r_@d, &scores[at], SCORE_PITCH);
        }
        //#end
        //#end
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
