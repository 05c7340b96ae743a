// round: eight activations as 8-bit integers of a step that their chunk shares.
//
// Where SPLIT says so, of every eight neighbours the even ones come first: the order in which masks and shifts take 4-bit
// weights out of a word.
//
//#import numbers    Eight
//#const  SPLIT

struct RoundedEight {
    words: vec2<u32>,
    sum: i32,
}

// The largest magnitude by its bits. They are ordered as floats are, and what is no number stands above all of them: it
// reaches the step, and through that the logits, where it is noticed.
fn largest_of(eight: Eight) -> u32 {
    let larger = max(bitcast<vec4<u32>>(abs(eight.low)), bitcast<vec4<u32>>(abs(eight.high)));
    return max(max(larger.x, larger.y), max(larger.z, larger.w));
}

fn steps_per_one(most: f32) -> f32 {
    return select(0.0, 127.0 / most, most > 0.0);
}

fn round_eight(eight: Eight, per_step: f32) -> RoundedEight {
    let low = vec4<i32>(round(eight.low * per_step));
    let high = vec4<i32>(round(eight.high * per_step));
    let four = low + high;
    var words = vec2(pack4xI8(low), pack4xI8(high));
    if SPLIT {
        words = vec2(pack4xI8(vec4(low.xz, high.xz)), pack4xI8(vec4(low.yw, high.yw)));
    }
    return RoundedEight(words, four.x + four.y + four.z + four.w);
}
