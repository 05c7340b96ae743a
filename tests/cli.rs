//! The program itself: every command on small inputs, and every kind of bad input, through the binary as a user runs it.

mod bad_input;
mod commands;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::harness::gpu_variants;

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Standard output of a run that must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// The one line about what went wrong, of a run that must have failed.
    pub(crate) fn failure(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        let line = self.err.lines().find(|line| line.starts_with("foveal: "));
        line.unwrap_or_else(|| panic!("no error line in {}", self.err)).to_owned()
    }
}

/// Unpacked models and pipelines go where they cannot meet the user's own, once for all tests.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foveal"));
    command.args(arguments).env("XDG_CACHE_HOME", cache()).env("HOME", cache()).env_remove("RUST_LOG");
    command
}

pub(crate) fn foveal(arguments: &[&str]) -> Run {
    foveal_with_input(arguments, b"")
}

pub(crate) fn foveal_with_input(arguments: &[&str], input: &[u8]) -> Run {
    run(program(arguments), input)
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The ways to compute that this machine has: the processor and, where there is an adapter, that one.
pub(crate) fn devices() -> Vec<String> {
    let gpu = gpu_variants().first().map(|(_, gpu)| gpu.adapter.name.clone());
    ["cpu".to_owned()].into_iter().chain(gpu).collect()
}

pub(crate) fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoints").join(name)
}

/// A copy of a small checkpoint to break.
pub(crate) fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(checkpoint(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}
