// round_out: OUTPUTS neighbours of a row as integers for the matrix that reads them next, as shaders/quantize_row.wgsl
// leaves them, but straight from f32.
//
//#import numbers             Eight
//#import round               largest_of, steps_per_one, round_eight
//#const  OUT_CHUNK SPLIT     OUT_CHUNK: neighbours that share a step, 16 or 32

@group(0) @binding(6) var<storage, read_write> integers: array<vec2<u32>>;   // (columns / 8) eights of i8
@group(0) @binding(7) var<storage, read_write> steps: array<vec2<f32>>;      // (2 columns / OUT_CHUNK): step, step * sum; squares

const OUT_EIGHTS: u32 = OUTPUTS / 8u;
const CHUNK_EIGHTS: u32 = OUT_CHUNK / 8u;

// The kernel writes them before it calls round_outputs.
var<workgroup> outputs: array<f32, OUTPUTS>;
var<workgroup> eight_most: array<u32, OUT_EIGHTS>;
var<workgroup> eight_sum: array<i32, OUT_EIGHTS>;

fn four_outputs(at: u32) -> vec4<f32> {
    return vec4(outputs[at], outputs[at + 1u], outputs[at + 2u], outputs[at + 3u]);
}

// Columns from `first` on. Begins with a barrier; call from uniform control flow.
fn round_outputs(first: u32, lane: u32) {
    workgroupBarrier();
    let own = min(lane, OUT_EIGHTS - 1u);
    let eight = Eight(four_outputs(own * 8u), four_outputs(own * 8u + 4u));
    if lane < OUT_EIGHTS {
        eight_most[lane] = largest_of(eight);
    }
    workgroupBarrier();
    let begin = own / CHUNK_EIGHTS * CHUNK_EIGHTS;
    var most_bits = 0u;
    for (var i = 0u; i < CHUNK_EIGHTS; i++) {
        most_bits = max(most_bits, eight_most[begin + i]);
    }
    let most = bitcast<f32>(most_bits);
    let rounded = round_eight(eight, steps_per_one(most));
    if lane < OUT_EIGHTS {
        eight_sum[lane] = rounded.sum;
        integers[first / 8u + lane] = rounded.words;
    }
    workgroupBarrier();
    if lane < OUT_EIGHTS && lane == begin {
        var sum = 0;
        for (var i = 0u; i < CHUNK_EIGHTS; i++) {
            sum += eight_sum[begin + i];
        }
        let step = most / 127.0;
        steps[first / OUT_CHUNK + begin / CHUNK_EIGHTS] = vec2(step, step * f32(sum));
    }
}
