// cache_store, 8-bit integers: writes a key or value to its row of the cache. What it is read by: cache.q8.wgsl.
//
//     scale = max |x| / 127,   q = round(x * (127 / max |x|)), halves to even
//
// A row that is zero throughout, or as good as that, has scale 0. Twin: `quantise` in src/reference/rope_and_store.rs.
//
//#const  GROUP_SIZE
//#const  HEAD_DIM   a multiple of 8

@group(0) @binding(3) var<storage, read_write> keys: array<u32>;            // (kv_heads, capacity, HEAD_DIM / 4)
@group(0) @binding(4) var<storage, read_write> values: array<u32>;          // (kv_heads, capacity, HEAD_DIM / 4)
@group(0) @binding(5) var<storage, read_write> scales: array<f32>;          // (kv_heads, capacity, 2): key, value

const LEAST_MAXIMUM: f32 = 1e-30; // its reciprocal is finite

// Lanes at the end that have no work look past their own row.
var<workgroup> part_most: array<f32, GROUP_SIZE + HEAD_DIM / 8u>;

// A lane has four values of the first half of a row and the same four of its second half: `part` of HEAD_DIM / 8. Call
// from uniform control flow, the parts of a row on neighbouring lanes; lanes without work pass false.
fn store_row(row: u32, is_key: bool, first: vec4<f32>, second: vec4<f32>, part: u32, lane: u32, at_work: bool) {
    let fours = max(abs(first), abs(second));
    let own = max(max(fours.x, fours.y), max(fours.z, fours.w));
    part_most[lane] = own;
    workgroupBarrier();
    var most = own;
    for (var i = 0u; i < HEAD_DIM / 8u; i++) {
        most = max(most, part_most[lane - part + i]);
    }
    workgroupBarrier();
    let has_scale = most >= LEAST_MAXIMUM;
    let inverse = select(0.0, 127.0 / most, has_scale);
    let low = pack4xI8(vec4<i32>(round(first * inverse)));
    let high = pack4xI8(vec4<i32>(round(second * inverse)));
    let at = row * (HEAD_DIM / 4u) + part;
    if at_work && is_key {
        keys[at] = low;
        keys[at + HEAD_DIM / 8u] = high;
    } else if at_work {
        values[at] = low;
        values[at + HEAD_DIM / 8u] = high;
    }
    if at_work && part == 0u {
        scales[row * 2u + select(1u, 0u, is_key)] = select(0.0, most / 127.0, has_scale);
    }
}
