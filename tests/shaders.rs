//! Every kernel in every combination of slot variants, with constants as the host writes them: assembled, validated, and
//! written as SPIR-V, MSL and HLSL, so that a kernel that only one driver would refuse is found on every machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use foveal::gpu::shader::Constant::{self, Bool, F32, U32};
use foveal::gpu::shader::{assemble, kernels, slots, source, standard, variants};
use naga::back::{hlsl, msl, spv};
use naga::front::wgsl;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

type Constants = Vec<(&'static str, Constant)>;

/// Workgroup memory that every device has, and what all graphics cards of the last ten years have.
const LEAST_MEMORY: u32 = 16 << 10;
const CARD_MEMORY: u32 = 32 << 10;
/// And what those with large cooperative matrices have.
const LARGE_MEMORY: u32 = 48 << 10;

/// Sets of constants to try a kernel with: the smallest and the largest that its host can ask for. A new kernel gets its
/// entry here.
fn constant_sets(kernel: &str) -> Option<Vec<Constants>> {
    let sets = |names: &[&'static str], values: &[&[u32]]| -> Vec<Constants> {
        values.iter().map(|set| names.iter().copied().zip(set.iter().map(|value| U32(*value))).collect()).collect()
    };
    let with = |mut list: Vec<Constants>, more: &[(&'static str, Constant)]| {
        list.iter_mut().for_each(|set| set.extend(more));
        list
    };
    let row = |values: &[&[u32]]| sets(&["GROUP_SIZE", "WIDTH"], values);
    // Heads, KV heads, values of a head.
    let heads: &[&[u32]] = &[&[1, 1, 32], &[6, 3, 96], &[8, 2, 64], &[32, 2, 128], &[40, 2, 128]];
    Some(match kernel {
        "rms_norm" => with(row(&[&[256, 6], &[256, 4096]]), &[("EPSILON", F32(1e-6))]),
        "add_rms_norm" => with(
            sets(
                &["GROUP_SIZE", "WIDTH", "TURNS", "CHUNK", "CHUNKS"],
                &[&[256, 16, 1, 16, 1], &[256, 4096, 2, 32, 128]],
            ),
            &[("EPSILON", F32(1e-6)), ("SPLIT", Bool(true))],
        ),
        "swiglu" => with(
            sets(&["GROUP_SIZE", "WIDTH", "CHUNK", "CHUNKS"], &[&[64, 16, 16, 1], &[64, 16_384, 32, 512]]),
            &[("SPLIT", Bool(false)), ("SCALE", F32(0.015_625))],
        ),
        "argmax" | "log_probs" | "copy" => sets(&["GROUP_SIZE"], &[&[256]]),
        "top_logits" => sets(&["GROUP_SIZE", "KEEP"], &[&[256, 64]]),
        "embed" => sets(&["GROUP_SIZE", "COLS", "GROUP"], &[&[64, 128, 16], &[64, 4096, 128]]),
        "matvec" => sets(&["GROUP_SIZE", "COLS", "GROUP", "ROWS"], &[&[64, 128, 16, 4], &[128, 4096, 128, 4]]),
        "matvec_wide" => with(
            sets(
                &["GROUP_SIZE", "LANES", "ROWS", "UNROLL", "COLS", "GROUP"],
                &[&[32, 32, 1, 1, 128, 32], &[256, 64, 4, 4, 4096, 128]],
            ),
            &[("SUBGROUP", U32(32))],
        ),
        "tile_cache" => {
            with(sets(&["HEAD_DIM", "M"], &[&[32, 8], &[96, 16], &[128, 8], &[128, 16]]), &[("GROUP_SIZE", U32(256))])
        }
        "quantize_row" => with(sets(&["GROUP_SIZE", "CHUNK"], &[&[64, 16], &[64, 32]]), &[("SPLIT", Bool(true))]),
        "matmul" => sets(&["COLS", "GROUP"], &[&[128, 16], &[4096, 128]]),
        "processor/matmul" => sets(&["COLS", "GROUP", "LANES"], &[&[128, 16, 4], &[128, 16, 8], &[4096, 128, 16]]),
        "matmul_int8" => sets(&["COLS", "GROUP"], &[&[128, 32], &[4096, 128]]),
        "matvec_normed" | "matvec_swiglu" | "matvec_add" | "matvec_rope_and_store" => {
            let numbers = [
                "GROUP_SIZE",
                "LANES",
                "SUBGROUP",
                "UNROLL",
                "COLS",
                "GROUP",
                "OUT_CHUNK",
                "HEADS",
                "KV_HEADS",
                "HEAD_DIM",
            ];
            let values: &[&[u32]] =
                &[&[256, 32, 32, 1, 128, 32, 16, 1, 1, 32], &[512, 64, 64, 4, 4096, 128, 32, 32, 2, 128]];
            let floats = [("EPSILON", F32(1e-6)), ("SCALE", F32(0.015_625)), ("SPLIT", Bool(true))];
            with(sets(&numbers, values), &floats)
        }
        "attend_merge" => with(
            sets(
                &["GROUP_SIZE", "HEAD_DIM", "SLICES", "CHUNK", "CHUNKS"],
                &[&[256, 32, 32, 16, 64], &[256, 96, 10, 32, 6], &[256, 128, 8, 32, 128]],
            ),
            &[("SPLIT", Bool(true))],
        ),
        "coop/matmul" => {
            sets(&["COLS", "GROUP", "M", "SUBGROUP", "LOADS"], &[&[128, 16, 8, 8, 8], &[4096, 128, 16, 32, 4]])
        }
        "rope_and_store" => with(sets(&["HEADS", "KV_HEADS", "HEAD_DIM"], heads), &[("GROUP_SIZE", U32(256))]),
        "attend_dense" => [(32, 16), (32, 32), (16, 32)]
            .into_iter()
            .flat_map(|(rows, keys)| {
                let shapes = sets(&["HEADS", "KV_HEADS", "HEAD_DIM"], heads);
                with(shapes, &[("ROWS", U32(rows)), ("TILE_KEYS", U32(keys))])
            })
            .collect(),
        "processor/attend_dense" => [(4, 4), (1, 8), (1, 16)]
            .into_iter()
            .flat_map(|(rows, lanes)| {
                let shapes = sets(&["HEADS", "KV_HEADS", "HEAD_DIM"], heads);
                with(shapes, &[("ROWS", U32(rows)), ("LANES", U32(lanes))])
            })
            .collect(),
        "processor/attend_sparse" => {
            let mut sets = sparse_sets(false);
            for set in &mut sets {
                let (group, lanes) = (value(set, "GROUP"), 8);
                set.extend([("ROWS", U32(group.div_ceil(lanes))), ("LANES", U32(lanes))]);
            }
            sets
        }
        "score_blocks" => {
            let pitched = |pitch: u32| with(sparse_sets(false), &[("PITCH", U32(pitch))]);
            [pitched(64), pitched(65)].concat()
        }
        "score_blocks_decode" | "attend_sparse" => sparse_sets(true),
        "compress_keys" | "select_blocks" => {
            let ranked = |bf16: bool| with(sparse_sets(false), &[("BF16", Bool(bf16))]);
            [ranked(false), ranked(true)].concat()
        }
        // Heads fill whole matrices.
        "coop/score_blocks" => {
            sparse_sets(false).into_iter().filter(|set| value(set, "GROUP").is_multiple_of(value(set, "M"))).collect()
        }
        "coop/attend_sparse" | "coop/attend_dense" => attend_coop_sets(),
        "coop/attend_chosen" => attend_chosen_sets(),
        _ => return None,
    })
}

/// For workgroups of four tokens.
fn attend_coop_sets() -> Vec<Constants> {
    let mut sets: Vec<Constants> = sparse_sets(false).into_iter().filter(|set| value(set, "GROUP") <= 16).collect();
    for set in &mut sets {
        let (keys, head_dim) = (value(set, "KEYS"), value(set, "HEAD_DIM"));
        let lanes = 4 * value(set, "SUBGROUP");
        let numbers = [
            ("TOKENS", 4),
            ("SLOT_TILES", keys / value(set, "M")),
            ("STAGE", (keys * (head_dim / 4 + 2)).max(head_dim * (keys / 4 + 2))),
            ("LOADS", (keys * head_dim / 4).div_ceil(lanes)),
        ];
        set.extend(numbers.map(|(name, number)| (name, U32(number))));
    }
    sets
}

/// For tiles as wide as a block, shared by as many subgroups as divide them.
fn attend_chosen_sets() -> Vec<Constants> {
    let mut sets: Vec<Constants> = sparse_sets(false).into_iter().filter(|set| value(set, "GROUP") <= 16).collect();
    for set in &mut sets {
        let (keys, head_dim, side) = (value(set, "BLOCK"), value(set, "HEAD_DIM"), value(set, "M"));
        let (slot_tiles, depths, part) = (keys / side, head_dim / side, if head_dim % keys == 0 { keys } else { 32 });
        let split = [4, 2, 1].into_iter().find(|split| slot_tiles % split == 0 && depths % split == 0).unwrap();
        let rows = value(set, "ROW_TILES") * side;
        let row_lanes = (split * value(set, "SUBGROUP") / rows).clamp(1, keys / 4);
        let numbers = [
            ("KEYS", keys),
            ("SLOT_TILES", slot_tiles),
            ("SPLIT", split),
            ("OWN_SLOTS", slot_tiles / split),
            ("OUT_PARTS", depths / split),
            ("OWN_OUT", 1),
            ("PARTS", head_dim / part),
            ("PER_PART", part / side),
            ("ROW_LANES", row_lanes),
            ("HALVINGS", row_lanes.ilog2()),
            ("VECTORS", keys / 4 / row_lanes),
            ("TURNS", (rows * row_lanes).div_ceil(split * value(set, "SUBGROUP"))),
        ];
        for (name, number) in numbers {
            set.retain(|(known, _)| *known != name);
            set.push((name, U32(number)));
        }
    }
    sets
}

/// Every shape of heads with small and with the published blocks, and both sizes of cooperative matrices. `by_quads` says
/// whether the size of a workgroup follows the heads of a group.
fn sparse_sets(by_quads: bool) -> Vec<Constants> {
    let mut all = Vec::new();
    for head_dim in [32, 64, 96, 128] {
        for (group, side, subgroup) in [(1, 8, 8), (7, 16, 64), (8, 8, 32), (16, 16, 32), (16, 16, 64), (20, 8, 32)] {
            // Stride, block, budget, local, free blocks.
            for [stride, block, budget, local, free] in [[4, 16, 5, 3, 1], [16, 64, 96, 33, 62], [16, 64, 34, 33, 0]] {
                let quads = u32::div_ceil(group, 4).min(4);
                let keys = 4 * side;
                let part = if head_dim % 64 == 0 { keys } else { 32 };
                let row_tiles = u32::div_ceil(group, side);
                let numbers = [
                    ("GROUP_SIZE", if by_quads { 64 * quads } else { 256 }),
                    ("QUADS", quads),
                    ("HEADS", 2 * group),
                    ("KV_HEADS", 2),
                    ("GROUP", group),
                    ("HEAD_DIM", head_dim),
                    ("STRIDE", stride),
                    ("LSE_STRIDE", if free == 1 { stride } else { block }),
                    ("BLOCK", block),
                    ("BUDGET", budget),
                    ("INIT_BLOCKS", 1),
                    ("LOCAL_BLOCKS", local),
                    ("FREE_BLOCKS", free),
                    ("SLICES", 256 / (head_dim / 8)),
                    ("M", side),
                    ("SUBGROUP", subgroup),
                    ("ROW_TILES", row_tiles),
                    ("KEYS", keys),
                    ("VECTORS", keys / 8),
                    ("TURNS", (2 * row_tiles * side).div_ceil(subgroup)),
                    ("OWN_TILES", 2),
                    ("SCORE_LOADS", 2 * head_dim / subgroup),
                    ("COLUMN_TILES", 16 / side),
                    ("DEPTHS", head_dim / side),
                    ("PARTS", head_dim / part),
                    ("PER_PART", part / side),
                ];
                let scales = [("SCALE", F32(0.125)), ("MOST_EXPONENT", F32(80.0))];
                let set = numbers.map(|(name, value)| (name, U32(value))).into_iter().chain(scales);
                all.push(set.collect());
            }
        }
    }
    all
}

fn value(set: &Constants, wanted: &str) -> u32 {
    let found = set.iter().find(|(name, _)| *name == wanted);
    let Some((_, U32(number))) = found else { panic!("{wanted} is no whole number of {set:?}") };
    *number
}

/// Every choice of one variant for each slot that has several.
fn choices(kernel: &str) -> Vec<Vec<(String, String)>> {
    let mut all = vec![Vec::new()];
    for slot in slots(kernel) {
        let mut names: Vec<String> = variants(&slot).into_iter().map(|(name, _)| name).collect();
        // What goes on with its results reads rounded rows only.
        let rounded_only = slots(kernel).iter().any(|other| other == "row_products");
        names.retain(|name| slot != "products" || !rounded_only || name.ends_with("int8"));
        assert!(!names.is_empty(), "{kernel} imports {slot}, of which there is no file in shaders/pieces");
        if names != [""] {
            let extend = |chosen: &Vec<(String, String)>, name: &String| {
                chosen.iter().cloned().chain([(slot.clone(), name.clone())]).collect()
            };
            all = all.iter().flat_map(|chosen| names.iter().map(move |name| extend(chosen, name))).collect();
        }
    }
    all
}

fn text(kernel: &str, constants: &Constants, chosen: &[(String, String)]) -> String {
    let choices: Vec<(&str, &str)> = chosen.iter().map(|(slot, name)| (slot.as_str(), name.as_str())).collect();
    let mut declared = Vec::new();
    declared_by(kernel, &choices, &mut declared);
    let constants: Constants = constants.iter().copied().filter(|(name, _)| declared.contains(name)).collect();
    let text = assemble(kernel, &constants, &choices).unwrap_or_else(|error| panic!("{kernel}: {error}"));
    if !kernel.starts_with("coop/") {
        return text;
    }
    let side = value(&constants, "M");
    text.replace("coop_matMxM", &format!("coop_mat{side}x{side}"))
}

/// Constants that a file and the pieces that it takes in name; a set of the table may hold more.
fn declared_by(path: &str, choices: &[(&str, &str)], names: &mut Vec<&'static str>) {
    let text = source(path).unwrap_or_else(|| panic!("no shaders/{path}.wgsl"));
    for line in text.lines().map(str::trim_start) {
        if let Some(rest) = line.strip_prefix("//#const") {
            names.extend(rest.split_whitespace());
        }
        if let Some(slot) = line.strip_prefix("//#import").and_then(|rest| rest.split_whitespace().next()) {
            match choices.iter().find(|(name, _)| *name == slot) {
                Some((_, variant)) => declared_by(&format!("pieces/{slot}.{variant}"), choices, names),
                None => declared_by(&format!("pieces/{slot}"), choices, names),
            }
        }
    }
}

fn validate(what: &str, text: &str) -> (naga::Module, ModuleInfo) {
    let module = wgsl::parse_str(text).unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(text)));
    let capabilities = Capabilities::default()
        | Capabilities::SUBGROUP
        | Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::COOPERATIVE_MATRIX;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(text)));
    (module, info)
}

