// top_logits: the KEEP largest logits with their ids, largest first (lower id first among equals), and what the
// probability of any token needs: the maximum and the sum of exp(logit - maximum) over the whole row.
//
//     out = bits of the maximum, bits of the sum, bits of KEEP logits, KEEP ids
//
// Two stages. `slices`: a workgroup per SLICE logits finds each one's rank inside the slice by counting, which needs one
// barrier and gives the same order on every device, and keeps the best KEEP. `merge`: the same count over all kept
// candidates, a workgroup per GROUP_SIZE of them, which stream through workgroup memory.
// Host: src/ops/top_logits.rs. Twin: src/reference/top_logits.rs.
//
//#import reduce                   group_sum, group_max
//#import numbers                  LOWEST
//#const  GROUP_SIZE SLICE KEEP    KEEP <= SLICE

struct Params {
    count: u32,  // logits
    slices: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // (count)
@group(0) @binding(1) var<storage, read_write> kept: array<f32>;        // (slices, KEEP) logits
@group(0) @binding(2) var<storage, read_write> kept_ids: array<u32>;    // (slices, KEEP)
@group(0) @binding(3) var<storage, read_write> totals: array<vec2<f32>>; // (slices): maximum, sum
@group(0) @binding(4) var<storage, read_write> out: array<u32>;         // (2 + 2 KEEP)
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> slice: array<f32, SLICE>;

@compute @workgroup_size(GROUP_SIZE)
fn slices(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * SLICE;
    var largest = LOWEST;
    for (var i = lane; i < SLICE; i += GROUP_SIZE) {
        var logit = LOWEST;
        if first + i < params.count {
            logit = logits[first + i];
        }
        slice[i] = logit;
        largest = max(largest, logit);
    }
    let maximum = group_max(largest, lane);
    var part = 0.0;
    for (var i = lane; i < SLICE; i += GROUP_SIZE) {
        part += exp(slice[i] - maximum);
        var rank = 0u;
        for (var other = 0u; other < SLICE; other++) {
            rank += u32(slice[other] > slice[i] || (slice[other] == slice[i] && other < i));
        }
        if rank < KEEP {
            kept[group.x * KEEP + rank] = slice[i];
            kept_ids[group.x * KEEP + rank] = first + i;
        }
    }
    let sum = group_sum(part, lane);
    if lane == 0u {
        totals[group.x] = vec2(maximum, sum);
    }
}

@compute @workgroup_size(GROUP_SIZE)
fn merge(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let count = params.slices * KEEP;
    let mine = group.x * GROUP_SIZE + lane;
    var logit = LOWEST;
    if mine < count {
        logit = kept[mine];
    }
    // Slices follow the ids and each is sorted, so the place in the list breaks ties as the id would.
    var rank = 0u;
    for (var first = 0u; first < count; first += GROUP_SIZE) {
        workgroupBarrier();
        slice[lane] = LOWEST;
        if first + lane < count {
            slice[lane] = kept[first + lane];
        }
        workgroupBarrier();
        for (var i = 0u; i < GROUP_SIZE; i++) {
            rank += u32(slice[i] > logit || (slice[i] == logit && first + i < mine));
        }
    }
    if mine < count && rank < KEEP {
        out[2u + rank] = bitcast<u32>(logit);
        out[2u + KEEP + rank] = kept_ids[mine];
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
