// products, 8-bit weights by 8-bit activations: 16 columns of a row, summed in whole numbers.
//
//     sum (scale * q + bias) * (step * a)  =  step * scale * sum (q - 128) * a  +  (bias + 128 * scale) * (step * sum a)
//
// The product of packed bytes takes both as signed, so 128 moves from the weights, which are not, to the bias.
// Host: src/ops/matvec.rs. Layout of the activations: shaders/quantize_row.wgsl.
//
//#const COLS GROUP    COLS is a multiple of 16 and of GROUP

const CHUNK: u32 = 16u;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (COLS / 16)
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 16), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high
@group(0) @binding(3) var<storage, read> x_steps: array<vec2<f32>>;     // (2 COLS / 16): step, step * sum; squares

struct Activations {
    a: vec4<u32>,
    steps: vec2<f32>,
}

fn activations(chunk: u32) -> Activations {
    return Activations(x[chunk], x_steps[chunk]);
}

fn affine_of(row: u32, chunk: u32) -> u32 {
    return scales[row * (COLS / GROUP) + chunk / (GROUP / 16u)];
}

fn chunk_dot(words: vec4<u32>, affine: u32, x: Activations) -> f32 {
    let signed = words ^ vec4(0x80808080u);
    var sum = dot4I8Packed(signed.x, x.a.x) + dot4I8Packed(signed.y, x.a.y);
    sum += dot4I8Packed(signed.z, x.a.z) + dot4I8Packed(signed.w, x.a.w);
    let pair = unpack2x16float(affine);
    return pair.x * (x.steps.x * f32(sum)) + (pair.y + 128.0 * pair.x) * x.steps.y;
}