/// Bytes of workgroup memory that each entry point uses.
fn workgroup_bytes(module: &naga::Module, info: &ModuleInfo) -> Vec<(String, u32)> {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let entry = |(index, entry): (usize, &naga::EntryPoint)| {
        let used = |handle: naga::Handle<naga::GlobalVariable>| !info.get_entry_point(index)[handle].is_empty();
        let shared = module
            .global_variables
            .iter()
            .filter(|(handle, variable)| variable.space == naga::AddressSpace::WorkGroup && used(*handle));
        (entry.name.clone(), shared.map(|(_, variable)| layouter[variable.ty].size).sum())
    };
    module.entry_points.iter().enumerate().map(entry).collect()
}

/// Arrays in workgroup memory that matrices are loaded from although nothing places them at a multiple of 16 bytes, which
/// drivers count on.
fn misplaced_matrices(module: &naga::Module) -> Vec<String> {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let functions = module.entry_points.iter().map(|entry| &entry.function);
    let mut found = Vec::new();
    for function in functions.chain(module.functions.iter().map(|(_, function)| function)) {
        for (_, expression) in function.expressions.iter() {
            let naga::Expression::CooperativeLoad { data, .. } = expression else { continue };
            let (mut pointer, mut member) = (data.pointer, None);
            let variable = loop {
                match function.expressions[pointer] {
                    naga::Expression::Access { base, .. } => pointer = base,
                    naga::Expression::AccessIndex { base, index } => (pointer, member) = (base, Some(index)),
                    naga::Expression::GlobalVariable(variable) => break &module.global_variables[variable],
                    ref other => panic!("a matrix comes from {other:?}"),
                }
            };
            if variable.space != naga::AddressSpace::WorkGroup {
                continue;
            }
            let place = match (&module.types[variable.ty].inner, member) {
                (naga::TypeInner::Struct { members, .. }, Some(member)) => members[member as usize].offset,
                _ => 0,
            };
            if layouter[variable.ty].alignment < naga::proc::Alignment::from_width(16) || place % 16 != 0 {
                found.push(format!("{} at {place}", variable.name.as_deref().unwrap_or("?")));
            }
        }
    }
    found
}

