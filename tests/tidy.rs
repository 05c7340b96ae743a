//! The rules of the house, checked on the sources as text: names that agree, imports that go downwards, no shortcuts that
//! crash, files short enough to read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files longer than this must say why in their header, in a line with the word "long".
const MOST_LINES: usize = 500;

/// Beside the ops: what several of them share.
const SHARED: &[&str] = &[
    "mod",
    "cached",
    "head_shape",
    "matrix",
    "row_out",
    "row_products",
    "attend_coop",
    "attend_chosen",
    "attend_merge",
    "rounded",
    "sparse_shapes",
    "dot",
    "forward",
    "data",
    "sparse_layer",
    "sparse_chain",
    "sparse_golden",
];

/// Kernels that are stages of an op of another name.
const STAGES: &[(&str, &str)] =
    &[("matmul_int8", "matmul"), ("matvec_wide", "matvec"), ("score_blocks_decode", "score_blocks")];

/// Modules from the ground up. Each may import itself, its own level and what stands before it.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["gpu", "sparse_settings", "block_marks"],
    &["weights", "tokenizer", "sampler"],
    &["chat_template", "conversation", "recall"],
    &["ops"],
    &["kv_cache"],
    // Twins and models share the configuration and the list of weights.
    &["model", "reference"],
    &["session", "selfcheck", "trace"],
    &["generate"],
    &["built_in"],
    &["open"],
    &["cli", "desktop"],
    &["main"],
];

/// Imports against that order, which exist for a reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Limits of exponents that kernel and twin must share.
    ("ops", "reference"),
    // What `foveal selfcheck` and bench open devices with.
    ("kv_cache", "selfcheck"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder with this ending, as (path from the root, text).
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().unwrap().to_str().unwrap()
}

/// The part of a source file that ships: without its tests and its comments.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines.map(|(number, line)| (number + 1, line.split("//").next().unwrap_or(""))).filter(|(_, line)| !line.is_empty())
}

#[test]
fn names_of_ops_agree() {
    let names = |folder: &str, ending: &str| -> BTreeSet<String> {
        let direct = files(folder, ending).into_iter().filter(|(path, _)| !path.contains("/pieces/"));
        direct.map(|(path, _)| stem(&path).to_owned()).filter(|name| !SHARED.contains(&name.as_str())).collect()
    };
    let staged = |mut shaders: BTreeSet<String>| {
        for (stage, op) in STAGES {
            assert!(shaders.remove(*stage), "{stage} is listed as a stage but has no shader");
            assert!(shaders.contains(*op));
        }
        shaders
    };
    let ops = names("src/ops", "rs");
    assert!(ops.len() >= 15, "{ops:?}");
    assert_eq!(staged(names("shaders", "wgsl")), ops, "shaders/ and src/ops");
    for folder in ["src/reference", "src/selfcheck", "tests/ops"] {
        assert_eq!(names(folder, "rs"), ops, "{folder} and src/ops");
    }
}

fn module_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap();
    inner.split('/').next().unwrap().trim_end_matches(".rs")
}

fn level(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Names after `crate::` in a line, and in the braces of `use crate::{`.
fn imported(line: &str) -> Vec<&str> {
    let name = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_').len();
    line.match_indices("crate::")
        .filter_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            Some(&rest[..name(rest)]).filter(|module| !module.is_empty())
        })
        .collect()
}

#[test]
fn imports_go_downwards() {
    for (path, text) in files("src", "rs") {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let own = level(module).unwrap_or_else(|| panic!("{path}: put {module} into LAYERS of tests/tidy.rs"));
        for (number, line) in shipped(&text) {
            assert!(!line.contains("use crate::{"), "{path}:{number}: one `use crate::module` a line, please");
            for other in imported(line) {
                let other_level = level(other).unwrap_or_else(|| panic!("{path}:{number}: unknown module {other}"));
                let allowed = other_level <= own || EXCEPTIONS.contains(&(module, other));
                assert!(allowed, "{path}:{number}: {module} must not import {other}, which is built on it");
            }
        }
    }
}

#[test]
fn only_gpu_names_wgpu_and_only_the_desktop_names_its_window() {
    for (path, text) in files("src", "rs") {
        let module = module_of(&path);
        for (number, line) in shipped(&text) {
            let here = format!("{path}:{number}: {line}");
            assert!(module == "gpu" || !line.contains("wgpu::"), "{here}");
            let window = ["egui::", "eframe::", "egui_extras::", "rfd::"].iter().any(|name| line.contains(name));
            assert!(module == "desktop" || !window, "{here}");
        }
    }
}

#[test]
fn nothing_that_ships_panics_on_purpose() {
    // clippy finds `expect` too, but not behind a `cfg` that is off; the name is also that of a method of `Tensor`.
    let shortcuts = [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "dbg!(", "unreachable!("];
    for (path, text) in files("src", "rs") {
        for (number, line) in shipped(&text) {
            let found = shortcuts.iter().find(|shortcut| line.contains(**shortcut));
            assert!(found.is_none(), "{path}:{number}: {line}");
        }
    }
}

#[test]
fn files_are_short_enough_to_read_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for (folder, ending) in [("src", "rs"), ("tests", "rs"), ("examples", "rs"), ("shaders", "wgsl")] {
        for (path, text) in files(folder, ending) {
            let header: Vec<_> = text.lines().take_while(|line| line.starts_with("//")).collect();
            let lines = text.lines().count();
            if lines > MOST_LINES && !header.iter().any(|line| line.to_lowercase().contains("long")) {
                wrong.push(format!("{path} has {lines} lines: split it, or say in its header why it is long"));
            }
            let first = text.lines().find(|line| !line.starts_with("enable ")).unwrap_or_default();
            let mark = if ending == "rs" { "//! " } else { "// " };
            if (folder == "src" || folder == "shaders") && (!first.starts_with(mark)) {
                wrong.push(format!("{path} does not begin with what it is"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_binding_says_its_shape() {
    let mut count = 0;
    for (path, text) in files("shaders", "wgsl") {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("@group(")) {
            count += 1;
            let shaped = line.split_once("//").is_some_and(|(_, comment)| comment.contains('('));
            assert!(shaped || line.contains("var<uniform>"), "{path}:{}: no shape in {line}", number + 1);
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_checks_see_what_they_look_for() {
    let text = "use crate::ops::X;\nlet a = b; // x.unwrap()\n#[cfg(test)]\nc.unwrap();\n";
    let lines: Vec<_> = shipped(text).collect();
    assert_eq!(lines, [(1, "use crate::ops::X;"), (2, "let a = b; ")]);
    assert_eq!(imported(lines[0].1), ["ops"]);
    assert!(level("ops") < level("model") && level("session") < level("cli"));
}
