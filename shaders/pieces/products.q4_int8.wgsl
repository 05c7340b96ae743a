// products, 4-bit weights by 8-bit activations: 32 columns of a row, summed in whole numbers.
//
//     sum (scale * q + bias) * (step * a)  =  step * scale * sum q * a  +  bias * (step * sum a)
//
// Host: src/ops/matvec.rs. Layout of the activations: shaders/quantize_row.wgsl.
//
//#const COLS GROUP    COLS is a multiple of 32 and of GROUP, GROUP of 32

const CHUNK: u32 = 32u;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (COLS / 16), of each eight the even ones first
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 32), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high
@group(0) @binding(3) var<storage, read> x_steps: array<vec2<f32>>;     // (2 COLS / 32): step, step * sum; squares

struct Activations {
    low: vec4<u32>,
    high: vec4<u32>,
    steps: vec2<f32>,
}

fn activations(chunk: u32) -> Activations {
    return Activations(x[chunk * 2u], x[chunk * 2u + 1u], x_steps[chunk]);
}

fn affine_of(row: u32, chunk: u32) -> u32 {
    return scales[row * (COLS / GROUP) + chunk / (GROUP / 32u)];
}

fn chunk_dot(words: vec4<u32>, affine: u32, a: Activations) -> f32 {
    let even = words & vec4(0x0F0F0F0Fu);
    let odd = (words >> vec4(4u)) & vec4(0x0F0F0F0Fu);
    var sum = dot4I8Packed(even.x, a.low.x) + dot4I8Packed(odd.x, a.low.y);
    sum += dot4I8Packed(even.y, a.low.z) + dot4I8Packed(odd.y, a.low.w);
    sum += dot4I8Packed(even.z, a.high.x) + dot4I8Packed(odd.z, a.high.y);
    sum += dot4I8Packed(even.w, a.high.z) + dot4I8Packed(odd.w, a.high.w);
    let pair = unpack2x16float(affine);
    return pair.x * (a.steps.x * f32(sum)) + pair.y * a.steps.y;
}