/// The kernel as SPIR-V, and as HLSL where DX12 can have it.
fn write_everywhere(what: &str, coop: bool, module: &naga::Module, info: &ModuleInfo) -> (Vec<u32>, Option<String>) {
    let options = spv::Options { lang_version: (1, 4), ..Default::default() };
    let words = spv::write_vec(module, info, &options, None);
    let words = words.unwrap_or_else(|error| panic!("{what} as SPIR-V: {error}"));
    let options = msl::Options { lang_version: (3, 0), ..Default::default() };
    msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .unwrap_or_else(|error| panic!("{what} as MSL: {error}"));
    // DX12 has no cooperative matrices that wgpu could use.
    if coop {
        return (words, None);
    }
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, ..Default::default() };
    let (mut out, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let written = hlsl::Writer::new(&mut out, &options, &pipeline).write(module, info, None);
    let entries = written.unwrap_or_else(|error| panic!("{what} as HLSL: {error}")).entry_point_names;
    let entries: Vec<String> =
        entries.into_iter().map(|name| name.unwrap_or_else(|error| panic!("{what}: {error}"))).collect();
    (words, Some(format!("// {}\n{out}", entries.join(" "))))
}

/// The SPIR-V tools' opinion of what naga wrote. False, with a loud line, where they are not installed.
fn spirv_val(modules: &[(String, Vec<u32>)]) -> bool {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: no spirv-val (apt install spirv-tools)");
        return false;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    for (what, words) in modules {
        std::fs::write(file.path(), bytemuck::cast_slice::<u32, u8>(words)).unwrap();
        let checked = Command::new("spirv-val").args(["--target-env", "vulkan1.3"]).arg(file.path()).output().unwrap();
        let words = String::from_utf8_lossy(&checked.stderr);
        // Cooperative matrices are younger than many distributions' tools.
        let unknown = words.contains("Invalid capability operand: 6022");
        assert!(checked.status.success() || unknown && what.starts_with("coop/"), "{what}: {words}");
    }
    true
}

