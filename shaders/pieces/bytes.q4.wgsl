// bytes, 4-bit weights: 32 columns of a row as two planes of signed bytes, in the order of rounded activations (round.wgsl).
// Host: src/ops/matmul.rs.
//
//#const COLS GROUP    COLS is a multiple of 32 and of GROUP, GROUP of 32

const PLANES: u32 = 2u;

@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 32), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high

fn plane_of(words: vec4<u32>, plane: u32) -> vec4<u32> {
    let pair = select(words.xy, words.zw, plane == 1u);
    return vec4(pair.x, pair.x >> 4u, pair.y, pair.y >> 4u) & vec4(0x0F0F0F0Fu);
}

// Scale and bias of a chunk.
fn affine_of(row: u32, chunk: u32) -> vec2<f32> {
    return unpack2x16float(scales[row * (COLS / GROUP) + chunk / (GROUP / 32u)]);
}
