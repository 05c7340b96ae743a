// compress_keys: means of the rotated keys over the windows that a chunk of tokens completes, fine and coarse at once.
//
//     fine[g, j]   = mean(keys[g, STRIDE * j .. STRIDE * j + 2 * STRIDE])
//     coarse[g, j] = mean(keys[g, BLOCK * j .. BLOCK * j + 2 * BLOCK])
//
// rounded to bf16 where BF16, and kept in f16 (which holds every bf16 from 2^-14 on).
//
// A window is written when its last token arrives, so the chunk's size and start do not matter, and after the cache was
// cut the windows that new tokens complete are written again. One workgroup per window and KV head; every key is read
// four times in all (two fine and two coarse windows), which at 128K tokens is 0.3 GB, far below one layer's attention.
// The means are of the keys as they lie in the cache, 8-bit ones included: a window may begin in an earlier chunk, of which
// nothing else is left, and so chunks of any size give the same means.
//
// Host: src/ops/compress_keys.rs. Twin: src/reference/compress_keys.rs.
//
//#import numbers                                  pack_half, nearest_bf16
//#import cache                                    keys, unpack_cached, key_scale
//#const  GROUP_SIZE HEAD_DIM STRIDE BLOCK SLICES BF16  SLICES = GROUP_SIZE / (HEAD_DIM / 8)

struct Params {
    capacity: u32,     // tokens that the cache holds
    first_fine: u32,   // first window that this chunk completes
    fine_count: u32,
    first_coarse: u32,
}

@group(0) @binding(4) var<storage, read_write> fine: array<u32>;        // (kv_heads, capacity / STRIDE, HEAD_DIM / 2)
@group(0) @binding(5) var<storage, read_write> coarse: array<u32>;      // (kv_heads, capacity / BLOCK, HEAD_DIM / 2)
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> parts: array<vec2<f32>, SLICES * HEAD_DIM / 2u>;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let is_fine = group.x < params.fine_count;
    let window = select(params.first_coarse + group.x - params.fine_count, params.first_fine + group.x, is_fine);
    let stride = select(BLOCK, STRIDE, is_fine);

    // Lanes next to each other read one token's row; slices of lanes take every SLICES-th token.
    let column = lane % (HEAD_DIM / 8u);
    let slice = lane / (HEAD_DIM / 8u);
    let first_row = group.y * params.capacity + window * stride;
    if slice < SLICES {
        var low = vec4(0.0);
        var high = vec4(0.0);
        for (var token = slice; token < 2u * stride; token += SLICES) {
            let row = first_row + token;
            let eight = unpack_cached(keys[row * (HEAD_DIM / 8u) + column]);
            let scale = key_scale(row);
            low += eight.low * scale;
            high += eight.high * scale;
        }
        let at = slice * (HEAD_DIM / 2u) + column * 4u;
        parts[at] = low.xy;
        parts[at + 1u] = low.zw;
        parts[at + 2u] = high.xy;
        parts[at + 3u] = high.zw;
    }
    workgroupBarrier();

    if lane < HEAD_DIM / 2u {
        var sum = vec2(0.0);
        for (var i = 0u; i < SLICES; i++) {
            sum += parts[i * (HEAD_DIM / 2u) + lane];
        }
        var means = sum / f32(2u * stride);
        if BF16 {
            means = vec2(rounded(means.x), rounded(means.y));
        }
        let mean = pack_half(means);
        let target_row = group.y * (params.capacity / stride) + window;
        if is_fine {
            fine[target_row * (HEAD_DIM / 2u) + lane] = mean;
        } else {
            coarse[target_row * (HEAD_DIM / 2u) + lane] = mean;
        }
    }
}

fn rounded(value: f32) -> f32 {
    let bits = bitcast<u32>(value);
    // Infinities and what is no number stay, so that they are noticed.
    return bitcast<f32>(select(nearest_bf16(bits), bits, (bits & 0x7F800000u) == 0x7F800000u));
}
