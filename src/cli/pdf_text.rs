//! `foveal pdf-text`: the text of a PDF. The window has its PDF files read by this, in a process that may be ended.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::terminal::{Terminal, escape};
use crate::desktop;
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct PdfTextArguments {
    /// The PDF
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(arguments: &PdfTextArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let text = desktop::extract_pdf(&arguments.file)?;
    // Another program gets it as it is.
    if std::io::stdout().is_terminal() {
        terminal.line(&escape(&text))?
    } else {
        terminal.write(&text)?
    }
    Ok(ExitCode::SUCCESS)
}
