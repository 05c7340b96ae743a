// matvec_rope_and_store: queries, keys and values of one token from its rounded row, rotated and stored, in one dispatch.
//
//     head = factor * (rows of the head . x);   queries and keys turned as in rope_and_store.wgsl;   values as they are
//
// A workgroup takes 16 pairs of dimensions of one head: rows i and i + HEAD_DIM / 2, which a rotation needs together.
// For caches of 16-bit floats: the 8-bit form needs a whole head to find its scale.
// Host: src/ops/matvec_rope_and_store.rs. Twin: src/reference/matvec_rope_and_store.rs.
//
//#import row_products           two_rows
//#import norm_factor            norm_share, norm_factor
//#import numbers                pack_half
//#const  HEADS KV_HEADS HEAD_DIM

struct Params {
    position: u32,
    capacity: u32, // positions of the cache
}

@group(0) @binding(4) var<storage, read> turns: array<vec2<f32>>;           // (HEAD_DIM / 2): cosine, sine
@group(0) @binding(5) var<storage, read_write> queries: array<u32>;         // (HEADS, HEAD_DIM / 2) pairs of f16
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;            // (KV_HEADS, capacity, HEAD_DIM / 2)
@group(0) @binding(7) var<storage, read_write> values: array<u32>;          // (KV_HEADS, capacity, HEAD_DIM / 2)
@group(0) @binding(8) var<uniform> params: Params;

const PAIRS: u32 = OUTPUTS / 2u;
const HALF: u32 = HEAD_DIM / 2u;
const PARTS: u32 = HALF / PAIRS;

var<workgroup> pairs: array<vec2<f32>, PAIRS>;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let share = norm_share(lane);
    let head = group.x / PARTS;
    let dimension = group.x % PARTS * PAIRS;
    let first = head * HEAD_DIM + dimension;
    let turn = turns[dimension + min(lane, PAIRS - 1u)];
    for (var at = 0u; at < PAIRS; at += TEAMS) {
        let place = at + lane / LANES;
        let pair = two_rows(first + place, first + HALF + place, lane);
        if lane % LANES == 0u {
            pairs[place] = pair;
        }
    }
    // Its barriers also show every lane the pairs.
    let factor = norm_factor(share, lane);
    var pair = pairs[min(lane, PAIRS - 1u)] * factor;
    if head < HEADS + KV_HEADS {
        pair = vec2(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
    }
    workgroupBarrier();
    if lane < PAIRS {
        pairs[lane] = pair;
    }
    workgroupBarrier();
    // Neighbouring dimensions share a word: eight words of the head's first half, eight of its second.
    if lane < PAIRS {
        let second_half = lane / (PAIRS / 2u);
        let at = lane % (PAIRS / 2u);
        let word = pack_half(vec2(pairs[at * 2u][second_half], pairs[at * 2u + 1u][second_half]));
        let column = second_half * (HALF / 2u) + dimension / 2u + at;
        if head < HEADS {
            queries[head * HALF + column] = word;
        } else if head < HEADS + KV_HEADS {
            keys[((head - HEADS) * params.capacity + params.position) * HALF + column] = word;
        } else {
            values[((head - HEADS - KV_HEADS) * params.capacity + params.position) * HALF + column] = word;
        }
    }
}
