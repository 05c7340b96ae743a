// embed: rows of the embedding table for a list of tokens.
//
//     out[t, ..] = table[ids[t], ..] * scale
//
// One workgroup per token. The table may be one of several shards: tokens whose row lies in another are left alone.
// Host: src/ops/embed.rs. Twin: src/reference/embed.rs.
//
//#import weights            weights_eight
//#import numbers            Eight
//#const  GROUP_SIZE COLS    COLS is the width of a row

struct Params {
    first_row: u32,  // row of the whole table that this shard starts with
    shard_rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;               // (tokens)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (tokens, COLS / 4)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(GROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = ids[group.x] - params.first_row;
    // A row before the shard wraps around to a large number.
    if row >= params.shard_rows {
        return;
    }
    for (var i = lane; i < COLS / 8u; i += GROUP_SIZE) {
        let values = weights_eight(row, i);
        let place = (group.x * (COLS / 8u) + i) * 2u;
        out[place] = values.low * params.scale;
        out[place + 1u] = values.high * params.scale;
    }
}
