// matvec: a packed matrix times one token's activations.
//
//     out[first_out + r] = sum over c of weight[r, c] * x[c]
//
// A workgroup computes ROWS rows together, so that each lane unpacks its activations once for all of them; lanes walk
// along the row, eight columns at a time. Bound by reading the weights: every byte is read once.
// Host: src/ops/matvec.rs. Twin: src/reference/matvec.rs.
//
//#import weights                 weights_dot
//#import reduce                  group_sum
//#import numbers                 unpack_eight
//#const  GROUP_SIZE COLS ROWS

struct Params {
    rows: u32,      // of this shard
    first_out: u32, // where the shard's first row goes
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (COLS / 8) eights of f16
@group(0) @binding(3) var<storage, read_write> out: array<f32>;         // (all rows)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * ROWS;
    var sums: array<f32, ROWS>;
    for (var i = lane; i < COLS / 8u; i += GROUP_SIZE) {
        let activations = unpack_eight(x[i]);
        for (var r = 0u; r < ROWS; r++) {
            // Rows past the end repeat the last one: cheaper than a branch, and never stored.
            sums[r] += weights_dot(min(first + r, params.rows - 1u), i, activations);
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        let sum = group_sum(sums[r], lane);
        if lane == r && first + r < params.rows {
            out[params.first_out + first + r] = sum;
        }
    }
}
