// matmul: a packed matrix times the activations of many tokens.
//
//     out[t, first_out + r] = sum over c of weight[r, c] * x[t, c]
//
// A workgroup computes a tile of 64 tokens x 64 rows; each lane 4 x 4 of it. Both operands pass through workgroup
// memory 32 columns at a time, unpacked to f32 and turned so that a lane reads its four tokens and its four rows as one
// vector each. Bound by arithmetic: 16 multiply-adds for two shared 16-byte reads.
// Host: src/ops/matmul.rs. Twin: src/reference/matmul.rs.
//
//#import weights    weights_eight
//#import numbers    unpack_eight
//#const  COLS

struct Params {
    tokens: u32,
    rows: u32,      // of this shard
    first_out: u32, // column of out where the shard's first row goes
    out_cols: u32,  // columns of out
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (tokens, COLS / 8) eights of f16
@group(0) @binding(3) var<storage, read_write> out: array<f32>;         // (tokens, out_cols)
@group(0) @binding(4) var<uniform> params: Params;

const TILE: u32 = 64u;
const DEPTH: u32 = 32u;

// (column, token or row) with the fast index last.
var<workgroup> x_tile: array<array<f32, TILE>, DEPTH>;
var<workgroup> weight_tile: array<array<f32, TILE>, DEPTH>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_token = group.y * TILE;
    let first_row = group.x * TILE;
    // Loading: lane -> one of 64 tokens or rows, one of 4 eighths of the depth.
    let line = lane / 4u;
    let eighth = lane % 4u;
    // Computing: 16 x 16 lanes, each 4 tokens x 4 rows.
    let token = (lane / 16u) * 4u;
    let row = (lane % 16u) * 4u;
    var sums: array<vec4<f32>, 4>;
    for (var start = 0u; start < COLS / 8u; start += DEPTH / 8u) {
        let column = start + eighth;
        var activations = Eight(vec4(0.0), vec4(0.0));
        var weights = Eight(vec4(0.0), vec4(0.0));
        if column < COLS / 8u {
            if first_token + line < params.tokens {
                activations = unpack_eight(x[(first_token + line) * (COLS / 8u) + column]);
            }
            if first_row + line < params.rows {
                weights = weights_eight(first_row + line, column);
            }
        }
        for (var i = 0u; i < 4u; i++) {
            x_tile[eighth * 8u + i][line] = activations.low[i];
            x_tile[eighth * 8u + 4u + i][line] = activations.high[i];
            weight_tile[eighth * 8u + i][line] = weights.low[i];
            weight_tile[eighth * 8u + 4u + i][line] = weights.high[i];
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let w = vec4(weight_tile[k][row], weight_tile[k][row + 1u], weight_tile[k][row + 2u], weight_tile[k][row + 3u]);
            sums[0] += x_tile[k][token] * w;
            sums[1] += x_tile[k][token + 1u] * w;
            sums[2] += x_tile[k][token + 2u] * w;
            sums[3] += x_tile[k][token + 3u] * w;
        }
        workgroupBarrier();
    }
    for (var t = 0u; t < 4u; t++) {
        for (var r = 0u; r < 4u; r++) {
            if first_token + token + t < params.tokens && first_row + row + r < params.rows {
                let place = (first_token + token + t) * params.out_cols + params.first_out + first_row + row + r;
                out[place] = sums[t][r];
            }
        }
    }
}
