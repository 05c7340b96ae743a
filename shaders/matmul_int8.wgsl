// matmul in integers: a packed matrix times the rounded activations of many tokens, for devices without cooperative matrices.
//
//     out[t, first_out + r] = sum over chunks of  step[t] * scale[r] * sum q[r] * a[t]  +  bias[r] * (step[t] * sum a[t])
//
// A workgroup computes a tile of 128 tokens x 64 rows; each of 256 lanes 8 x 4 of it. A chunk (as many columns as 16 bytes of
// weights have) is a step: both operands pass through workgroup memory as packed bytes, 16 columns to a vector, the next
// chunk on its way meanwhile. Bound by arithmetic: 128 products of four bytes for 12 shared 16-byte reads and a plane.
// A lane's rows are 16 apart, so that neighbouring lanes read neighbouring vectors.
// Host: src/ops/matmul.rs. Twin: src/reference/matmul.rs. Layout of the activations: shaders/quantize_row.wgsl.
//
//#import bytes      PLANES, plane_of, affine_of
//#const  COLS       a multiple of the chunk

struct Params {
    tokens: u32,
    rows: u32,      // of this shard
    first_out: u32, // column of out where the shard's first row goes
    out_cols: u32,  // columns of out
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (tokens, COLS / 16), order as the weights want it
@group(0) @binding(3) var<storage, read> x_steps: array<vec2<f32>>;     // (tokens, CHUNKS): step, step * sum of the integers
@group(0) @binding(4) var<storage, read_write> out: array<f32>;         // (tokens, out_cols)
@group(0) @binding(5) var<uniform> params: Params;

const CHUNKS: u32 = COLS / 16u / PLANES;
const TOKENS: u32 = 128u;
const ROWS: u32 = 64u;
const OWN_TOKENS: u32 = 8u;
const OWN_ROWS: u32 = 4u;

var<workgroup> x_tile: array<vec4<u32>, TOKENS * PLANES>;        // (plane, token)
var<workgroup> weight_tile: array<vec4<u32>, ROWS * PLANES>;     // (plane, row)
var<workgroup> x_step: array<vec2<f32>, TOKENS>;
var<workgroup> affine: array<vec2<f32>, ROWS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_token = group.y * TOKENS;
    let first_row = group.x * ROWS;
    // What a lane fetches; past the end the last one again, whose results are not stored.
    let x_token = min(first_token + lane % TOKENS, params.tokens - 1u);
    let x_plane = lane / TOKENS % PLANES;
    let weight_row = min(first_row + lane % ROWS, params.rows - 1u);
    let token = lane / 16u * OWN_TOKENS;
    let row = lane % 16u;
    //#repeat T 8
    var sums@T = vec4(0.0);
    //#end
    var next_x = x[x_token * CHUNKS * PLANES + x_plane];
    var next_step = x_steps[x_token * CHUNKS];
    var next_weight = quants[weight_row * CHUNKS];
    var next_affine = affine_of(weight_row, 0u);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        if lane < TOKENS * PLANES {
            x_tile[x_plane * TOKENS + lane % TOKENS] = next_x;
        }
        if lane < TOKENS {
            x_step[lane] = next_step;
        }
        if lane < ROWS {
            for (var plane = 0u; plane < PLANES; plane++) {
                weight_tile[plane * ROWS + lane] = plane_of(next_weight, plane);
            }
            affine[lane] = next_affine;
        }
        workgroupBarrier();
        let ahead = min(chunk + 1u, CHUNKS - 1u);
        next_x = x[(x_token * CHUNKS + ahead) * PLANES + x_plane];
        next_step = x_steps[x_token * CHUNKS + ahead];
        next_weight = quants[weight_row * CHUNKS + ahead];
        next_affine = affine_of(weight_row, ahead);
        //#repeat T 8
        var products@T = vec4<i32>();
        //#end
        for (var plane = 0u; plane < PLANES; plane++) {
            //#repeat R 4
            let weight@R = weight_tile[plane * ROWS + row + @Ru * 16u];
            //#end
            //#repeat T 8
            let x@T = x_tile[plane * TOKENS + token + @Tu];
            products@T += vec4(four_dots(x@T, weight0), four_dots(x@T, weight1), four_dots(x@T, weight2), four_dots(x@T, weight3));
            //#end
        }
        let affine0 = affine[row];
        let affine1 = affine[row + 16u];
        let affine2 = affine[row + 32u];
        let affine3 = affine[row + 48u];
        let scales = vec4(affine0.x, affine1.x, affine2.x, affine3.x);
        let biases = vec4(affine0.y, affine1.y, affine2.y, affine3.y);
        //#repeat T 8
        let step@T = x_step[token + @Tu];
        sums@T += vec4<f32>(products@T) * (scales * step@T.x) + biases * step@T.y;
        //#end
        workgroupBarrier();
    }
    //#repeat T 8
    store(sums@T, first_token + token + @Tu, first_row + row);
    //#end
}

fn four_dots(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

fn store(sums: vec4<f32>, token: u32, row: u32) {
    for (var i = 0u; i < OWN_ROWS; i++) {
        if token < params.tokens && row + i * 16u < params.rows {
            out[token * params.out_cols + params.first_out + row + i * 16u] = sums[i];
        }
    }
}
