// weights, 16-bit floats: eight neighbouring weights of a row. Host: src/weights/packed.rs, Format::F16.
//
//#import numbers    Eight
//#const  COLS       a multiple of 8

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 8)

// Eight weights as they lie in memory.
alias Packed = vec4<u32>;

fn weights_fetch(row: u32, eighth: u32) -> Packed {
    return quants[row * (COLS / 8u) + eighth];
}

fn weights_unpack(packed: Packed) -> Eight {
    return unpack_eight(packed);
}

fn weights_eight(row: u32, eighth: u32) -> Eight {
    return weights_unpack(weights_fetch(row, eighth));
}

// Sum of the eight weights times `x`.
fn weights_dot(row: u32, eighth: u32, x: Eight) -> f32 {
    return dot_eight(weights_eight(row, eighth), x);
}
