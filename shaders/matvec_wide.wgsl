// matvec, wide: a packed matrix times one token's activations, 16 bytes of weights a lane and load.
//
//     out[first_out + r] = sum over c of weight[r, c] * x[c]
//
// A team of LANES lanes computes ROWS rows together, so that each lane fetches its activations once for all of them.
// Neighbouring lanes take neighbouring chunks of 16 bytes; UNROLL chunks of each row are on their way before the first is
// used, for what bounds this kernel is how many bytes the device has in flight. The `products` piece says what a chunk is
// and how it is multiplied: in f32, or in integers by activations rounded to 8 bits (shaders/quantize_row.wgsl).
// Host: src/ops/matvec.rs. Twin: src/reference/matvec.rs.
//
//#import products                            CHUNK, Activations, activations, Affine, affine_of, chunk_dot
//#import team                                team_sum
//#const  GROUP_SIZE LANES ROWS UNROLL COLS

const CHUNKS: u32 = COLS / CHUNK;
const TEAM_ROWS: u32 = GROUP_SIZE / LANES * ROWS;
const WHOLE: bool = CHUNKS % (LANES * UNROLL) == 0u;

struct Params {
    rows: u32,      // of this shard
    first_out: u32, // where the shard's first row goes
}

@group(0) @binding(4) var<storage, read_write> out: array<f32>;         // (all rows)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let team_lane = lane % LANES;
    let first = (group.x + group.y * groups.x) * TEAM_ROWS + lane / LANES * ROWS;
    //#repeat R ROWS
    var sum@R = 0.0;
    // Rows past the end repeat the last one: cheaper than a branch, and never stored.
    let row@R = min(first + @Ru, params.rows - 1u);
    //#end
    for (var i = team_lane; i < CHUNKS; i += LANES * UNROLL) {
        //#repeat U UNROLL
        // Chunks past the end repeat the last one and count nothing.
        let at@U = min(i + @Uu * LANES, CHUNKS - 1u);
        //#repeat R ROWS
        let quants@U_@R = quants[row@R * CHUNKS + at@U];
        let affine@U_@R = affine_of(row@R, at@U);
        //#end
        //#end
        //#repeat U UNROLL
        let x@U = activations(at@U);
        let counts@U = WHOLE || i + @Uu * LANES < CHUNKS;
        //#repeat R ROWS
        sum@R += select(0.0, chunk_dot(quants@U_@R, affine@U_@R, x@U), counts@U);
        //#end
        //#end
    }
    //#repeat R ROWS
    let all@R = team_sum(sum@R, lane);
    if team_lane == 0u && first + @Ru < params.rows {
        out[params.first_out + first + @Ru] = all@R;
    }
    //#end
}
