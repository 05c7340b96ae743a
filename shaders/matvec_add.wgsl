// matvec_add: a block's last matrix for one token: adds to the residual stream and leaves the next norm's row rounded.
//
//     stream[r] += scale * sum over c of weight[r, c] * x[c]
//     out[r]     = stream[r] * norm[r]        as integers; the rest of the norm is one number (pieces/norm_factor.wgsl)
//
// Host: src/ops/matvec_add.rs. Twin: src/reference/matvec_add.rs.
//
//#import row_products           two_rows
//#import round_out              outputs, round_outputs

struct Params {
    rows: u32, // a multiple of OUTPUTS
    scale: f32,
}

@group(0) @binding(4) var<storage, read_write> stream: array<f32>;      // (rows)
@group(0) @binding(5) var<storage, read> norm: array<f32>;              // (rows)
@group(0) @binding(8) var<uniform> params: Params;

var<workgroup> squares: array<f32, OUTPUTS>;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * OUTPUTS;
    if first >= params.rows {
        return;
    }
    let own = first + min(lane, OUTPUTS - 1u);
    let before = stream[own];
    let weight = norm[own];
    for (var turn = 0u; turn < OUTPUTS / 2u / TEAMS; turn++) {
        let place = (turn * TEAMS + lane / LANES) * 2u;
        let sums = two_rows(first + place, first + place + 1u, lane);
        if lane % LANES == 0u {
            outputs[place] = sums.x;
            outputs[place + 1u] = sums.y;
        }
    }
    workgroupBarrier();
    if lane < OUTPUTS {
        let sum = before + params.scale * outputs[lane];
        stream[own] = sum;
        squares[lane] = sum * sum;
        outputs[lane] = sum * weight;
    }
    round_outputs(first, lane);
    if lane < OUTPUTS / OUT_CHUNK {
        var sum = 0.0;
        for (var i = 0u; i < OUT_CHUNK; i++) {
            sum += squares[lane * OUT_CHUNK + i];
        }
        steps[(params.rows + first) / OUT_CHUNK + lane] = vec2(sum, 0.0);
    }
}
