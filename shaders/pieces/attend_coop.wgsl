// attend_coop: running softmax attention of one token per subgroup with cooperative matrices.
//
// A workgroup takes TOKENS neighbouring tokens and one KV head. The heads of a token's group are the rows of its tile (padded
// to whole matrices), KEYS slots the columns. Slots are walked from the end, because a query's own neighbourhood usually has
// the largest scores.
//
// Keys and values come as tile_cache.wgsl lays them out, a matrix in one piece. The tokens share them through workgroup memory:
// keys, then values, are copied there whole, and the next are under way while matrices are multiplied.
//
// Scores and weights pass through workgroup memory, because the elements of a matrix cannot be touched. Weights are
// exp(score - reference) in f16, where the reference is the row's maximum when it was last taken. It is taken again,
// and the sums so far rescaled through memory, only when a score exceeds it by RISE: weights stay below exp(RISE) =
// 2981, far inside f16, and the sums are f32, so nothing is lost. Slots past the query have weight 0.
//
// The kernel says what a slot is: `slots(position)` how many a query reads, `slot_origin(token, kv_head, slot)` which token
// of the cache is the first of the KEYS slots from `slot` on; and what becomes of the result: `leave(row, column, four,
// of_row)` gets four sums of a (token, head) row, and of that row the reference and the sum of weights.
//
//#import numbers                     LOWEST
//#const  TOKENS M SUBGROUP HEADS GROUP HEAD_DIM SCALE ROW_TILES DEPTHS PARTS PER_PART KEYS SLOT_TILES VECTORS TURNS LOADS STAGE
//        GROUP at most 16; ROW_TILES = GROUP / M rounded up; a head is DEPTHS matrices, in PARTS parts of PER_PART that are
//        no wider than KEYS; SLOT_TILES = KEYS / M; VECTORS = KEYS / 8; TURNS = 2 * ROWS / SUBGROUP rounded up;
//        LOADS = KEYS * HEAD_DIM / 4 / LANES, STAGE = the vectors of keys or values with padding

const LANES: u32 = TOKENS * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROWS: u32 = ROW_TILES * M;
const VECS: u32 = HEAD_DIM / 4u;
const PART: u32 = PER_PART * M / 4u;       // vectors of a head that pass through memory at a time
const RISE: f32 = 8.0;
// Pitches are in vectors; two of padding keep the rows in different banks and the matrices aligned to 16 bytes.
const SCORE_PITCH: u32 = KEYS / 4u + 2u;
const KEY_PITCH: u32 = VECS + 2u;          // a slot's dimensions
const VALUE_PITCH: u32 = KEYS / 4u + 2u;   // a dimension's slots
const TILE_PITCH: u32 = M / 4u;
const TILE_VECS: u32 = M * M / 4u;
// Two lanes share a row of scores, each takes every other vector.
const ITEMS: u32 = 2u * ROWS;

// One structure, because that places it: a matrix is loaded from addresses that are multiples of 16 bytes, four halves need
// only 8, and four floats pull all of it to 16. (A driver that was given less read wrong numbers.)
struct Memory {
    scores: array<vec4<f32>, TOKENS * ROWS * SCORE_PITCH>,
    weights: array<vec4<f16>, TOKENS * ROWS * SCORE_PITCH>,
    staged: array<vec4<f16>, STAGE>,
}
var<workgroup> memory: Memory;
var<workgroup> row_sums: array<f32, TOKENS * ROWS>;
var<workgroup> row_references: array<f32, TOKENS * ROWS>;
var<workgroup> row_factors: array<f32, TOKENS * ROWS>;
var<workgroup> risen: u32;

