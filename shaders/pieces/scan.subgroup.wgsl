// scan, with subgroups: sum over the lanes before this one, for any subgroup size.
//
// GROUP_SIZE lanes in one dimension, of which neighbours share a subgroup in order (see reduce.subgroup.wgsl). Call from
// uniform control flow only; ends with a barrier, so calls may follow each other.

var<workgroup> scan_parts: array<u32, GROUP_SIZE>;

// Sum of `value` over all lanes below `lane`.
fn sum_before(value: u32, lane: u32) -> u32 {
    let inside = subgroupExclusiveAdd(value);
    let total = subgroupAdd(value);
    let size = subgroupAdd(1u);
    scan_parts[lane / size] = total;
    workgroupBarrier();
    var sum = inside;
    for (var i = 0u; i < lane / size; i++) {
        sum += scan_parts[i];
    }
    workgroupBarrier();
    return sum;
}
