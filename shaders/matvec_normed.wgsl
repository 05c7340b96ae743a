// matvec_normed: a packed matrix times one token's rounded row, whose normalisation is completed here.
//
//     out[first_out + r] = scale * factor * sum over c of weight[r, c] * x[c]        factor: see pieces/norm_factor.wgsl
//
// Host: src/ops/matvec_normed.rs. Twin: src/reference/matvec_normed.rs.
//
//#import row_products           two_rows
//#import norm_factor            norm_share, norm_factor

struct Params {
    rows: u32,      // of this shard
    first_out: u32, // where the shard's first row goes
    scale: f32,
}

@group(0) @binding(4) var<storage, read_write> out: array<f32>;         // (all rows)
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> results: array<f32, OUTPUTS>;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let share = norm_share(lane);
    let first = (group.x + group.y * groups.x) * OUTPUTS;
    for (var turn = 0u; turn < OUTPUTS / 2u / TEAMS; turn++) {
        let place = (turn * TEAMS + lane / LANES) * 2u;
        // Rows past the end repeat the last one: cheaper than a branch, and never stored.
        let row = min(first + place, params.rows - 1u);
        let sums = two_rows(row, min(row + 1u, params.rows - 1u), lane);
        if lane % LANES == 0u {
            results[place] = sums.x;
            results[place + 1u] = sums.y;
        }
    }
    // Its barriers also show every lane the results.
    let factor = norm_factor(share, lane) * params.scale;
    if lane < OUTPUTS && first + lane < params.rows {
        out[params.first_out + first + lane] = results[lane] * factor;
    }
}
