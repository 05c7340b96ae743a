// bytes, 8-bit weights: 16 columns of a row as one plane of signed bytes: 128 moves from the weights to the bias.
// Host: src/ops/matmul.rs.
//
//#const COLS GROUP    COLS is a multiple of 16 and of GROUP

const PLANES: u32 = 1u;

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 16), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high

fn plane_of(words: vec4<u32>, plane: u32) -> vec4<u32> {
    return words ^ vec4(0x80808080u);
}

// Scale and bias of a chunk.
fn affine_of(row: u32, chunk: u32) -> vec2<f32> {
    let pair = unpack2x16float(scales[row * (COLS / GROUP) + chunk / (GROUP / 16u)]);
    return vec2(pair.x, pair.y + 128.0 * pair.x);
}
