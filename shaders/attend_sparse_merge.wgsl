// attend_sparse, one token: merges what the workgroups of `decode` left for the tiles of a head.
//
//     out[h] = sum_i exp(most_i - most) values_i / sum_i exp(most_i - most) sum_i,   most = max_i most_i
//
// One workgroup per head; lanes next to each other hold neighbouring values, slices of lanes take every SLICES-th tile.
// Host: src/ops/attend_sparse.rs.
//
//#import reduce                      group_max, group_sum
//#import numbers                     LOWEST, pack_half
//#const  GROUP_SIZE HEAD_DIM SLICES  SLICES = GROUP_SIZE / HEAD_DIM

const PARTIAL: u32 = HEAD_DIM + 2u; // weighted values, maximum, sum of weights

struct Params {
    tiles: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;       // (HEADS, tiles, PARTIAL)
@group(0) @binding(1) var<storage, read_write> out: array<u32>;      // (HEADS, HEAD_DIM / 2)
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> sums: array<f32, SLICES * HEAD_DIM>;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * params.tiles * PARTIAL;
    var lane_most = LOWEST;
    for (var tile = lane; tile < params.tiles; tile += GROUP_SIZE) {
        lane_most = max(lane_most, partials[first + tile * PARTIAL + HEAD_DIM]);
    }
    let most = group_max(lane_most, lane);
    var lane_sum = 0.0;
    for (var tile = lane; tile < params.tiles; tile += GROUP_SIZE) {
        let at = first + tile * PARTIAL + HEAD_DIM;
        lane_sum += exp(partials[at] - most) * partials[at + 1u];
    }
    let sum = group_sum(lane_sum, lane);

    let slice = lane / HEAD_DIM;
    let value = lane % HEAD_DIM;
    if slice < SLICES {
        var weighted = 0.0;
        for (var tile = slice; tile < params.tiles; tile += SLICES) {
            let at = first + tile * PARTIAL;
            weighted += exp(partials[at + HEAD_DIM] - most) * partials[at + value];
        }
        sums[slice * HEAD_DIM + value] = weighted;
    }
    workgroupBarrier();
    if lane < HEAD_DIM / 2u {
        var pair = vec2(0.0);
        for (var i = 0u; i < SLICES; i++) {
            let at = i * HEAD_DIM + lane * 2u;
            pair += vec2(sums[at], sums[at + 1u]);
        }
        out[group.x * (HEAD_DIM / 2u) + lane] = pack_half(pair / sum);
    }
}
