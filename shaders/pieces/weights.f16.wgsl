// weights, 16-bit floats: eight neighbouring weights of a row. Host: src/weights/packed.rs, Format::F16.
//
//#import numbers    Eight
//#const  COLS       a multiple of 8

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 8)

fn weights_eight(row: u32, eighth: u32) -> Eight {
    return unpack_eight(quants[row * (COLS / 8u) + eighth]);
}

// Sum of the eight weights times `x`.
fn weights_dot(row: u32, eighth: u32, x: Eight) -> f32 {
    return dot_eight(weights_eight(row, eighth), x);
}
