// reduce, with subgroups: sum and maximum over the workgroup, for any subgroup size.
//
// GROUP_SIZE lanes in one dimension, of which neighbours share a subgroup (so on every driver known; `foveal selfcheck`
// would show one where it is not). Call from uniform control flow only; ends with a barrier, so calls may follow
// each other.

var<workgroup> reduce_parts: array<f32, GROUP_SIZE>;

// Sum of `value` over all lanes; every lane gets the result.
fn group_sum(value: f32, lane: u32) -> f32 {
    let part = subgroupAdd(value);
    let size = subgroupAdd(1u);
    reduce_parts[lane / size] = part;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < (GROUP_SIZE + size - 1u) / size; i++) {
        sum += reduce_parts[i];
    }
    workgroupBarrier();
    return sum;
}

// Largest `value` of all lanes; every lane gets the result.
fn group_max(value: f32, lane: u32) -> f32 {
    let part = subgroupMax(value);
    let size = subgroupAdd(1u);
    reduce_parts[lane / size] = part;
    workgroupBarrier();
    var largest = reduce_parts[0];
    for (var i = 1u; i < (GROUP_SIZE + size - 1u) / size; i++) {
        largest = max(largest, reduce_parts[i]);
    }
    workgroupBarrier();
    return largest;
}
