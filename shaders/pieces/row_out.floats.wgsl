// row_out, floats: where a kernel leaves the rows that a linear map reads.
//
//#import numbers    Eight, pack_halves

@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;        // (rows, columns / 8) eights of f16

// Call from uniform control flow; lanes without work pass false.
fn store_eight(at: u32, value: Eight, lane: u32, at_work: bool) {
    if at_work {
        out[at] = pack_halves(value);
    }
}
