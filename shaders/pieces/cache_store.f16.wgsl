// cache_store, 16-bit floats: writes a key or value to its row of the cache. What it is read by: cache.f16.wgsl.
//
//#import numbers    pack_half
//#const  HEAD_DIM   a multiple of 8

@group(0) @binding(3) var<storage, read_write> keys: array<vec2<u32>>;      // (kv_heads, capacity, HEAD_DIM / 4)
@group(0) @binding(4) var<storage, read_write> values: array<vec2<u32>>;    // (kv_heads, capacity, HEAD_DIM / 4)

// A lane has four values of the first half of a row and the same four of its second half: `part` of HEAD_DIM / 8. Call
// from uniform control flow, the parts of a row on neighbouring lanes; lanes without work pass false.
fn store_row(row: u32, is_key: bool, first: vec4<f32>, second: vec4<f32>, part: u32, lane: u32, at_work: bool) {
    let at = row * (HEAD_DIM / 4u) + part;
    let low = vec2(pack_half(first.xy), pack_half(first.zw));
    let high = vec2(pack_half(second.xy), pack_half(second.zw));
    if at_work && is_key {
        keys[at] = low;
        keys[at + HEAD_DIM / 8u] = high;
    } else if at_work {
        values[at] = low;
        values[at + HEAD_DIM / 8u] = high;
    }
}
