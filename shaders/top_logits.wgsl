// top_logits: the KEEP largest logits with their ids, largest first (lower id first among equals), and what the
// probability of any token needs: the maximum and the sum of exp(logit - maximum) over the whole row.
//
//     out = bits of the maximum, bits of the sum, bits of KEEP logits, KEEP ids
//
// Two stages that rank by counting, which gives the same order on every device. `slices`: a workgroup per 4 GROUP_SIZE
// logits, four neighbours a lane. A lane whose best logit comes after those of KEEP other lanes has none to keep, so the
// logits of KEEP lanes are left to be ranked. `merge`: a lane per kept logit counts those of other slices that come before
// it, and gives up at KEEP: as slices are sorted, it looks at no more than KEEP of them beside the first of each.
// Host: src/ops/top_logits.rs. Twin: src/reference/top_logits.rs.
//
//#import reduce                   group_sum, group_max
//#import numbers                  LOWEST
//#const  GROUP_SIZE KEEP    KEEP <= GROUP_SIZE / 4

const SLICE: u32 = 4u * GROUP_SIZE;

struct Params {
    count: u32,  // logits
    slices: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<vec4<f32>>;       // (count), more behind them
@group(0) @binding(1) var<storage, read_write> kept: array<f32>;         // (slices, KEEP) logits
@group(0) @binding(2) var<storage, read_write> kept_ids: array<u32>;     // (slices, KEEP)
@group(0) @binding(3) var<storage, read_write> totals: array<vec2<f32>>; // (slices): maximum, sum
@group(0) @binding(4) var<storage, read_write> out: array<u32>;          // (2 + 2 KEEP)
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> lane_best: array<f32, GROUP_SIZE>;
var<workgroup> left: array<f32, 4u * KEEP>;
var<workgroup> left_ids: array<u32, 4u * KEEP>;

@compute @workgroup_size(GROUP_SIZE)
fn slices(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * SLICE + lane * 4u;
    var four = vec4(LOWEST);
    if first < params.count {
        four = select(four, logits[first / 4u], vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(params.count));
    }
    let best = max(max(four.x, four.y), max(four.z, four.w));
    lane_best[lane] = best;
    // Its barriers are those that lane_best needs.
    let maximum = group_max(best, lane);
    let powers = exp(four - maximum);
    let sum = group_sum(powers.x + powers.y + powers.z + powers.w, lane);
    if lane == 0u {
        totals[group.x] = vec2(maximum, sum);
    }
    var lane_rank = 0u;
    for (var other = 0u; other < GROUP_SIZE; other += 4u) {
        //#repeat I 4
        let best@I = lane_best[other + @Iu];
        lane_rank += u32(best@I > best || (best@I == best && other + @Iu < lane));
        //#end
    }
    if lane_rank < KEEP {
        for (var i = 0u; i < 4u; i++) {
            left[lane_rank * 4u + i] = four[i];
            left_ids[lane_rank * 4u + i] = first + i;
        }
    }
    workgroupBarrier();
    if lane >= 4u * KEEP {
        return;
    }
    let logit = left[lane];
    let id = left_ids[lane];
    var rank = 0u;
    for (var other = 0u; other < 4u * KEEP; other += 4u) {
        //#repeat I 4
        let left@I = left[other + @Iu];
        rank += u32(left@I > logit || (left@I == logit && left_ids[other + @Iu] < id));
        //#end
    }
    if rank < KEEP {
        kept[group.x * KEEP + rank] = logit;
        kept_ids[group.x * KEEP + rank] = id;
    }
}

@compute @workgroup_size(GROUP_SIZE)
fn merge(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let mine = group.x * GROUP_SIZE + lane;
    if mine < params.slices * KEEP {
        let logit = kept[mine];
        let own = mine / KEEP;
        var rank = mine % KEEP;
        for (var slice = 0u; slice < params.slices && rank < KEEP; slice++) {
            // Slices follow the ids, so the place in the list breaks ties as the id would.
            var next = totals[slice].x;
            for (var i = 1u; slice != own && rank < KEEP && (next > logit || (next == logit && slice < own)); i++) {
                rank++;
                next = LOWEST;
                if i < KEEP {
                    next = kept[slice * KEEP + i];
                }
            }
        }
        if rank < KEEP {
            out[2u + rank] = bitcast<u32>(logit);
            out[2u + KEEP + rank] = kept_ids[mine];
        }
    }
    if group.x > 0u {
        return;
    }
    var largest = LOWEST;
    for (var i = lane; i < params.slices; i += GROUP_SIZE) {
        largest = max(largest, totals[i].x);
    }
    let maximum = group_max(largest, lane);
    var part = 0.0;
    for (var i = lane; i < params.slices; i += GROUP_SIZE) {
        part += totals[i].y * exp(totals[i].x - maximum);
    }
    let sum = group_sum(part, lane);
    if lane == 0u {
        out[0] = bitcast<u32>(maximum);
        out[1] = bitcast<u32>(sum);
    }
}
