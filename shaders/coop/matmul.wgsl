enable f16;
enable wgpu_cooperative_matrix;
// matmul with cooperative matrices: a packed matrix times the activations of many tokens.
//
//     out[t, first_out + r] = sum over c of weight[r, c] * x[t, c]
//
// A workgroup of four subgroups computes 8 M tokens x 8 M rows, each subgroup a quarter as 4 x 4 matrices. Both operands
// pass through workgroup memory DEPTH columns at a time as f16, the next ones fetched as they lie in memory while matrices
// are multiplied. The matrices have names of their own because an array of
// them would not stay in registers: 35 TFLOP/s on an H200 with arrays, 190 with names. Rows of x and of out are padded
// to whole tiles, so nothing is checked at the edge of the tokens; the matrix must have whole tiles of rows.
// Host: src/ops/matmul.rs. Twin: src/reference/matmul.rs.
//
//#import weights               Packed, weights_fetch, weights_unpack
//#import numbers               Eight
//#const  COLS M SUBGROUP LOADS    M: side of a cooperative matrix; COLS is a multiple of DEPTH; LOADS per lane and tile

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
const TILE: u32 = 8u * M;
const DEPTH: u32 = 32u;
// Two vectors of padding keep neighbouring rows in different banks.
const STRIDE: u32 = DEPTH / 4u + 2u;

// One structure, because that places it: a matrix is loaded from addresses that are multiples of 16 bytes, four halves need
// only 8, and four floats pull all of it to 16. (A driver that was given less read wrong numbers.)
struct Memory {
    unused: vec4<f32>,
    x_tile: array<vec4<f16>, TILE * STRIDE>,
    weight_tile: array<vec4<f16>, TILE * STRIDE>,
}
var<workgroup> memory: Memory;

fn stage(at: u32, activations: vec4<u32>, packed: Packed) {
    let eight = unpack_eight(activations);
    memory.x_tile[at] = vec4<f16>(eight.low);
    memory.x_tile[at + 1u] = vec4<f16>(eight.high);
    let weights = weights_unpack(packed);
    memory.weight_tile[at] = vec4<f16>(weights.low);
    memory.weight_tile[at + 1u] = vec4<f16>(weights.high);
}

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
    //#repeat t 4
    //#repeat r 4
    var sum_@t_@r: coop_matMxM<f32, C>;
    //#end
    //#end
    //#repeat i LOADS
    let line_@i = (lane + @i * LANES) / (DEPTH / 8u);
    let eighth_@i = (lane + @i * LANES) % (DEPTH / 8u);
    let x_at_@i = (first_token + line_@i) * (COLS / 8u) + eighth_@i;
    let at_@i = line_@i * STRIDE + eighth_@i * 2u;
    var activations_@i = x[x_at_@i];
    var packed_@i = weights_fetch(first_row + line_@i, eighth_@i);
    //#end
    for (var column = 0u; column < COLS / 8u; column += DEPTH / 8u) {
        //#repeat i LOADS
        stage(at_@i, activations_@i, packed_@i);
        //#end
        workgroupBarrier();
        // After the last columns these again, in vain.
        let ahead = min(column + DEPTH / 8u, COLS / 8u - DEPTH / 8u);
        //#repeat i LOADS
        activations_@i = x[x_at_@i + ahead];
        packed_@i = weights_fetch(first_row + line_@i, ahead + eighth_@i);
        //#end
        for (var k = 0u; k < DEPTH / 4u; k += M / 4u) {
            //#repeat r 4
            let b_@r = coopLoad<coop_matMxM<f16, B>>(&memory.weight_tile[(row + @r * M) * STRIDE + k], STRIDE);
            //#end
            //#repeat t 4
            let a_@t = coopLoadT<coop_matMxM<f16, A>>(&memory.x_tile[(token + @t * M) * STRIDE + k], STRIDE);
            //#repeat r 4
            sum_@t_@r = coopMultiplyAdd(a_@t, b_@r, sum_@t_@r);
            //#end
            //#end
        }
        workgroupBarrier();
    }
    // Places and stride are values of their own: naga 30 stops at expressions inside the call.
    let out_cols = params.out_cols;
    let corner = (first_token + token) * out_cols + params.first_out + first_row + row;
    //#repeat t 4
    //#repeat r 4
    let at_@t_@r = corner + @t * M * out_cols + @r * M;
    coopStoreT(sum_@t_@r, &out[at_@t_@r], out_cols);
    //#end
    //#end
}
