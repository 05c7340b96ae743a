// matmul for drivers that run shaders on the processor: a packed matrix times the activations of many tokens.
//
//     out[t, first_out + r] = sum over c of weight[r, c] * x[t, c]
//
// A workgroup is one subgroup, a vector register; it computes 16 tokens x 8 LANES rows, each lane eight rows for all tokens. There, reading memory
// is what costs, workgroup memory too: an address for each lane, loaded one after the other, some 190 cycles for a word a lane with
// Mesa 22, against 2 for a multiply-add. So sums stay in registers and on the stack, nothing passes through workgroup memory, and
// a lane loads one token's activations and hands them to the others. On two processors 0.7 GFLOP/s became 7 with Mesa 22, and
// 4.5 became 13 with Mesa 26.
// Host: src/ops/matmul.rs. Twin: src/reference/matmul.rs.
//
//#import weights       weights_eight
//#import numbers       Eight, unpack_eight
//#const  COLS LANES    LANES: lanes of a subgroup

struct Params {
    tokens: u32,
    rows: u32,      // of this shard
    first_out: u32, // column of out where the shard's first row goes
    out_cols: u32,  // columns of out
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;           // (tokens, COLS / 8) eights of f16
@group(0) @binding(3) var<storage, read_write> out: array<f32>;         // (tokens, out_cols)
@group(0) @binding(4) var<uniform> params: Params;

const TOKENS: u32 = 16u;
const QUADS: u32 = 2u; // quads of rows that a lane has

// Eight columns of four rows.
struct Columns {
    low: mat4x4<f32>,
    high: mat4x4<f32>,
}

// The rows lie LANES apart, so that neighbouring lanes have neighbouring rows.
fn columns(row: u32, eighth: u32) -> Columns {
    let last = params.rows - 1u;
    let a = weights_eight(min(row, last), eighth);
    let b = weights_eight(min(row + LANES, last), eighth);
    let c = weights_eight(min(row + 2u * LANES, last), eighth);
    let d = weights_eight(min(row + 3u * LANES, last), eighth);
    return Columns(transpose(mat4x4(a.low, b.low, c.low, d.low)), transpose(mat4x4(a.high, b.high, c.high, d.high)));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first_token = group.y * TOKENS;
    let first_row = group.x * 4u * QUADS * LANES + lane;
    var sums: array<array<vec4<f32>, TOKENS>, QUADS>;
    for (var eighth = 0u; eighth < COLS / 8u; eighth++) {
        var weights: array<Columns, QUADS>;
        for (var q = 0u; q < QUADS; q++) {
            weights[q] = columns(first_row + q * 4u * LANES, eighth);
        }
        for (var t = 0u; t < TOKENS; t += LANES) {
            let token = min(first_token + t + lane, params.tokens - 1u);
            let own = unpack_eight(x[token * (COLS / 8u) + eighth]);
            for (var i = 0u; i < LANES; i++) {
                let low = subgroupShuffle(own.low, i);
                let high = subgroupShuffle(own.high, i);
                for (var q = 0u; q < QUADS; q++) {
                    sums[q][t + i] += weights[q].low * low + weights[q].high * high;
                }
            }
        }
    }
    // A loop whose end is not known is not written out, which would take the driver's compiler four seconds in place of one.
    for (var t = 0u; t < min(TOKENS, params.tokens - first_token); t++) {
        for (var i = 0u; i < 4u * QUADS; i++) {
            let row = first_row + i * LANES;
            if row < params.rows {
                out[(first_token + t) * params.out_cols + params.first_out + row] = sums[i / 4u][t][i % 4u];
            }
        }
    }
}
