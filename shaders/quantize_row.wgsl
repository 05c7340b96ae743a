// quantize_row: activations as 8-bit integers with a step for each CHUNK of neighbours.
//
//     step[g] = max |x[c]| / 127 over c in chunk g,   a[c] = round(x[c] / step[g])
//
// A lane takes a chunk. Beside each step stands step * sum of the chunk's integers, which weights with a bias need. The order
// of the integers is that of the `round` piece. Behind the steps stand squares that come to one on average: the mark of a row
// that is normalised already (see pieces/norm_factor.wgsl).
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
@group(0) @binding(2) var<storage, read_write> steps: array<vec2<f32>>;      // (2 chunks): step, step * sum; squares
@group(0) @binding(3) var<uniform> params: Params;

// One token.
@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.chunks {
        round_chunk(id.x);
        steps[params.chunks + id.x] = vec2(f32(CHUNK), 0.0);
    }
}

// The rows of many tokens, one after the other; nobody asks for their squares.
@compute @workgroup_size(GROUP_SIZE)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let chunk = (group.x + group.y * groups.x) * GROUP_SIZE + lane;
    if chunk < params.chunks {
        round_chunk(chunk);
    }
}

fn round_chunk(chunk: u32) {
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
