// team, without subgroups: sum over LANES neighbouring lanes of a workgroup, a power of two, through shared memory.
//
//#const GROUP_SIZE LANES

var<workgroup> team_parts: array<f32, GROUP_SIZE>;

// Sum of `value` over the lanes of the team; every lane gets the result. Call from uniform control flow only.
fn team_sum(value: f32, lane: u32) -> f32 {
    team_parts[lane] = value;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % LANES < half {
            team_parts[lane] += team_parts[lane + half];
        }
    }
    workgroupBarrier();
    let sum = team_parts[lane / LANES * LANES];
    workgroupBarrier();
    return sum;
}