#[test]
fn every_kernel_in_every_variant_is_valid_for_every_backend() {
    let kernels = kernels();
    assert!(kernels.len() >= 18, "{kernels:?}");
    // Where tests/dawn wants the texts, for another WGSL compiler.
    let dump = std::env::var_os("FOVEAL_SHADER_FOLDER").map(PathBuf::from);
    // Where tests/dxc wants them as HLSL, for Microsoft's compiler.
    let hlsl_dump = std::env::var_os("FOVEAL_HLSL_FOLDER").map(PathBuf::from);
    let (mut count, mut modules) = (0, Vec::new());
    for kernel in &kernels {
        let sets = constant_sets(kernel).unwrap_or_else(|| {
            panic!("shaders/{kernel}.wgsl has no entry in `constant_sets` of tests/shaders.rs: add its constants there")
        });
        let coop = kernel.starts_with("coop/");
        for chosen in choices(kernel) {
            for constants in &sets {
                let what = format!("{kernel} {chosen:?} {constants:?}");
                let text = text(kernel, constants, &chosen);
                let (module, info) = validate(&what, &text);
                let file = |ending: &str| format!("{}-{count}.{ending}", kernel.replace('/', "-"));
                if let Some(folder) = &dump {
                    std::fs::write(folder.join(file("wgsl")), standard(&text)).unwrap();
                }
                assert!(!module.entry_points.is_empty(), "{what} has no entry point");
                let large =
                    coop || constants.contains(&("TILE_KEYS", U32(32))) || constants.contains(&("PITCH", U32(65)));
                for (entry, bytes) in workgroup_bytes(&module, &info) {
                    let most = match (coop && constants.contains(&("M", U32(16))), large) {
                        (true, _) => LARGE_MEMORY,
                        (false, true) => CARD_MEMORY,
                        (false, false) => LEAST_MEMORY,
                    };
                    assert!(bytes <= most, "{what}, {entry}: {bytes} bytes of workgroup memory, at most {most}");
                }
                assert_eq!(misplaced_matrices(&module), [] as [String; 0], "{what}");
                // A writer that gives up says nothing of the kernel.
                eprintln!("{what}");
                let (words, hlsl) = write_everywhere(&what, coop, &module, &info);
                // One of each kind is enough: what constants change is arithmetic.
                if constants == &sets[0] || constants == &sets[sets.len() - 1] {
                    modules.push((what, words));
                    if let (Some(folder), Some(hlsl)) = (&hlsl_dump, hlsl) {
                        std::fs::write(folder.join(file("hlsl")), hlsl).unwrap();
                    }
                }
                count += 1;
            }
        }
    }
    eprintln!("{count} variants of {} kernels", kernels.len());
    if spirv_val(&modules) {
        eprintln!("{} of them checked by spirv-val", modules.len());
    }
}

