// cache, 16-bit floats: eight neighbouring values of a key or value as they lie there. Host: src/ops/cached.rs,
// CacheFormat::F16. What is read times the row's scale is the key or value; here the scales are 1.
//
//#import numbers    Eight
//#const  HEAD_DIM   a multiple of 8

alias Cached = vec4<u32>;

@group(0) @binding(1) var<storage, read> keys: array<vec4<u32>>;        // (kv_heads, capacity, HEAD_DIM / 8)
@group(0) @binding(2) var<storage, read> values: array<vec4<u32>>;      // (kv_heads, capacity, HEAD_DIM / 8)

fn unpack_cached(eight: Cached) -> Eight {
    return unpack_eight(eight);
}

// Two neighbouring values; `pair` counts them.
fn value_pair(row: u32, pair: u32) -> vec2<f32> {
    return unpack2x16float(values[row * (HEAD_DIM / 8u) + pair / 4u][pair % 4u]);
}

fn key_scale(row: u32) -> f32 {
    return 1.0;
}

fn value_scale(row: u32) -> f32 {
    return 1.0;
}
