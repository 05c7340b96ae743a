// attend_rows: a running softmax for drivers that run shaders on the processor, where each lane keeps ROWS rows of queries to itself.
//
// A workgroup is one subgroup, a vector register. Queries, sums, maximum and total of a row are on the lane's stack: no workgroup memory,
// no barrier. Lanes load a part of the key each and hand it to the others, because addresses cost and
// arithmetic does not (see processor/matmul.wgsl). The kernel calls `begin` for each of a lane's rows, `attend_key` for every key, from uniform
// control flow, and reads `result`.
//
//#import numbers       Eight, LOWEST, unpack_eight, pack_halves
//#import cache         Cached, keys, values, unpack_cached, key_scale, value_scale
//#const  HEAD_DIM ROWS LANES    LANES: lanes of a subgroup

const EIGHTHS: u32 = HEAD_DIM / 8u;
const PARTS: u32 = (EIGHTHS + LANES - 1u) / LANES; // of a key, one vector for each lane
const SCALE: f32 = inverseSqrt(f32(HEAD_DIM));
// Smaller exponents would give numbers too small to be normal.
const LEAST: f32 = -80.0;

@group(0) @binding(0) var<storage, read> queries: array<vec4<u32>>;     // (tokens, HEADS, HEAD_DIM / 8)

var<private> query: array<array<Eight, EIGHTHS>, ROWS>;
var<private> sums: array<array<Eight, EIGHTHS>, ROWS>;
var<private> largest: array<f32, ROWS>;
var<private> total: array<f32, ROWS>;
var<private> limit: array<u32, ROWS>;

// Row `r` of this lane: its query's first vector, and the last position that it sees.
fn begin(r: u32, place: u32, last: u32) {
    for (var e = 0u; e < EIGHTHS; e++) {
        let eight = unpack_eight(queries[place + e]);
        query[r][e] = Eight(eight.low * SCALE, eight.high * SCALE);
        sums[r][e] = Eight(vec4(0.0), vec4(0.0));
    }
    limit[r] = last;
    largest[r] = LOWEST;
    total[r] = 0.0;
}

// Takes in a score, and returns its weight. The first key, which every row sees, finds a total of zero.
fn weigh(r: u32, score: f32) -> f32 {
    if score > largest[r] {
        let shrink = exp(max(largest[r] - score, LEAST));
        largest[r] = score;
        total[r] *= shrink;
        for (var e = 0u; e < EIGHTHS; e++) {
            sums[r][e] = Eight(sums[r][e].low * shrink, sums[r][e].high * shrink);
        }
    }
    let weight = exp(max(score - largest[r], LEAST));
    total[r] += weight;
    return weight;
}

// Takes in the key and value in row `key` of the cache, which stand at `position`.
fn attend_key(lane: u32, key: u32, position: u32) {
    var own: array<Cached, PARTS>;
    for (var part = 0u; part < PARTS; part++) {
        own[part] = keys[key * EIGHTHS + min(part * LANES + lane, EIGHTHS - 1u)];
    }
    var dots: array<vec4<f32>, ROWS>;
    for (var e = 0u; e < EIGHTHS; e++) {
        let k = unpack_cached(subgroupShuffle(own[e / LANES], e % LANES));
        for (var r = 0u; r < ROWS; r++) {
            dots[r] += query[r][e].low * k.low + query[r][e].high * k.high;
        }
    }
    for (var part = 0u; part < PARTS; part++) {
        own[part] = values[key * EIGHTHS + min(part * LANES + lane, EIGHTHS - 1u)];
    }
    var weights: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        weights[r] = 0.0;
        if position <= limit[r] {
            weights[r] = weigh(r, dot(dots[r], vec4(1.0)) * key_scale(key)) * value_scale(key);
        }
    }
    for (var e = 0u; e < EIGHTHS; e++) {
        let v = unpack_cached(subgroupShuffle(own[e / LANES], e % LANES));
        for (var r = 0u; r < ROWS; r++) {
            sums[r][e] = Eight(sums[r][e].low + weights[r] * v.low, sums[r][e].high + weights[r] * v.high);
        }
    }
}

// An eighth of row `r`'s result, as f16.
fn result(r: u32, e: u32) -> vec4<u32> {
    return pack_halves(Eight(sums[r][e].low / total[r], sums[r][e].high / total[r]));
}