#[test]
fn a_matrix_at_an_odd_place_would_be_found() {
    let kernel = |memory: &str, place: &str| {
        let text = format!(
            "enable f16; enable wgpu_cooperative_matrix; {memory}
            @compute @workgroup_size(32) fn main() {{
                let matrix = coopLoad<coop_mat16x16<f16, B>>(&{place}, 4u);
                var sum: coop_mat16x16<f32, C>;
                sum = coopMultiplyAdd(coopLoad<coop_mat16x16<f16, A>>(&{place}, 4u), matrix, sum);
            }}"
        );
        misplaced_matrices(&validate("a matrix", &text).0).len()
    };
    let alone = "var<workgroup> halves: array<vec4<f16>, 64>;";
    assert_eq!(kernel(alone, "halves[0]"), 2);
    let behind = |before: &str| {
        format!("struct Memory {{ {before}, halves: array<vec4<f16>, 64> }} var<workgroup> memory: Memory;")
    };
    assert_eq!(kernel(&behind("floats: array<vec4<f32>, 3>"), "memory.halves[0]"), 0);
    assert_eq!(kernel(&behind("floats: vec4<f32>, odd: vec2<f32>"), "memory.halves[0]"), 2);
}

#[test]
fn a_broken_kernel_would_be_found() {
    let sets = constant_sets("matvec").unwrap();
    let chosen = &choices("matvec")[0];
    let good = text("matvec", &sets[0], chosen);
    assert!(wgsl::parse_str(&good.replace("= group_sum(", "= no_such_function(")).is_err());
    assert!(assemble("matvec", &sets[0][1..], &[("weights", "q4"), ("reduce", "barrier")]).is_err());
    assert!(assemble("matvec", &sets[0], &[("reduce", "barrier")]).is_err(), "a slot without a choice");
    assert!(constant_sets("no_such_kernel").is_none());
}
