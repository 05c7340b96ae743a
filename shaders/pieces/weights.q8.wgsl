// weights, 8-bit integers: eight neighbouring weights of a row. Host: src/weights/packed.rs, Format::Affine.
//
//     w = scale * q + bias, one scale and bias per GROUP neighbours along the row
//
//#import numbers       Eight
//#const  COLS GROUP    COLS is a multiple of 16 and of GROUP

@group(0) @binding(1) var<storage, read> quants: array<vec2<u32>>;      // (rows, COLS / 8), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high

fn quants_eight(row: u32, eighth: u32) -> Eight {
    let words = quants[row * (COLS / 8u) + eighth];
    return Eight(vec4<f32>(unpack4xU8(words.x)), vec4<f32>(unpack4xU8(words.y)));
}

fn scale_and_bias(row: u32, eighth: u32) -> vec2<f32> {
    return unpack2x16float(scales[row * (COLS / GROUP) + eighth / (GROUP / 8u)]);
}

fn weights_eight(row: u32, eighth: u32) -> Eight {
    let q = quants_eight(row, eighth);
    let affine = scale_and_bias(row, eighth);
    return Eight(q.low * affine.x + affine.y, q.high * affine.x + affine.y);
}

// Sum of the eight weights times `x`: the scale is applied once, after the sum.
fn weights_dot(row: u32, eighth: u32, x: Eight) -> f32 {
    let affine = scale_and_bias(row, eighth);
    let sum = dot(x.low + x.high, vec4(1.0));
    return affine.x * dot_eight(quants_eight(row, eighth), x) + affine.y * sum;
}
