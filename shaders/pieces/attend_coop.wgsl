// attend_coop: running softmax attention of one token per subgroup with cooperative matrices.
//
// A workgroup takes TOKENS neighbouring tokens, that read the same slots of the cache, and one KV head. The heads of a
// token's group are the rows of its tile (padded to whole matrices), KEYS slots the columns. Slots are walked from the
// end, because a query's own neighbourhood usually has the largest scores. Keys, then values, pass through workgroup
// memory, STAGED slots at a time, and the next are loaded while matrices are multiplied. Staging matters: a matrix
// loaded straight from the cache costs scattered reads of 4 bytes (keys) or 2 (values), 27 TFLOP/s on an H200; staged,
// dense attention reaches 103. There keys and scores in workgroup memory bound it, not the products. Values turned while they
// are staged, so that a matrix of them is read 4 bytes at a time, gave dense attention 4 % and cost sparse attention 40 %,
// whose workgroups are bound by their registers.
//
// Scores and weights pass through workgroup memory, because the elements of a matrix cannot be touched. Weights are
// exp(score - reference) in f16, where the reference is the row's maximum when it was last taken. It is taken again,
// and the sums so far rescaled through memory, only when a score exceeds it by RISE: weights stay below exp(RISE) =
// 2981, far inside f16, and the sums are f32, so nothing is lost. Slots past the query have weight 0.
//
// The kernel says what a slot is: `slots(position)` how many a query reads, `slot_origin(token, kv_head, slot)` which token
// of the cache is the first of STAGED slots.
//
//#import numbers                     LOWEST
//#const  TOKENS STAGED M SUBGROUP HEADS GROUP HEAD_DIM SCALE ROW_TILES PARTS PER_PART KEYS STAGED_TILES VECTORS LOADS TURNS
//        GROUP at most 16; ROW_TILES = GROUP / M rounded up; a head is PARTS parts of PER_PART matrices, no wider than
//        KEYS; STAGED_TILES = STAGED / M; VECTORS = KEYS / 8; LOADS = STAGED * HEAD_DIM / 4 / LANES; TURNS = 2 * ROWS /
//        SUBGROUP rounded up

const LANES: u32 = TOKENS * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROWS: u32 = ROW_TILES * M;
const VECS: u32 = HEAD_DIM / 4u;
const PART: u32 = PER_PART * M / 4u;       // vectors of a head that pass through memory at a time
const RISE: f32 = 8.0;
// All pitches are in vectors; two of padding keep the rows in different banks and the matrices aligned to 16 bytes.
const PITCH: u32 = VECS + 2u;
const SCORE_PITCH: u32 = KEYS / 4u + 2u;
// Two lanes share a row of scores, each takes every other vector.
const ITEMS: u32 = 2u * ROWS;

var<workgroup> cached: array<vec4<f16>, STAGED * PITCH>;
var<workgroup> scores: array<vec4<f32>, TOKENS * ROWS * SCORE_PITCH>;
var<workgroup> weights: array<vec4<f16>, TOKENS * ROWS * SCORE_PITCH>;
var<workgroup> row_sums: array<f32, TOKENS * ROWS>;
var<workgroup> row_factors: array<f32, TOKENS * ROWS>;
var<workgroup> risen: u32;

