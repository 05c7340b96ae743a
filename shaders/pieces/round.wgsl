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

fn largest_of(eight: Eight) -> f32 {
    let larger = max(abs(eight.low), abs(eight.high));
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
