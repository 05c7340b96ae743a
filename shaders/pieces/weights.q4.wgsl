// weights, 4-bit integers: eight neighbouring weights of a row. Host: src/weights/packed.rs, Format::Affine.
//
//     w = scale * q + bias, one scale and bias per GROUP neighbours along the row
//
//#import numbers       Eight
//#const  COLS GROUP    COLS is a multiple of 32 and of GROUP

@group(0) @binding(1) var<storage, read> quants: array<u32>;            // (rows, COLS / 8), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high

// Eight weights as they lie in memory: their word, and scale and bias.
alias Packed = vec2<u32>;

fn weights_fetch(row: u32, eighth: u32) -> Packed {
    return vec2(quants[row * (COLS / 8u) + eighth], scales[row * (COLS / GROUP) + eighth / (GROUP / 8u)]);
}

fn weights_unpack(packed: Packed) -> Eight {
    let q = quants_of(packed.x);
    let affine = unpack2x16float(packed.y);
    return Eight(q.low * affine.x + affine.y, q.high * affine.x + affine.y);
}

fn quants_of(word: u32) -> Eight {
    let even = vec4<f32>(unpack4xU8(word & 0x0F0F0F0Fu));
    let odd = vec4<f32>(unpack4xU8((word >> 4u) & 0x0F0F0F0Fu));
    return Eight(vec4(even.x, odd.x, even.y, odd.y), vec4(even.z, odd.z, even.w, odd.w));
}

fn weights_eight(row: u32, eighth: u32) -> Eight {
    return weights_unpack(weights_fetch(row, eighth));
}

// Sum of the eight weights times `x`: the scale is applied once, after the sum.
fn weights_dot(row: u32, eighth: u32, x: Eight) -> f32 {
    let packed = weights_fetch(row, eighth);
    let affine = unpack2x16float(packed.y);
    let sum = dot(x.low + x.high, vec4(1.0));
    return affine.x * dot_eight(quants_of(packed.x), x) + affine.y * sum;
}
