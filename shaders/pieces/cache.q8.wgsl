// cache, 8-bit integers: eight neighbouring values of a key or value as they lie there. Host: src/ops/cached.rs,
// CacheFormat::Q8. What is read times the row's scale is the key or value; sums take the scale once, at their end.
//
//#import numbers    Eight
//#const  HEAD_DIM   a multiple of 8

alias Cached = vec2<u32>;

@group(0) @binding(1) var<storage, read> keys: array<vec2<u32>>;        // (kv_heads, capacity, HEAD_DIM / 8), first in the low bits
@group(0) @binding(2) var<storage, read> values: array<vec2<u32>>;      // (kv_heads, capacity, HEAD_DIM / 8)
@group(0) @binding(3) var<storage, read> scales: array<vec2<f32>>;      // (kv_heads, capacity): of the key, of the value

fn unpack_cached(eight: Cached) -> Eight {
    return Eight(vec4<f32>(unpack4xI8(eight.x)), vec4<f32>(unpack4xI8(eight.y)));
}

// Two neighbouring values; `pair` counts them.
fn value_pair(row: u32, pair: u32) -> vec2<f32> {
    let word = values[row * (HEAD_DIM / 8u) + pair / 4u][pair / 2u % 2u];
    return vec2<f32>(unpack4xI8(word >> (pair % 2u * 16u)).xy);
}

fn key_scale(row: u32) -> f32 {
    return scales[row].x;
}

fn value_scale(row: u32) -> f32 {
    return scales[row].y;
}
