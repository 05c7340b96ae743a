// scan, without subgroups: sum over the lanes before this one, through shared memory.
//
// GROUP_SIZE lanes, a power of two. Call from uniform control flow only; ends with a barrier, so calls may follow each
// other.

var<workgroup> scan_parts: array<u32, GROUP_SIZE>;

// Sum of `value` over all lanes below `lane`.
fn sum_before(value: u32, lane: u32) -> u32 {
    scan_parts[lane] = value;
    workgroupBarrier();
    for (var step = 1u; step < GROUP_SIZE; step *= 2u) {
        let below = select(0u, scan_parts[max(lane, step) - step], lane >= step);
        workgroupBarrier();
        scan_parts[lane] += below;
        workgroupBarrier();
    }
    let sum = scan_parts[lane] - value;
    workgroupBarrier();
    return sum;
}
