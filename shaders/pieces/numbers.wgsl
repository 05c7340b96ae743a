// numbers: the finite stand-in for minus infinity, and 16-bit floats that live two to a word.
//
// WGSL may assume that no infinity or NaN occurs, so masks use LOWEST; half of the range is kept free so that
// differences of two masked values stay finite.

const LOWEST: f32 = -1.7e38;

// The eight 16-bit floats of a 16-byte vector.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn unpack_eight(words: vec4<u32>) -> Eight {
    return Eight(
        vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
        vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
}

fn dot_eight(a: Eight, b: Eight) -> f32 {
    return dot(a.low, b.low) + dot(a.high, b.high);
}

fn pack_halves(value: Eight) -> vec4<u32> {
    return vec4(pack_half(value.low.xy), pack_half(value.low.zw), pack_half(value.high.xy), pack_half(value.high.zw));
}

// The bits of a float with those of the nearest bf16, the even one of two as near. Not for what is no number.
fn nearest_bf16(bits: u32) -> u32 {
    return (bits + 0x7FFFu + ((bits >> 16u) & 1u)) & 0xFFFF0000u;
}

// Values beyond the range of 16 bits become the largest finite ones. Infinities and what is no number become the latter,
// so that they reach the logits, where they are noticed; told by their bits, as compilers may take floats for finite.
fn pack_half(value: vec2<f32>) -> u32 {
    let bad = (bitcast<vec2<u32>>(value) & vec2(0x7fffffffu)) >= vec2(0x7f800000u);
    let marks = select(vec2(0u), vec2(0x7e00u, 0x7e000000u), bad);
    return pack2x16float(clamp(value, vec2(-65504.0), vec2(65504.0))) | marks.x | marks.y;
}
