// row_products: rows of a packed matrix times one rounded row, for kernels that go on with what they compute.
//
// A workgroup computes OUTPUTS neighbouring results or pairs of results, which is as many as share a step when they are
// rounded. A team of LANES lanes takes two rows at a time, so that twice as many bytes are on their way and the activations
// are fetched once for both. With 512 lanes a workgroup of 4096 columns has all that it reads on its way at once.
// Host: src/ops/row_products.rs.
//
//#import products                            CHUNK, Activations, activations, Affine, affine_of, chunk_dot
//#import team                                team_sum
//#const  GROUP_SIZE LANES UNROLL COLS

const OUTPUTS: u32 = 32u;
const CHUNKS: u32 = COLS / CHUNK;
const TEAMS: u32 = GROUP_SIZE / LANES;
const WHOLE: bool = CHUNKS % (LANES * UNROLL) == 0u;

// Both rows times the activations, for every lane of the team. Call from uniform control flow.
fn two_rows(first: u32, second: u32, lane: u32) -> vec2<f32> {
    var sums = vec2(0.0);
    for (var i = lane % LANES; i < CHUNKS; i += LANES * UNROLL) {
        //#repeat U UNROLL
        // Chunks past the end repeat the last one and count nothing.
        let at@U = min(i + @Uu * LANES, CHUNKS - 1u);
        let first_quants@U = quants[first * CHUNKS + at@U];
        let second_quants@U = quants[second * CHUNKS + at@U];
        let first_affine@U = affine_of(first, at@U);
        let second_affine@U = affine_of(second, at@U);
        //#end
        //#repeat U UNROLL
        let x@U = activations(at@U);
        let counts@U = WHOLE || i + @Uu * LANES < CHUNKS;
        sums.x += select(0.0, chunk_dot(first_quants@U, first_affine@U, x@U), counts@U);
        sums.y += select(0.0, chunk_dot(second_quants@U, second_affine@U, x@U), counts@U);
        //#end
    }
    return vec2(team_sum(sums.x, lane), team_sum(sums.y, lane));
}
