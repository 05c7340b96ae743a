// row_out, rounded: leaves one row as floats and as what shaders/quantize_row.wgsl makes of these, which saves a dispatch.
//
//#import numbers    Eight, pack_halves, unpack_eight
//#import round      largest_of, steps_per_one, round_eight
//#const  GROUP_SIZE CHUNK CHUNKS    CHUNKS: of the whole row

@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;        // (columns / 8) eights of f16
@group(0) @binding(4) var<storage, read_write> integers: array<vec2<u32>>;   // (columns / 8) eights of i8
@group(0) @binding(5) var<storage, read_write> steps: array<vec2<f32>>;      // (2 CHUNKS): step, step * sum; squares

const PER_CHUNK: u32 = CHUNK / 8u;

var<workgroup> eight_most: array<u32, GROUP_SIZE>;
var<workgroup> eight_sum: array<i32, GROUP_SIZE>;

// Call from uniform control flow, the eights of a chunk on neighbouring lanes; lanes without work pass false.
fn store_eight(at: u32, value: Eight, lane: u32, at_work: bool) {
    let halves = pack_halves(value);
    let kept = unpack_eight(halves);
    eight_most[lane] = largest_of(kept);
    workgroupBarrier();
    let first = lane / PER_CHUNK * PER_CHUNK;
    var most_bits = 0u;
    for (var i = 0u; i < PER_CHUNK; i++) {
        most_bits = max(most_bits, eight_most[first + i]);
    }
    let most = bitcast<f32>(most_bits);
    let rounded = round_eight(kept, steps_per_one(most));
    eight_sum[lane] = rounded.sum;
    workgroupBarrier();
    if at_work {
        out[at] = halves;
        integers[at] = rounded.words;
    }
    if at_work && lane == first {
        var sum = 0;
        for (var i = 0u; i < PER_CHUNK; i++) {
            sum += eight_sum[first + i];
        }
        let step = most / 127.0;
        steps[at / PER_CHUNK] = vec2(step, step * f32(sum));
        // The mark of a row that is normalised already: squares that come to one on average.
        steps[CHUNKS + at / PER_CHUNK] = vec2(f32(CHUNK), 0.0);
    }
}
