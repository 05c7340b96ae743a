enable f16;
enable wgpu_cooperative_matrix;
// matmul with cooperative matrices: a packed matrix times the activations of many tokens.
//
//     out[t, first_out + r] = sum over c of weight[r, c] * x[t, c]
//
// A workgroup of four subgroups computes 128 tokens x 128 rows, each subgroup a quarter. Both operands pass through
// workgroup memory DEPTH columns at a time as f16; the next columns are on their way to registers while the matrices of
// the current ones are multiplied. Rows of x and of out are padded to whole tiles, so nothing is checked at the edge of
// the tokens; the matrix must have a multiple of 128 rows.
// Host: src/ops/matmul.rs. Twin: src/reference/matmul.rs.
//
//#import weights               weights_eight
//#import numbers               Eight
//#const  COLS M SUBGROUP       M: side of a cooperative matrix; COLS is a multiple of DEPTH

struct Params {
    tokens: u32,
    rows: u32,
    first_out: u32,
    out_cols: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (tokens, COLS / 8) eights of f16
@group(0) @binding(3) var<storage, read_write> out: array<f32>;         // (tokens, out_cols)
@group(0) @binding(4) var<uniform> params: Params;

const LANES: u32 = 4u * SUBGROUP;
const TILE: u32 = 128u;
const DEPTH: u32 = 32u;
// Two vectors of padding keep neighbouring rows in different banks.
const STRIDE: u32 = DEPTH / 4u + 2u;
const SIDE: u32 = TILE / 2u / M;
const LOADS: u32 = TILE * DEPTH / 8u / LANES;

var<workgroup> x_tile: array<vec4<f16>, TILE * STRIDE>;
var<workgroup> weight_tile: array<vec4<f16>, TILE * STRIDE>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let first_token = group.y * TILE;
    let first_row = group.x * TILE;
    let token = (subgroup / 2u) * (TILE / 2u);
    let row = (subgroup % 2u) * (TILE / 2u);
    var sums: array<coop_matMxM<f32, C>, SIDE * SIDE>;
    var next_x: array<vec4<u32>, LOADS>;
    var next_weights: array<Eight, LOADS>;
    for (var i = 0u; i < LOADS; i++) {
        let place = lane + i * LANES;
        next_x[i] = x[(first_token + place / 4u) * (COLS / 8u) + place % 4u];
        next_weights[i] = weights_eight(first_row + place / 4u, place % 4u);
    }
    for (var column = 0u; column < COLS / 8u; column += DEPTH / 8u) {
        for (var i = 0u; i < LOADS; i++) {
            let place = lane + i * LANES;
            let at = (place / 4u) * STRIDE + (place % 4u) * 2u;
            x_tile[at] = vec4<f16>(vec4(unpack2x16float(next_x[i].x), unpack2x16float(next_x[i].y)));
            x_tile[at + 1u] = vec4<f16>(vec4(unpack2x16float(next_x[i].z), unpack2x16float(next_x[i].w)));
            weight_tile[at] = vec4<f16>(next_weights[i].low);
            weight_tile[at + 1u] = vec4<f16>(next_weights[i].high);
        }
        workgroupBarrier();
        // The last round loads its own columns again rather than branching.
        let next = min(column + DEPTH / 8u, COLS / 8u - DEPTH / 8u);
        for (var i = 0u; i < LOADS; i++) {
            let place = lane + i * LANES;
            next_x[i] = x[(first_token + place / 4u) * (COLS / 8u) + next + place % 4u];
            next_weights[i] = weights_eight(first_row + place / 4u, next + place % 4u);
        }
        for (var k = 0u; k < DEPTH / 4u; k += M / 4u) {
            var b: array<coop_matMxM<f16, B>, SIDE>;
            for (var r = 0u; r < SIDE; r++) {
                b[r] = coopLoad<coop_matMxM<f16, B>>(&weight_tile[(row + r * M) * STRIDE + k], STRIDE);
            }
            for (var t = 0u; t < SIDE; t++) {
                let a = coopLoadT<coop_matMxM<f16, A>>(&x_tile[(token + t * M) * STRIDE + k], STRIDE);
                for (var r = 0u; r < SIDE; r++) {
                    sums[t * SIDE + r] = coopMultiplyAdd(a, b[r], sums[t * SIDE + r]);
                }
            }
        }
        workgroupBarrier();
    }
    // A stride that is an expression of its own: naga 30 stops at one inside the call.
    let out_cols = params.out_cols;
    for (var t = 0u; t < SIDE; t++) {
        for (var r = 0u; r < SIDE; r++) {
            let at = (first_token + token + t * M) * out_cols + params.first_out + first_row + row + r * M;
            coopStoreT(sums[t * SIDE + r], &out[at], out_cols);
        }
    }
}
