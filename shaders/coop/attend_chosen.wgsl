enable f16;
enable wgpu_cooperative_matrix;
// attend_chosen: second pass of attend_sparse over a chunk with cooperative matrices, the blocks that every token chose for
// itself. At its end it joins what the first pass (attend_sparse.wgsl beside this file) left of the forced blocks.
//
//     memory.scores[slot, head] = keys[slot, :] . q[head, :]            left keys, right queries
//     sums[dim, head]   += values[dim, slots] . memory.weights[slots, head]      left values, right weights
//
// A workgroup takes one token and one KV head: the heads of the group are the columns of its tile (padded to whole matrices),
// KEYS slots of a block the rows. Its SPLIT subgroups share the tile: each computes OWN_SLOTS matrices of the scores and then
// OWN_OUT * OUT_PARTS matrices of the sums. So every key and value goes straight into the registers of one subgroup, once, in
// matrices that tile_cache.wgsl wrote in one piece; and values are under way while the weights are computed.
//
// Scores and weights pass through workgroup memory, because the elements of a matrix cannot be touched; how weights keep a
// reference instead of the running maximum is told in attend_coop.wgsl.
//
// Floor at 128K tokens, 32 heads of 128: 8.8 TFLOP, 0.55 TB of keys and values. An H100 takes 70 ms, 7.9 TB/s. With keys and
// values on the right side 94: NVIDIA's compiler loads a right matrix of a buffer by 16 bits and a left one by 32. One subgroup
// for a tile 73, two 70; with one and the same block on every list, so that all comes from the first-level cache, 52.
//
// Host: src/ops/attend_chosen.rs. Twin: src/reference/attend_sparse.rs.
//
//#import numbers                     LOWEST
//#const  M SUBGROUP SPLIT HEADS GROUP HEAD_DIM SCALE ROW_TILES DEPTHS PARTS PER_PART KEYS SLOT_TILES OWN_SLOTS OUT_PARTS OWN_OUT
//#const  ROW_LANES HALVINGS VECTORS TURNS BLOCK BUDGET INIT_BLOCKS LOCAL_BLOCKS
//        GROUP at most 16; ROW_TILES = GROUP / M rounded up; a head is DEPTHS matrices, in PARTS parts of PER_PART that are no
//        wider than KEYS; SLOT_TILES = KEYS / M = SPLIT * OWN_SLOTS; DEPTHS = SPLIT * OUT_PARTS * OWN_OUT, SPLIT * OWN_OUT
//        matrices no wider than KEYS; a row of scores is read by ROW_LANES = 2^HALVINGS lanes, VECTORS each, in TURNS turns

const LANES: u32 = SPLIT * SUBGROUP;
const KV_HEADS: u32 = HEADS / GROUP;
const ROWS: u32 = ROW_TILES * M;
const VECS: u32 = HEAD_DIM / 4u;
const PART: u32 = PER_PART * M / 4u;           // vectors of a head that are staged at a time
const OUT_VECS: u32 = OWN_OUT * M / 4u;        // vectors of a subgroup's sums that pass through memory at a time
const RISE: f32 = 8.0;
// Pitches are in vectors; the padding keeps what is touched together in different banks, and matrices aligned to 16 bytes.
const SCORE_PITCH: u32 = KEYS / 4u + 1u;
const WEIGHT_PITCH: u32 = KEYS / 4u + 2u;
const TILE_PITCH: u32 = M / 4u;
const TILE_VECS: u32 = M * M / 4u;

struct Params {
    start: u32,      // position of token 0
    capacity: u32,   // tokens that the tiles hold
    tokens: u32,
    lead: u32,       // 0
}

@group(0) @binding(0) var<storage, read> q: array<vec4<f16>>;          // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(1) var<storage, read> keys: array<vec4<f16>>;       // (kv_heads, capacity / M, DEPTHS, M slots, M / 4 fours)
@group(0) @binding(2) var<storage, read> values: array<vec4<f16>>;     // (kv_heads, capacity / M, DEPTHS, M dims, M / 4 fours)
@group(0) @binding(3) var<storage, read> ids: array<u32>;              // (tokens, kv_heads, BUDGET)
@group(0) @binding(4) var<storage, read> parts: array<vec2<f32>>;      // (tokens, HEADS) of the forced: reference, sum
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f16>>;  // (tokens, HEADS, HEAD_DIM / 4) fours
@group(0) @binding(6) var<uniform> params: Params;

