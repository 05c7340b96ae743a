// products, 4-bit weights in f32: 32 columns of a row.
//
// Two weights at a time become the low bits of two f16 of 1024 .. 1039: exact, and where bytes are slow to convert to
// floats, several times faster.
// Host: src/ops/matvec.rs.
//
//#const COLS GROUP    COLS is a multiple of 32 and of GROUP, GROUP of 32

const CHUNK: u32 = 32u;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (COLS / 8) eights of f16
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;      // (rows, COLS / 32), first weight in the low bits
@group(0) @binding(2) var<storage, read> scales: array<u32>;            // (rows, COLS / GROUP), f16 scale low, bias high

struct Activations {
    eights: array<vec4<u32>, 4>,
    sum: f32,
}

fn activations(chunk: u32) -> Activations {
    let at = chunk * 4u;
    let a = Activations(array(x[at], x[at + 1u], x[at + 2u], x[at + 3u]), 0.0);
    let sums = pair_sum(a.eights[0]) + pair_sum(a.eights[1]) + pair_sum(a.eights[2]) + pair_sum(a.eights[3]);
    return Activations(a.eights, sums.x + sums.y);
}

fn pair_sum(eight: vec4<u32>) -> vec2<f32> {
    return unpack2x16float(eight.x) + unpack2x16float(eight.y) + unpack2x16float(eight.z) + unpack2x16float(eight.w);
}

fn affine_of(row: u32, chunk: u32) -> u32 {
    return scales[row * (COLS / GROUP) + chunk / (GROUP / 32u)];
}

// Weights 0 and 4 of the low bits of `word`, as floats.
fn weights_at(word: u32) -> vec2<f32> {
    return unpack2x16float((word & 0x000F000Fu) | 0x64006400u) - 1024.0;
}

fn eight_dot(word: u32, a: vec4<u32>) -> f32 {
    let first = unpack2x16float(a.x);
    let second = unpack2x16float(a.y);
    let third = unpack2x16float(a.z);
    let fourth = unpack2x16float(a.w);
    var sums = weights_at(word) * vec2(first.x, third.x);
    sums += weights_at(word >> 4u) * vec2(first.y, third.y);
    sums += weights_at(word >> 8u) * vec2(second.x, fourth.x);
    sums += weights_at(word >> 12u) * vec2(second.y, fourth.y);
    return sums.x + sums.y;
}

fn chunk_dot(words: vec4<u32>, affine: u32, a: Activations) -> f32 {
    var sum = eight_dot(words.x, a.eights[0]) + eight_dot(words.y, a.eights[1]);
    sum += eight_dot(words.z, a.eights[2]) + eight_dot(words.w, a.eights[3]);
    let pair = unpack2x16float(affine);
    return pair.x * sum + pair.y * a.sum;
}
