// copy: one tensor to another, to know how fast the device reads and writes.
//
//     out[i] = x[i]
//
// A lane copies 16 bytes at a time, neighbours next to each other, four on their way at once.
// Host: src/ops/copy.rs. Twin: src/reference/copy.rs.
//
//#const GROUP_SIZE

struct Params {
    count: u32, // vectors
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;         // (count)
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>; // (count)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * 4u * GROUP_SIZE + lane;
    //#repeat k 4
    let at@k = min(first + @ku * GROUP_SIZE, params.count - 1u);
    let value@k = x[at@k];
    //#end
    //#repeat k 4
    out[at@k] = value@k;
    //#end
}
