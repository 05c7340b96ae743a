// team, with subgroups: sum over LANES neighbouring lanes of a workgroup, which are whole subgroups.
//
//#const GROUP_SIZE LANES SUBGROUP

var<workgroup> team_parts: array<f32, GROUP_SIZE / SUBGROUP>;

// Sum of `value` over the lanes of the team; every lane gets the result. Call from uniform control flow only.
fn team_sum(value: f32, lane: u32) -> f32 {
    let part = subgroupAdd(value);
    if LANES == SUBGROUP {
        return part;
    }
    team_parts[lane / SUBGROUP] = part;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < LANES / SUBGROUP; i++) {
        sum += team_parts[lane / LANES * (LANES / SUBGROUP) + i];
    }
    workgroupBarrier();
    return sum;
}
