// attend_merge: joins what workgroups left of a head's attention, dense or sparse, each for a part of the keys.
//
//     out[h] = sum_i w_i values_i / sum_i w_i sum_i,   w_i = exp(most_i - max_j most_j)
//
// One workgroup per head. Lanes next to each other hold neighbouring fours of the head, slices of lanes take every
// SLICES-th part, four at a time, so that a lane waits for memory a few times only.
// Host: src/ops/attend_merge.rs. Twins: src/reference/attend_dense.rs, src/reference/attend_sparse.rs.
//
//#import reduce                 group_max
//#import numbers                LOWEST, Eight
//#import row_out                store_eight
//#const  GROUP_SIZE HEAD_DIM SLICES      SLICES = GROUP_SIZE / FOURS, rounded down

const FOURS: u32 = HEAD_DIM / 4u;
const EIGHTS: u32 = HEAD_DIM / 8u;
const PARTIAL: u32 = FOURS + 1u;

struct Params {
    parts: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<vec4<f32>>; // (HEADS, parts, PARTIAL): values, then (most, sum, -, -)
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> slice_values: array<vec4<f32>, GROUP_SIZE>;
var<workgroup> slice_sums: array<f32, GROUP_SIZE>;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * params.parts * PARTIAL;
    var lane_most = LOWEST;
    for (var part = lane; part < params.parts; part += GROUP_SIZE) {
        lane_most = max(lane_most, partials[first + part * PARTIAL + FOURS].x);
    }
    let most = group_max(lane_most, lane);

    let slice = lane / FOURS;
    let column = lane % FOURS;
    var values = vec4(0.0);
    var sum = 0.0;
    for (var part = slice; slice < SLICES && part < params.parts; part += 4u * SLICES) {
        //#repeat K 4
        let at@K = first + min(part + @Ku * SLICES, params.parts - 1u) * PARTIAL;
        let tail@K = partials[at@K + FOURS];
        let four@K = partials[at@K + column];
        //#end
        //#repeat K 4
        let weight@K = select(0.0, exp(max(tail@K.x - most, -80.0)), part + @Ku * SLICES < params.parts);
        values += weight@K * four@K;
        sum += weight@K * tail@K.y;
        //#end
    }
    slice_values[lane] = values;
    slice_sums[lane] = sum;
    workgroupBarrier();
    var joined = Eight(vec4(0.0), vec4(0.0));
    var total = 0.0;
    let own = min(lane, EIGHTS - 1u) * 2u;
    for (var i = 0u; i < SLICES; i++) {
        joined.low += slice_values[i * FOURS + own];
        joined.high += slice_values[i * FOURS + own + 1u];
        total += slice_sums[i * FOURS];
    }
    joined = Eight(joined.low / total, joined.high / total);
    store_eight(group.x * EIGHTS + lane, joined, lane, lane < EIGHTS);
}
