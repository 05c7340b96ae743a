// reduce, without subgroups: sum and maximum over the workgroup through shared memory.
//
// GROUP_SIZE lanes, a power of two. Call from uniform control flow only; ends with a barrier, so calls may follow each
// other.

var<workgroup> reduce_parts: array<f32, GROUP_SIZE>;

// Sum of `value` over all lanes; every lane gets the result.
fn group_sum(value: f32, lane: u32) -> f32 {
    reduce_parts[lane] = value;
    for (var half = GROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            reduce_parts[lane] += reduce_parts[lane + half];
        }
    }
    workgroupBarrier();
    let sum = reduce_parts[0];
    workgroupBarrier();
    return sum;
}

// Largest `value` of all lanes; every lane gets the result.
fn group_max(value: f32, lane: u32) -> f32 {
    reduce_parts[lane] = value;
    for (var half = GROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            reduce_parts[lane] = max(reduce_parts[lane], reduce_parts[lane + half]);
        }
    }
    workgroupBarrier();
    let largest = reduce_parts[0];
    workgroupBarrier();
    return largest;
}
