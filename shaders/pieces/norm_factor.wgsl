// norm_factor: what the integers of a row leave out of its normalisation.
//
//     factor = 1 / sqrt(sum of squares / COLS + EPSILON)
//
// A normalised row is the stream times the norm's weights times one number. Products are linear, so the number may come
// last, and whoever rounds the row need not know all of it: it leaves the sum of squares of each chunk behind the steps.
// Host: src/ops/row_products.rs.
//
//#import reduce                 group_sum
//#const  GROUP_SIZE COLS EPSILON

// This lane's share of the squares: ask for it first and use it last, so that nothing waits for it.
fn norm_share(lane: u32) -> f32 {
    var share = 0.0;
    for (var i = lane; i < CHUNKS; i += GROUP_SIZE) {
        share += x_steps[CHUNKS + i].x;
    }
    return share;
}

// Call from uniform control flow.
fn norm_factor(share: f32, lane: u32) -> f32 {
    return inverseSqrt(group_sum(share, lane) / f32(COLS) + EPSILON);
}
