//! Assembles a kernel: its own text first (so that line numbers of errors are the file's), then the host's constants,
//! then the pieces it imports.
//!
//! Directives are comments: `//#import SLOT` and `//#const NAME NAME`. A slot with several files
//! (`pieces/reduce.subgroup.wgsl`, `pieces/reduce.barrier.wgsl`) is filled with the one that the host chooses; a slot
//! with one file (`pieces/numbers.wgsl`) needs no choice. Each piece is included once. `//#repeat` writes lines out several
//! times. No other macros, no `#ifdef`.

use std::fmt::Write as _;

use include_dir::{Dir, include_dir};

use crate::error::{Error, Result};

/// A constant that the host writes into a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// `u32`
    U32(u32),
    /// `f32`
    F32(f32),
    /// `bool`
    Bool(bool),
}

/// The folder shaders/ as it was when the program was built.
static SHADERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// The text of one file by its path under shaders/ without the ending.
pub fn source(path: &str) -> Option<&'static str> {
    SHADERS.get_file(format!("{path}.wgsl"))?.contents_utf8()
}

/// Every kernel: the files that are not pieces, by path without the ending.
pub fn kernels() -> Vec<String> {
    // The star takes in folders too.
    let found = SHADERS.find("*.wgsl").into_iter().flatten();
    let names = found.filter_map(|entry| Some(entry.path().with_extension("").to_str()?.replace('\\', "/")));
    names.filter(|name| !name.starts_with("pieces/")).collect()
}

/// Builds the WGSL of `kernel` with `constants` and, for each slot, the chosen variant.
pub fn assemble(kernel: &str, constants: &[(&str, Constant)], choices: &[(&str, &str)]) -> Result<String> {
    let text = source(kernel).ok_or_else(|| fault(kernel, "a file in shaders/", "none of this name"))?;
    let mut pieces: Vec<(String, &str)> = Vec::new();
    let mut declared: Vec<&str> = Vec::new();
    gather(kernel, text, choices, &mut pieces, &mut declared)?;
    let mut out = text.to_owned();
    out.push_str("\n// ---- constants ----\n");
    for (name, value) in constants {
        if !declared.contains(name) {
            return Err(fault(kernel, "only constants named by //#const", name));
        }
        match value {
            Constant::U32(value) => writeln!(out, "const {name}: u32 = {value}u;"),
            Constant::F32(value) => writeln!(out, "const {name}: f32 = {value:?}f;"),
            Constant::Bool(value) => writeln!(out, "const {name}: bool = {value};"),
        }
        .map_err(|error| fault(kernel, "a constant that can be written", &error.to_string()))?;
    }
    if let Some(missing) = declared.iter().find(|name| !constants.iter().any(|(given, _)| given == *name)) {
        return Err(fault(kernel, "a value for every //#const", &format!("none for {missing}")));
    }
    for (path, piece) in &pieces {
        let _ = write!(out, "\n// ---- {path} ----\n{piece}");
    }
    expand_repeats(kernel, &out, constants)
}

/// The text as WGSL's standard wants it and Tint asks for it: with `enable subgroups`, which naga does not know yet. On the
/// first line, so that line numbers stay.
pub fn standard(text: &str) -> String {
    let used = [
        "subgroupAdd(",
        "subgroupMax(",
        "subgroupExclusiveAdd(",
        "subgroupShuffle(",
        "subgroup_id",
        "subgroup_invocation_id",
    ];
    let enable = if used.iter().any(|word| text.contains(word)) { "enable subgroups; " } else { "" };
    format!("{enable}{text}")
}

