// quantize_row: one token's activations as 8-bit integers with a step for each CHUNK of neighbours.
//
//     step[g] = max |x[c]| / 127 over c in chunk g,   a[c] = round(x[c] / step[g])
//
// A lane takes a chunk. Beside each step stands step * sum of the chunk's integers, which weights with a bias need. The order
// of the integers is that of the `round` piece.
// Host: src/ops/quantize_row.rs. Twin: src/reference/quantize_row.rs.
//
//#import numbers             unpack_eight
//#import round               largest_of, steps_per_one, round_eight
//#const  GROUP_SIZE CHUNK    CHUNK is a multiple of 16

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
    var most_bits = 0u;
    for (var i = 0u; i < CHUNK / 8u; i++) {
        most_bits = max(most_bits, largest_of(unpack_eight(x[chunk * (CHUNK / 8u) + i])));
    }
    let most = bitcast<f32>(most_bits);
    var sum = 0;
    for (var i = 0u; i < CHUNK / 8u; i++) {
        let at = chunk * (CHUNK / 8u) + i;
        let rounded = round_eight(unpack_eight(x[at]), steps_per_one(most));
        integers[at] = rounded.words;
        sum += rounded.sum;
    }
    let step = most / 127.0;
    steps[chunk] = vec2(step, step * f32(sum));
}