fn attend(group: vec3<u32>, lane: u32, subgroup: u32, sublane: u32) {
    let kv_head = group.y;
    // The first workgroup of a chunk may begin before it.
    let place = i32(group.x * TOKENS + subgroup) - i32(params.lead);
    // Tokens outside the chunk repeat its first or last and are not stored.
    let token = u32(clamp(place, 0, i32(params.tokens) - 1));
    let stored = place >= 0 && place < i32(params.tokens);
    let head_base = token * HEADS + kv_head * GROUP;
    let end = slots(params.start + token);
    let last_position = params.start + min(group.x * TOKENS + TOKENS - params.lead, params.tokens) - 1u;
    let steps = (slots(last_position) + KEYS - 1u) / KEYS;
    let base = subgroup * ROWS * SCORE_PITCH;
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
    let heads_@r_@p_@e = coopLoadT<coop_matMxM<f16, A>>(&memory.weights[heads_at_@r_@p_@e], SCORE_PITCH);
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
    let cache = kv_head * params.capacity;
    var next_tile = (cache + slot_origin(token, kv_head, max(steps, 1u) * KEYS - KEYS)) * VECS;
    //#repeat i LOADS
    var next_@i = keys[next_tile + lane + @iu * LANES];
    //#end
    for (var step = 0u; step < steps; step++) {
        let first = (steps - 1u - step) * KEYS;
        let tile = next_tile;
        workgroupBarrier();
        //#repeat i LOADS
        memory.staged[key_place(lane + @iu * LANES)] = next_@i;
        next_@i = values[tile + lane + @iu * LANES];
        //#end
        workgroupBarrier();
        //#repeat j SLOT_TILES
        //#repeat r ROW_TILES
        var products_@j_@r: coop_matMxM<f32, C>;
        //#end
        //#repeat p PARTS
        //#repeat e PER_PART
        let key_at_@j_@p_@e = @j * M * KEY_PITCH + (@p * PER_PART + @e) * TILE_PITCH;
        let key_@j_@p_@e = coopLoad<coop_matMxM<f16, B>>(&memory.staged[key_at_@j_@p_@e], KEY_PITCH);
        //#repeat r ROW_TILES
        products_@j_@r = coopMultiplyAdd(heads_@r_@p_@e, key_@j_@p_@e, products_@j_@r);
        //#end
        //#end
        //#end
        //#repeat r ROW_TILES
        let score_at_@j_@r = base + @r * M * SCORE_PITCH + @j * M / 4u;
        coopStoreT(products_@j_@r, &memory.scores[score_at_@j_@r], SCORE_PITCH);
        //#end
        //#end
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
            let score_@c = select(vec4(LOWEST), memory.scores[at + @c * 2u] * SCALE, visible_@c);
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
                memory.weights[at + @c * 2u] = weight_@c;
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
            coopStoreT(sums_@r_@p_@e, &memory.scores[old_at_@r_@p_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            rescale(base, subgroup, sublane);
            workgroupBarrier();
            //#repeat r ROW_TILES
            //#repeat e PER_PART
            sums_@r_@p_@e = coopLoadT<coop_matMxM<f32, C>>(&memory.scores[old_at_@r_@p_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            //#end
            if lane == 0u {
                risen = 0u;
            }
        }

        // After the last tile the first one again, in vain.
        next_tile = (cache + slot_origin(token, kv_head, max(first, KEYS) - KEYS)) * VECS;
        //#repeat i LOADS
        memory.staged[value_place(lane + @iu * LANES)] = next_@i;
        next_@i = keys[next_tile + lane + @iu * LANES];
        //#end
        workgroupBarrier();
        //#repeat j SLOT_TILES
        //#repeat r ROW_TILES
        let weight_at_@j_@r = base + @r * M * SCORE_PITCH + @j * M / 4u;
        let weight_@j_@r = coopLoadT<coop_matMxM<f16, A>>(&memory.weights[weight_at_@j_@r], SCORE_PITCH);
        //#end
        //#repeat p PARTS
        //#repeat e PER_PART
        let value_at_@j_@p_@e = (@p * PER_PART + @e) * M * VALUE_PITCH + @j * TILE_PITCH;
        let value_@j_@p_@e = coopLoad<coop_matMxM<f16, B>>(&memory.staged[value_at_@j_@p_@e], VALUE_PITCH);
        //#repeat r ROW_TILES
        sums_@r_@p_@e = coopMultiplyAdd(weight_@j_@r, value_@j_@p_@e, sums_@r_@p_@e);
        //#end
        //#end
        //#end
        //#end
    }

    //#repeat t TURNS
    let item_@t = sublane + @t * SUBGROUP;
    let sum_@t = weight_sum[@t] + subgroupShuffleXor(weight_sum[@t], 1u);
    if item_@t < ITEMS && item_@t % 2u == 0u {
        row_sums[subgroup * ROWS + item_@t / 2u] = sum_@t;
        row_references[subgroup * ROWS + item_@t / 2u] = reference[@t];
    }
    //#end
    //#repeat p PARTS
    workgroupBarrier();
    //#repeat r ROW_TILES
    //#repeat e PER_PART
    let out_at_@r_@p_@e = base + @r * M * SCORE_PITCH + @e * M / 4u;
    coopStoreT(sums_@r_@p_@e, &memory.scores[out_at_@r_@p_@e], SCORE_PITCH);
    //#end
    //#end
    workgroupBarrier();
    if stored {
        store(head_base, base, subgroup, @p * PART, sublane);
    }
    //#end
}

// Where the tiles' vectors go: keys as a row for each slot, values as a row for each dimension.
fn key_place(vector: u32) -> u32 {
    let matrix = vector / TILE_VECS;
    let row = vector % TILE_VECS / TILE_PITCH;
    return (matrix / DEPTHS * M + row) * KEY_PITCH + matrix % DEPTHS * TILE_PITCH + vector % TILE_PITCH;
}

fn value_place(vector: u32) -> u32 {
    let matrix = vector / TILE_VECS;
    let row = vector % TILE_VECS / TILE_PITCH;
    return (matrix % DEPTHS * M + row) * VALUE_PITCH + matrix / DEPTHS * TILE_PITCH + vector % TILE_PITCH;
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
        memory.weights[base + row * SCORE_PITCH + column] = four;
    }
}

fn rescale(base: u32, subgroup: u32, sublane: u32) {
    for (var item = sublane; item < ROWS * PART; item += SUBGROUP) {
        memory.scores[base + item / PART * SCORE_PITCH + item % PART] *= row_factors[subgroup * ROWS + item / PART];
    }
}

fn store(head_base: u32, base: u32, subgroup: u32, part: u32, sublane: u32) {
    for (var item = sublane; item < GROUP * PART; item += SUBGROUP) {
        let row = item / PART;
        let of_row = vec2(row_references[subgroup * ROWS + row], row_sums[subgroup * ROWS + row]);
        leave(head_base + row, part + item % PART, memory.scores[base + row * SCORE_PITCH + item % PART], of_row);
    }
}