fn attend(group: vec3<u32>, lane: u32, subgroup: u32, sublane: u32) {
    let kv_head = group.y;
    // Tokens past the last repeat it and are not stored.
    let token = min(group.x * TOKENS + subgroup, params.tokens - 1u);
    let last_position = params.start + min(group.x * TOKENS + TOKENS, params.tokens) - 1u;
    let end = slots(params.start + token);
    let steps = (slots(last_position) + KEYS - 1u) / KEYS;
    let base = subgroup * ROWS * SCORE_PITCH;
    let head_base = token * HEADS + kv_head * GROUP;
    if lane == 0u {
        risen = 0u;
    }

    // The queries, through the weights' memory.
    //#repeat p PARTS
    workgroupBarrier();
    stage_queries(head_base, base, @p * PART, sublane);
    workgroupBarrier();
    //#repeat r ROW_TILES
    //#repeat e PER_PART
    let heads_at_@r_@p_@e = base + @r * M * SCORE_PITCH + @e * M / 4u;
    let heads_@r_@p_@e = coopLoadT<coop_matMxM<f16, A>>(&weights[heads_at_@r_@p_@e], SCORE_PITCH);
    //#end
    //#end
    //#end

    // Matrices have names: an array of them would not stay in registers.
    //#repeat r ROW_TILES
    //#repeat p PARTS
    //#repeat e PER_PART
    var sums_@r_@p_@e: coop_matMxM<f32, C>;
    //#end
    //#end
    //#end
    var reference: array<f32, TURNS>;
    var weight_sum: array<f32, TURNS>;
    //#repeat t TURNS
    reference[@t] = LOWEST;
    weight_sum[@t] = 0.0;
    //#end
    let place = Place(kv_head * params.capacity, last_position, lane);
    let start = slot_origin(token, kv_head, (steps - 1u) * KEYS);
    //#repeat i LOADS
    var next_@i = keys[item_source(place, start, @iu)];
    //#end
    for (var step = 0u; step < steps; step++) {
        let first = (steps - 1u - step) * KEYS;
        for (var staged = 0u; staged < KEYS; staged += STAGED) {
            workgroupBarrier();
            //#repeat i LOADS
            cached[item_target(lane, @iu)] = next_@i;
            //#end
            if staged + STAGED < KEYS {
                let origin = slot_origin(token, kv_head, first + staged + STAGED);
                //#repeat i LOADS
                next_@i = keys[item_source(place, origin, @iu)];
                //#end
            } else {
                let origin = slot_origin(token, kv_head, first);
                //#repeat i LOADS
                next_@i = values[item_source(place, origin, @iu)];
                //#end
            }
            workgroupBarrier();
            //#repeat j STAGED_TILES
            //#repeat r ROW_TILES
            var products_@j_@r: coop_matMxM<f32, C>;
            //#end
            //#repeat p PARTS
            //#repeat e PER_PART
            let key_at_@j_@p_@e = (@j * M) * PITCH + (@p * PER_PART + @e) * M / 4u;
            let key_@j_@p_@e = coopLoad<coop_matMxM<f16, B>>(&cached[key_at_@j_@p_@e], PITCH);
            //#repeat r ROW_TILES
            products_@j_@r = coopMultiplyAdd(heads_@r_@p_@e, key_@j_@p_@e, products_@j_@r);
            //#end
            //#end
            //#end
            //#repeat r ROW_TILES
            let score_at_@j_@r = base + @r * M * SCORE_PITCH + (staged + @j * M) / 4u;
            coopStoreT(products_@j_@r, &scores[score_at_@j_@r], SCORE_PITCH);
            //#end
            //#end
        }
        workgroupBarrier();

        //#repeat t TURNS
        {
            let item = sublane + @t * SUBGROUP;
            let row = min(item / 2u, ROWS - 1u);
            let at = base + row * SCORE_PITCH + item % 2u;
            let columns = vec4(first + item % 2u * 4u) + vec4(0u, 1u, 2u, 3u);
            var most = LOWEST;
            //#repeat c VECTORS
            let slots_@c = columns + @c * 8u;
            let visible_@c = slots_@c < vec4(end);
            let score_@c = select(vec4(LOWEST), scores[at + @c * 2u] * SCALE, visible_@c);
            most = max(most, max(max(score_@c.x, score_@c.y), max(score_@c.z, score_@c.w)));
            //#end
            most = max(most, subgroupShuffleXor(most, 1u));
            var factor = 1.0;
            if most > reference[@t] + RISE {
                // Before the first weight there is nothing to rescale.
                if reference[@t] > LOWEST {
                    factor = exp(reference[@t] - most);
                    risen = 1u;
                }
                reference[@t] = most;
            }
            var sum = vec4(0.0);
            //#repeat c VECTORS
            let weight_@c = vec4<f16>(select(vec4(0.0), exp(min(score_@c - reference[@t], vec4(RISE))), visible_@c));
            if item < ITEMS {
                weights[at + @c * 2u] = weight_@c;
            }
            sum += vec4<f32>(weight_@c);
            //#end
            weight_sum[@t] = weight_sum[@t] * factor + (sum.x + sum.y) + (sum.z + sum.w);
            if item < ITEMS && item % 2u == 0u {
                row_factors[subgroup * ROWS + row] = factor;
            }
        }
        //#end
        if workgroupUniformLoad(&risen) != 0u {
            // The scores are used up, so their memory is free for the sums, a part of a head at a time.
            //#repeat p PARTS
            //#repeat r ROW_TILES
            //#repeat e PER_PART
            let old_at_@r_@p_@e = base + @r * M * SCORE_PITCH + @e * M / 4u;
            coopStoreT(sums_@r_@p_@e, &scores[old_at_@r_@p_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            rescale(base, subgroup, sublane);
            workgroupBarrier();
            //#repeat r ROW_TILES
            //#repeat e PER_PART
            sums_@r_@p_@e = coopLoadT<coop_matMxM<f32, C>>(&scores[old_at_@r_@p_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            //#end
            if lane == 0u {
                risen = 0u;
            }
        }

        for (var staged = 0u; staged < KEYS; staged += STAGED) {
            workgroupBarrier();
            //#repeat i LOADS
            cached[item_target(lane, @iu)] = next_@i;
            //#end
            if staged + STAGED < KEYS {
                let origin = slot_origin(token, kv_head, first + staged + STAGED);
                //#repeat i LOADS
                next_@i = values[item_source(place, origin, @iu)];
                //#end
            } else {
                // After the last tile the first one again, in vain.
                let origin = slot_origin(token, kv_head, max(first, KEYS) - KEYS);
                //#repeat i LOADS
                next_@i = keys[item_source(place, origin, @iu)];
                //#end
            }
            workgroupBarrier();
            //#repeat j STAGED_TILES
            //#repeat r ROW_TILES
            let weight_at_@j_@r = base + @r * M * SCORE_PITCH + (staged + @j * M) / 4u;
            let weight_@j_@r = coopLoadT<coop_matMxM<f16, A>>(&weights[weight_at_@j_@r], SCORE_PITCH);
            //#end
            //#repeat p PARTS
            //#repeat e PER_PART
            let value_at_@j_@p_@e = (@j * M) * PITCH + (@p * PER_PART + @e) * M / 4u;
            let value_@j_@p_@e = coopLoadT<coop_matMxM<f16, B>>(&cached[value_at_@j_@p_@e], PITCH);
            //#repeat r ROW_TILES
            sums_@r_@p_@e = coopMultiplyAdd(weight_@j_@r, value_@j_@p_@e, sums_@r_@p_@e);
            //#end
            //#end
            //#end
            //#end
        }
    }

    //#repeat t TURNS
    let item_@t = sublane + @t * SUBGROUP;
    let sum_@t = weight_sum[@t] + subgroupShuffleXor(weight_sum[@t], 1u);
    if item_@t < ITEMS && item_@t % 2u == 0u {
        row_sums[subgroup * ROWS + item_@t / 2u] = sum_@t;
    }
    //#end
    //#repeat p PARTS
    workgroupBarrier();
    //#repeat r ROW_TILES
    //#repeat e PER_PART
    let out_at_@r_@p_@e = base + @r * M * SCORE_PITCH + @e * M / 4u;
    coopStoreT(sums_@r_@p_@e, &scores[out_at_@r_@p_@e], SCORE_PITCH);
    //#end
    //#end
    workgroupBarrier();
    if group.x * TOKENS + subgroup < params.tokens {
        store(head_base, base, subgroup, @p * PART, sublane);
    }
    //#end
}

// What a lane needs to find what it stages.
struct Place {
    cache: u32,          // first token of the KV head
    last_position: u32,
    lane: u32,
}

// The lane's `item`th vector of the STAGED tokens from `origin` on; past the query the query's own again.
fn item_source(place: Place, origin: u32, item: u32) -> u32 {
    let index = place.lane + item * LANES;
    return (place.cache + min(origin + index / VECS, place.last_position)) * VECS + index % VECS;
}

fn item_target(lane: u32, item: u32) -> u32 {
    let index = lane + item * LANES;
    return index / VECS * PITCH + index % VECS;
}

// A part of the token's queries into the weights' memory: rows past the group are zero.
fn stage_queries(head_base: u32, base: u32, part: u32, sublane: u32) {
    for (var item = sublane; item < ROWS * PART; item += SUBGROUP) {
        let row = item / PART;
        let column = item % PART;
        var four = vec4<f16>();
        if row < GROUP {
            four = q[(head_base + row) * VECS + part + column];
        }
        weights[base + row * SCORE_PITCH + column] = four;
    }
}

fn rescale(base: u32, subgroup: u32, sublane: u32) {
    for (var item = sublane; item < ROWS * PART; item += SUBGROUP) {
        scores[base + item / PART * SCORE_PITCH + item % PART] *= row_factors[subgroup * ROWS + item / PART];
    }
}

fn store(head_base: u32, base: u32, subgroup: u32, part: u32, sublane: u32) {
    for (var item = sublane; item < GROUP * PART; item += SUBGROUP) {
        let row = item / PART;
        let four = scores[base + row * SCORE_PITCH + item % PART] / row_sums[subgroup * ROWS + row];
        out[(head_base + row) * VECS + part + item % PART] = vec4<f16>(four);
    }
}
