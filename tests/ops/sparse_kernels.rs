//! The sparse kernels are valid WGSL for every shape of heads, also where this machine cannot run them: cooperative
//! matrices of 16 x 16 and 8 x 8, with and without subgroups.

use foveal::gpu::shader::{self, Constant};
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn validate(kernel: &str, constants: &[(&str, u32)], variant: &str, side: u32) {
    let mut given: Vec<_> = constants.iter().map(|(name, value)| (*name, Constant::U32(*value))).collect();
    let text = shader::source(kernel).unwrap();
    if text.contains(" SCALE") {
        given.push(("SCALE", Constant::F32(0.125)));
    }
    if text.contains("MOST_EXPONENT") {
        given.push(("MOST_EXPONENT", Constant::F32(80.0)));
    }
    // Only what the file names: the directives and the kernels must agree.
    let header: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//#const")).collect();
    let named = |name: &str| header.iter().any(|line| line.split_whitespace().any(|word| word == name));
    given.retain(|(name, _)| named(name));
    let pieces = [("reduce", variant), ("scan", variant)];
    let text = shader::assemble(kernel, &given, &pieces).unwrap();
    let text = text.replace("coop_matMxM", &format!("coop_mat{side}x{side}"));
    let what = format!("{kernel} {variant} {side} {constants:?}");
    let module =
        naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(&text)));
    Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(&text)));
}

#[test]
fn every_variant_is_valid() {
    let kernels = [
        "compress_keys",
        "score_blocks",
        "score_blocks_decode",
        "select_blocks",
        "attend_sparse",
        "attend_sparse_merge",
        "coop/score_blocks",
        "coop/attend_sparse",
    ];
    for kernel in kernels {
        for head_dim in [32, 64, 96, 128] {
            for (group, side, subgroup) in [(1, 8, 8), (8, 8, 32), (16, 16, 32), (16, 16, 64)] {
                let quads = u32::div_ceil(group, 4);
                let uses_quads = shader::source(kernel).unwrap().contains("QUADS");
                let constants = [
                    ("GROUP_SIZE", if uses_quads { 64 * quads } else { 256 }),
                    ("QUADS", quads),
                    ("HEADS", 2 * group),
                    ("KV_HEADS", 2),
                    ("GROUP", group),
                    ("HEAD_DIM", head_dim),
                    ("STRIDE", 16),
                    ("LSE_STRIDE", 64),
                    ("BLOCK", 64),
                    ("BUDGET", 96),
                    ("INIT_BLOCKS", 1),
                    ("LOCAL_BLOCKS", 33),
                    ("FREE_BLOCKS", 62),
                    ("SLICES", if kernel == "compress_keys" { 2048 / head_dim } else { 256 / head_dim }),
                    ("M", side),
                    ("SUBGROUP", subgroup),
                ];
                for variant in ["barrier", "subgroup"] {
                    validate(kernel, &constants, variant, side);
                }
            }
        }
    }
}
