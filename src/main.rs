//! The `foveal` program. Everything is in the library; see `foveal::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    foveal::cli::main()
}