// One structure, because that places it: a matrix is loaded from addresses that are multiples of 16 bytes, four halves need
// only 8, and four floats pull all of it to 16. (A driver that was given less read wrong numbers.)
struct Memory {
    scores: array<vec4<f32>, ROWS * SCORE_PITCH>,      // (head, slot); also sums, (head, dim)
    weights: array<vec4<f16>, ROWS * WEIGHT_PITCH>,    // (head, slot); also queries, (head, dim)
}
var<workgroup> memory: Memory;
var<workgroup> row_sums: array<f32, ROWS>;
var<workgroup> row_references: array<f32, ROWS>;
var<workgroup> row_factors: array<f32, ROWS>;
var<workgroup> risen: u32;

// Workgroup: token, KV head.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let token = group.x;
    let last = (params.start + token) / BLOCK;
    let chosen = min(last + 1u, BUDGET) - min(last + 1u, INIT_BLOCKS + LOCAL_BLOCKS);
    let steps = chosen * (BLOCK / KEYS);
    let list = (token * KV_HEADS + group.y) * BUDGET + INIT_BLOCKS;
    let first_head = token * HEADS + group.y * GROUP;
    if lane == 0u {
        risen = 0u;
    }

    // Matrices have names: an array of them would not stay in registers.
    //#repeat p PARTS
    workgroupBarrier();
    stage_queries(first_head, @p * PART, lane);
    workgroupBarrier();
    //#repeat r ROW_TILES
    //#repeat e PER_PART
    let heads_at_@r_@p_@e = @r * M * WEIGHT_PITCH + @e * M / 4u;
    let heads_@r_@p_@e = coopLoad<coop_matMxM<f16, B>>(&memory.weights[heads_at_@r_@p_@e], WEIGHT_PITCH);
    //#end
    //#end
    //#end
    //#repeat r ROW_TILES
    //#repeat o OUT_PARTS
    //#repeat e OWN_OUT
    var sums_@r_@o_@e: coop_matMxM<f32, C>;
    //#end
    //#end
    //#end
    var reference: array<f32, TURNS>;
    var weight_sum: array<f32, TURNS>;
    //#repeat t TURNS
    reference[@t] = LOWEST;
    weight_sum[@t] = 0.0;
    //#end
    let own_depths = subgroup * OUT_PARTS * OWN_OUT;
    var next_block = ids[list];
    for (var step = 0u; step < steps; step++) {
        let slot = next_block * BLOCK + step % (BLOCK / KEYS) * KEYS;
        let tile = (group.y * params.capacity + slot) * VECS;
        // Asked for a step ahead. Past the chosen blocks come the local ones, so this is always within the list.
        next_block = ids[list + (step + 1u) / (BLOCK / KEYS)];
        //#repeat j OWN_SLOTS
        let own_@j = subgroup * OWN_SLOTS + @j;
        //#repeat r ROW_TILES
        var products_@j_@r: coop_matMxM<f32, C>;
        //#end
        //#repeat p PARTS
        //#repeat e PER_PART
        let key_at_@j_@p_@e = tile + (own_@j * DEPTHS + @p * PER_PART + @e) * TILE_VECS;
        let key_@j_@p_@e = coopLoadT<coop_matMxM<f16, A>>(&keys[key_at_@j_@p_@e], TILE_PITCH);
        //#repeat r ROW_TILES
        products_@j_@r = coopMultiplyAdd(key_@j_@p_@e, heads_@r_@p_@e, products_@j_@r);
        //#end
        //#end
        //#end
        //#repeat r ROW_TILES
        let score_at_@j_@r = @r * M * SCORE_PITCH + own_@j * M / 4u;
        coopStore(products_@j_@r, &memory.scores[score_at_@j_@r], SCORE_PITCH);
        //#end
        //#end
        //#repeat j SLOT_TILES
        //#repeat o OUT_PARTS
        //#repeat e OWN_OUT
        let value_at_@j_@o_@e = tile + (@j * DEPTHS + own_depths + @o * OWN_OUT + @e) * TILE_VECS;
        let value_@j_@o_@e = coopLoadT<coop_matMxM<f16, A>>(&values[value_at_@j_@o_@e], TILE_PITCH);
        //#end
        //#end
        //#end
        workgroupBarrier();

        //#repeat t TURNS
        {
            let item = lane + @t * LANES;
            let row = min(item / ROW_LANES, ROWS - 1u);
            let column = item % ROW_LANES;
            var most = LOWEST;
            //#repeat c VECTORS
            let score_@c = memory.scores[row * SCORE_PITCH + column + @c * ROW_LANES] * SCALE;
            most = max(most, max(max(score_@c.x, score_@c.y), max(score_@c.z, score_@c.w)));
            //#end
            //#repeat h HALVINGS
            most = max(most, subgroupShuffleXor(most, 1u << @hu));
            //#end
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
            let weight_@c = vec4<f16>(exp(score_@c - reference[@t]));
            if item < ROWS * ROW_LANES {
                memory.weights[row * WEIGHT_PITCH + column + @c * ROW_LANES] = weight_@c;
            }
            sum += vec4<f32>(weight_@c);
            //#end
            weight_sum[@t] = weight_sum[@t] * factor + (sum.x + sum.y) + (sum.z + sum.w);
            if column == 0u && item < ROWS * ROW_LANES {
                row_factors[row] = factor;
            }
        }
        //#end
        if workgroupUniformLoad(&risen) != 0u {
            // The scores are used up, so their memory is free for the sums, a part of a head at a time.
            //#repeat o OUT_PARTS
            //#repeat r ROW_TILES
            //#repeat e OWN_OUT
            let old_at_@o_@r_@e = @r * M * SCORE_PITCH + (subgroup * OWN_OUT + @e) * M / 4u;
            coopStore(sums_@r_@o_@e, &memory.scores[old_at_@o_@r_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            for (var item = lane; item < ROWS * SPLIT * OUT_VECS; item += LANES) {
                let row = item / (SPLIT * OUT_VECS);
                memory.scores[row * SCORE_PITCH + item % (SPLIT * OUT_VECS)] *= row_factors[row];
            }
            workgroupBarrier();
            //#repeat r ROW_TILES
            //#repeat e OWN_OUT
            sums_@r_@o_@e = coopLoad<coop_matMxM<f32, C>>(&memory.scores[old_at_@o_@r_@e], SCORE_PITCH);
            //#end
            //#end
            workgroupBarrier();
            //#end
            if lane == 0u {
                risen = 0u;
            }
        }

        //#repeat j SLOT_TILES
        //#repeat r ROW_TILES
        let weight_at_@j_@r = @r * M * WEIGHT_PITCH + @j * M / 4u;
        let weight_@j_@r = coopLoad<coop_matMxM<f16, B>>(&memory.weights[weight_at_@j_@r], WEIGHT_PITCH);
        //#repeat o OUT_PARTS
        //#repeat e OWN_OUT
        sums_@r_@o_@e = coopMultiplyAdd(value_@j_@o_@e, weight_@j_@r, sums_@r_@o_@e);
        //#end
        //#end
        //#end
        //#end
    }

    //#repeat t TURNS
    {
        let item = lane + @t * LANES;
        var sum = weight_sum[@t];
        //#repeat h HALVINGS
        sum += subgroupShuffleXor(sum, 1u << @hu);
        //#end
        if item % ROW_LANES == 0u && item < ROWS * ROW_LANES {
            row_sums[item / ROW_LANES] = sum;
            row_references[item / ROW_LANES] = reference[@t];
        }
    }
    //#end
    //#repeat o OUT_PARTS
    workgroupBarrier();
    //#repeat r ROW_TILES
    //#repeat e OWN_OUT
    let out_at_@o_@r_@e = @r * M * SCORE_PITCH + (subgroup * OWN_OUT + @e) * M / 4u;
    coopStore(sums_@r_@o_@e, &memory.scores[out_at_@o_@r_@e], SCORE_PITCH);
    //#end
    //#end
    workgroupBarrier();
    join(first_head, @o * OUT_VECS, lane);
    //#end
}

// A part of the token's queries into the weights' memory: rows past the group are zero.
fn stage_queries(first_head: u32, part: u32, lane: u32) {
    for (var item = lane; item < ROWS * PART; item += LANES) {
        let row = item / PART;
        var four = vec4<f16>();
        if row < GROUP {
            four = q[(first_head + row) * VECS + part + item % PART];
        }
        memory.weights[row * WEIGHT_PITCH + item % PART] = four;
    }
}

// OUT_VECS vectors of every subgroup's dimensions, from its `part` on: what was forced and what was chosen under one softmax.
fn join(first_head: u32, part: u32, lane: u32) {
    for (var item = lane; item < GROUP * SPLIT * OUT_VECS; item += LANES) {
        let row = item / (SPLIT * OUT_VECS);
        let column = item % (SPLIT * OUT_VECS);
        let forced = parts[first_head + row];
        let most = max(forced.x, row_references[row]);
        let weight = forced.y * exp(forced.x - most);
        let factor = exp(row_references[row] - most);
        let at = (first_head + row) * VECS + column / OUT_VECS * (OUT_PARTS * OUT_VECS) + part + column % OUT_VECS;
        let joined = vec4<f32>(out[at]) * weight + memory.scores[row * SCORE_PITCH + column] * factor;
        out[at] = vec4<f16>(joined / (weight + row_sums[row] * factor));
    }
}