/// Writes every `//#repeat NAME COUNT` .. `//#end` out COUNT times with `@NAME` replaced by 0, 1, 2 ... COUNT is a number
/// or a constant. What is written out stands on one line, so that line numbers stay those of the file.
///
/// Cooperative matrices are the reason: an array of them goes to memory on drivers that keep single ones in registers,
/// which costs a factor of five.
fn expand_repeats(kernel: &str, text: &str, constants: &[(&str, Constant)]) -> Result<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.trim_start().strip_prefix("//#repeat ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let mut words = rest.split_whitespace();
        let (Some(name), Some(count)) = (words.next(), words.next()) else {
            return Err(fault(kernel, "//#repeat NAME COUNT", line));
        };
        let known = constants.iter().find(|(constant, _)| *constant == count).map(|(_, value)| *value);
        let count = match known {
            Some(Constant::U32(value)) => value,
            _ => count.parse().map_err(|_| fault(kernel, "a count of repetitions", line))?,
        };
        let mut body = String::new();
        let mut depth = 1;
        let mut length = 1;
        for line in lines.by_ref() {
            length += 1;
            let directive = line.trim_start();
            depth += i32::from(directive.starts_with("//#repeat ")) - i32::from(directive == "//#end");
            if depth == 0 {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        if depth != 0 {
            return Err(fault(kernel, "//#end", "the end of the text"));
        }
        let mark = format!("@{name}");
        for index in 0..count {
            let written = expand_repeats(kernel, &body.replace(&mark, &index.to_string()), constants)?;
            let code = written.lines().map(|line| line.split("//").next().unwrap_or(""));
            code.for_each(|line| {
                out.push_str(line.trim());
                out.push(' ');
            });
        }
        out.extend(std::iter::repeat_n('\n', length));
    }
    Ok(out)
}

/// Slots that `kernel` imports, directly or through pieces, for tests that try every variant.
pub fn slots(kernel: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue: Vec<&str> = source(kernel).into_iter().collect();
    while let Some(text) = queue.pop() {
        for slot in imports(text) {
            if !found.iter().any(|known| known == slot) {
                found.push(slot.to_owned());
                queue.extend(variants(slot).into_iter().filter_map(|(_, text)| text));
            }
        }
    }
    found
}

/// The variants of a slot: `("subgroup", text)`, or `("", text)` for a slot of one file.
pub fn variants(slot: &str) -> Vec<(String, Option<&'static str>)> {
    if let Some(text) = source(&format!("pieces/{slot}")) {
        return vec![(String::new(), Some(text))];
    }
    let stems = SHADERS.find(&format!("pieces/{slot}.*.wgsl")).into_iter().flatten();
    stems
        .filter_map(|entry| {
            let file = entry.path().file_name()?.to_str()?;
            let variant = file.strip_prefix(slot)?.strip_prefix('.')?.strip_suffix(".wgsl")?.to_owned();
            let text = source(&format!("pieces/{slot}.{variant}"));
            Some((variant, text))
        })
        .collect()
}

fn gather<'a>(
    kernel: &str,
    text: &'a str,
    choices: &[(&str, &str)],
    pieces: &mut Vec<(String, &'a str)>,
    declared: &mut Vec<&'a str>,
) -> Result<()> {
    for line in text.lines() {
        if let Some(names) = line.trim_start().strip_prefix("//#const") {
            // Names first; a remark in small letters may follow.
            let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            for name in names.split_whitespace().take_while(is_name) {
                if !declared.contains(&name) {
                    declared.push(name);
                }
            }
        }
    }
    for slot in imports(text) {
        let variant = choices.iter().find(|(name, _)| *name == slot).map(|(_, variant)| *variant);
        let path = match variant {
            Some(variant) => format!("pieces/{slot}.{variant}"),
            None => format!("pieces/{slot}"),
        };
        if pieces.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let piece = source(&path).ok_or_else(|| fault(kernel, "a choice for every slot", &path))?;
        pieces.push((path, piece));
        gather(kernel, piece, choices, pieces, declared)?;
    }
    Ok(())
}

fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("//#import"))
        .filter_map(|rest| rest.split_whitespace().next())
}

fn fault(kernel: &str, expected: &str, found: &str) -> Error {
    Error::shape(format!("kernel {kernel}"), expected, found)
}

/// One binding as the WGSL declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) uniform: bool,
    pub(super) writes: bool,
    /// "f32", "u32", "f16": the scalar of the array.
    pub(super) scalar: String,
}

/// Reads the binding declarations out of assembled text: the file is the only place that lists them.
pub(super) fn bindings(kernel: &str, text: &str) -> Result<Vec<Declared>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("@group(0) @binding(") else { continue };
        let parsed = (|| {
            let (index, rest) = rest.split_once(')')?;
            let rest = rest.trim_start().strip_prefix("var<")?;
            let (space, rest) = rest.split_once('>')?;
            let (name, rest) = rest.split_once(':')?;
            let kind = rest.split(';').next()?.trim();
            let scalars = ["f32", "u32", "f16", "i32"];
            let scalar = scalars.into_iter().find(|scalar| kind.contains(scalar)).unwrap_or("");
            Some(Declared {
                index: index.parse().ok()?,
                name: name.trim().to_owned(),
                uniform: space == "uniform",
                writes: space.contains("read_write"),
                scalar: scalar.to_owned(),
            })
        })();
        found.push(parsed.ok_or_else(|| fault(kernel, "a binding on one line", line))?);
    }
    found.sort_by_key(|binding| binding.index);
    Ok(found)
}
