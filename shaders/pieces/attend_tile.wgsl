// attend_tile: a running softmax of ROWS query rows over keys that come TILE_KEYS at a time.
//
// A row is one query head of one token; all rows share one KV head, so each key and value is loaded once for all of
// them. The kernel fills `query_tile` and `row_limit`, calls `begin`, then `attend_tile` for each tile, and reads
// `sums`, `row_max` and `row_total`. LANES lanes; every function is called from uniform control flow.
//
// Scores: a lane computes 4 rows x KEYS_PER_LANE keys. Values: a lane sums ROWS_PER_LANE rows x 8 dimensions.
//
//#import numbers
//#import cache      keys, values, Cached, unpack_cached, key_scale, value_scale
//#const  HEAD_DIM ROWS TILE_KEYS

const LANES: u32 = 128u;
const EIGHTHS: u32 = HEAD_DIM / 8u;
const KEYS_PER_LANE: u32 = ROWS * TILE_KEYS / (4u * LANES);
const KEY_LANES: u32 = TILE_KEYS / KEYS_PER_LANE;
const ROW_LANES: u32 = LANES / EIGHTHS;
const ROWS_PER_LANE: u32 = (ROWS + ROW_LANES - 1u) / ROW_LANES;
const LANES_PER_ROW: u32 = LANES / ROWS;
const SCALE: f32 = inverseSqrt(f32(HEAD_DIM));

var<workgroup> query_tile: array<vec4<u32>, ROWS * EIGHTHS>;
var<workgroup> row_limit: array<i32, ROWS>;     // last position that the row may see
var<workgroup> row_max: array<f32, ROWS>;
var<workgroup> row_total: array<f32, ROWS>;
var<workgroup> row_rescale: array<f32, ROWS>;
var<workgroup> store_tile: array<Cached, TILE_KEYS * EIGHTHS>; // keys, then values
var<workgroup> score_tile: array<f32, ROWS * TILE_KEYS>;
var<workgroup> parts: array<f32, LANES>;

// (row of this lane, eighth of this lane)
var<private> sums: array<Eight, ROWS_PER_LANE>;

fn begin(lane: u32) {
    if lane < ROWS {
        row_max[lane] = LOWEST;
        row_total[lane] = 0.0;
    }
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
        sums[r] = Eight(vec4(0.0), vec4(0.0));
    }
    workgroupBarrier();
}

// Takes in the keys at positions `position` .. `position + count`, which lie from row `first_row` of the cache on.
fn attend_tile(lane: u32, first_row: u32, position: u32, count: u32) {
    for (var i = lane; i < count * EIGHTHS; i += LANES) {
        store_tile[i] = keys[first_row * EIGHTHS + i];
    }
    workgroupBarrier();
    score(lane, first_row, position, count);
    workgroupBarrier();
    for (var i = lane; i < count * EIGHTHS; i += LANES) {
        store_tile[i] = values[first_row * EIGHTHS + i];
    }
    soften(lane);
    add_values(lane, first_row, count);
    workgroupBarrier();
}

fn score(lane: u32, first_row: u32, position: u32, count: u32) {
    let row = (lane / KEY_LANES) * 4u;
    let key = lane % KEY_LANES;
    var dots: array<vec4<f32>, KEYS_PER_LANE>;
    for (var e = 0u; e < EIGHTHS; e++) {
        let q0 = unpack_eight(query_tile[row * EIGHTHS + e]);
        let q1 = unpack_eight(query_tile[(row + 1u) * EIGHTHS + e]);
        let q2 = unpack_eight(query_tile[(row + 2u) * EIGHTHS + e]);
        let q3 = unpack_eight(query_tile[(row + 3u) * EIGHTHS + e]);
        for (var i = 0u; i < KEYS_PER_LANE; i++) {
            let k = unpack_cached(store_tile[(key + i * KEY_LANES) * EIGHTHS + e]);
            dots[i] += vec4(dot_eight(q0, k), dot_eight(q1, k), dot_eight(q2, k), dot_eight(q3, k));
        }
    }
    for (var i = 0u; i < KEYS_PER_LANE; i++) {
        let place = key + i * KEY_LANES;
        let scale = SCALE * key_scale(first_row + min(place, count - 1u));
        for (var r = 0u; r < 4u; r++) {
            let seen = place < count && i32(position + place) <= row_limit[row + r];
            score_tile[(row + r) * TILE_KEYS + place] = select(LOWEST, dots[i][r] * scale, seen);
        }
    }
}

// Turns scores into weights relative to the row's running maximum, LANES_PER_ROW lanes to a row.
fn soften(lane: u32) {
    let row = lane / LANES_PER_ROW;
    let first = row * TILE_KEYS + lane % LANES_PER_ROW;
    var largest = LOWEST;
    for (var i = 0u; i < TILE_KEYS; i += LANES_PER_ROW) {
        largest = max(largest, score_tile[first + i]);
    }
    parts[lane] = largest;
    workgroupBarrier();
    let before = row_max[row];
    for (var i = 0u; i < LANES_PER_ROW; i++) {
        largest = max(largest, parts[row * LANES_PER_ROW + i]);
    }
    let maximum = max(before, largest);
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < TILE_KEYS; i += LANES_PER_ROW) {
        let value = score_tile[first + i];
        // While a row has seen no key at all its maximum is LOWEST too, and the difference would be zero.
        let weight = select(0.0, exp(value - maximum), value > LOWEST);
        score_tile[first + i] = weight;
        total += weight;
    }
    parts[lane] = total;
    workgroupBarrier();
    if lane % LANES_PER_ROW == 0u {
        for (var i = 1u; i < LANES_PER_ROW; i++) {
            total += parts[lane + i];
        }
        let rescale = exp(max(before - maximum, -80.0));
        row_rescale[row] = rescale;
        row_total[row] = row_total[row] * rescale + total;
        row_max[row] = maximum;
    }
    workgroupBarrier();
}

fn add_values(lane: u32, first_row: u32, count: u32) {
    if lane >= ROW_LANES * EIGHTHS {
        return;
    }
    let row = (lane / EIGHTHS) * ROWS_PER_LANE;
    let eighth = lane % EIGHTHS;
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
        let rescale = row_rescale[min(row + r, ROWS - 1u)];
        sums[r] = Eight(sums[r].low * rescale, sums[r].high * rescale);
    }
    for (var key = 0u; key < count; key++) {
        let v = unpack_cached(store_tile[key * EIGHTHS + eighth]);
        let scale = value_scale(first_row + key);
        for (var r = 0u; r < ROWS_PER_LANE; r++) {
            let weight = score_tile[min(row + r, ROWS - 1u) * TILE_KEYS + key] * scale;
            sums[r] = Eight(sums[r].low + weight * v.low, sums[r].high + weight * v.high);
        }
    }
}
