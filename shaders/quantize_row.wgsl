// quantize_row: one token's activations as 8-bit integers with a step for each CHUNK of neighbours.
//
//     step[g] = max |x[c]| / 127 over c in chunk g,   a[c] = round(x[c] / step[g])
//
// A lane takes a chunk. Where SPLIT says so, of every eight neighbours the even ones come first: the order in which masks
// and shifts take 4-bit weights out of a word. Beside each step stands step * sum of the chunk's integers, which weights
// with a bias need.
// Host: src/ops/quantize_row.rs. Twin: src/reference/quantize_row.rs.
//
//#import numbers                        Eight, unpack_eight
//#const  GROUP_SIZE CHUNK SPLIT    CHUNK is a multiple of 16

struct Params {
    chunks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;                // (chunks, CHUNK / 8) eights of f16
@group(0) @binding(1) var<storage, read_write> integers: array<vec2<u32>>;   // (chunks, CHUNK / 8) eights of i8
@group(0) @binding(2) var<storage, read_write> steps: array<vec2<f32>>;      // (chunks), step, step * sum
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chunk = id.x;
    if chunk >= params.chunks {
        return;
    }
    var most = 0.0;
    for (var i = 0u; i < CHUNK / 8u; i++) {
        let eight = unpack_eight(x[chunk * (CHUNK / 8u) + i]);
        let larger = max(abs(eight.low), abs(eight.high));
        most = max(most, max(max(larger.x, larger.y), max(larger.z, larger.w)));
    }
    let per_step = select(0.0, 127.0 / most, most > 0.0);
    var sum = 0;
    for (var i = 0u; i < CHUNK / 8u; i++) {
        let at = chunk * (CHUNK / 8u) + i;
        let eight = unpack_eight(x[at]);
        let low = vec4<i32>(round(eight.low * per_step));
        let high = vec4<i32>(round(eight.high * per_step));
        let four = low + high;
        sum += four.x + four.y + four.z + four.w;
        if SPLIT {
            integers[at] = vec2(pack4xI8(vec4(low.xz, high.xz)), pack4xI8(vec4(low.yw, high.yw)));
        } else {
            integers[at] = vec2(pack4xI8(low), pack4xI8(high));
        }
    }
    let step = most / 127.0;
    steps[chunk] = vec2(step, step * f32(sum));
}
