// attend_sparse, one token: merges what the workgroups of `decode` left for the tiles of a head.
//
//     out[h] = sum_i exp(most_i - most) values_i / sum_i exp(most_i - most) sum_i,   most = max_i most_i
//
// One workgroup per head; lanes next to each other hold neighbouring pairs, slices of lanes take every SLICES-th tile.
// Host: src/ops/attend_sparse.rs.
//
//#import reduce                      group_max
//#import numbers                     LOWEST, pack_half
//#const  GROUP_SIZE HEAD_DIM SLICES  SLICES = GROUP_SIZE / COLUMNS, rounded down

const PARTIAL: u32 = HEAD_DIM + 2u; // weighted values, maximum, sum of weights
const COLUMNS: u32 = HEAD_DIM / 2u;

struct Params {
    tiles: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;       // (HEADS, tiles, PARTIAL)
@group(0) @binding(1) var<storage, read_write> out: array<u32>;      // (HEADS, HEAD_DIM / 2)
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> sums: array<vec3<f32>, GROUP_SIZE>;  // weighted pair, sum of weights

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * params.tiles * PARTIAL;
    var lane_most = LOWEST;
    for (var tile = lane; tile < params.tiles; tile += GROUP_SIZE) {
        lane_most = max(lane_most, partials[first + tile * PARTIAL + HEAD_DIM]);
    }
    let most = group_max(lane_most, lane);

    let slice = lane / COLUMNS;
    let column = lane % COLUMNS;
    var weighted = vec2(0.0);
    var sum = 0.0;
    for (var tile = slice; slice < SLICES && tile < params.tiles; tile += SLICES) {
        let at = first + tile * PARTIAL;
        let weight = exp(partials[at + HEAD_DIM] - most);
        weighted += weight * vec2(partials[at + column * 2u], partials[at + column * 2u + 1u]);
        sum += weight * partials[at + HEAD_DIM + 1u];
    }
    sums[lane] = vec3(weighted, sum);
    workgroupBarrier();
    if lane < COLUMNS {
        var all = sums[lane];
        for (var i = 1u; i < SLICES; i++) {
            all += sums[i * COLUMNS + lane];
        }
        out[group.x * COLUMNS + lane] = pack_half(all.xy / all.z);
    }
}
