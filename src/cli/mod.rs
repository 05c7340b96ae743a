//! The terminal: one file per command. `common` has the flags that commands share, `terminal` what they write to and how
//! Ctrl-C reaches them.
//!
//! Exit codes: 0 success, 1 failure, 2 a command line that makes no sense. Results go to standard output, everything else
//! to standard error. A reader that closes the pipe early (`foveal devices | head`) is no failure.

mod bandwidth;
pub mod bench;
mod bench_forms;
mod bench_ops;
mod chat;
mod common;
mod devices;
mod generate;
mod inspect;
#[cfg(feature = "desktop")]
mod pdf_text;
mod quantize;
mod recall;
mod score;
mod selfcheck;
mod terminal;
#[cfg(feature = "desktop")]
mod window;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::terminal::Terminal;
use crate::error::{Error, Result};

/// Chat with long documents on any graphics card, and see what the model reads.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    chat: chat::ChatArguments,
    /// Tell more about what happens (-vv: everything)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Chat in the terminal
    Chat(chat::ChatArguments),
    /// Answer one prompt and end
    Generate(generate::GenerateArguments),
    /// List the graphics adapters
    Devices(devices::DevicesArguments),
    /// Show what a model is and the memory it takes
    Inspect(inspect::InspectArguments),
    /// Compare every operation on this machine's driver with the same one on the processor
    Selfcheck(selfcheck::SelfcheckArguments),
    /// Measure the speed of prompts and of generation
    Bench(bench::BenchArgs),
    /// Hide facts in documents, ask for them, dense and sparse, and count right answers
    Recall(recall::RecallArguments),
    /// Write a smaller copy of a model with 4- or 8-bit weights
    Quantize(quantize::QuantizeArguments),
    /// Log-probability of every token of a text
    Score(score::ScoreArguments),
    /// Write the text of a PDF file
    #[cfg(feature = "desktop")]
    PdfText(pdf_text::PdfTextArguments),
}

/// Parses the command line, runs the command, and says what went wrong.
pub fn main() -> ExitCode {
    // Prints help and errors of the command line itself, with exit codes 0 and 2.
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    let mut terminal = match Terminal::new() {
        Ok(terminal) => terminal,
        Err(error) => return fail(&error),
    };
    match run(arguments, &mut terminal) {
        Ok(code) => code,
        Err(_) if terminal.reader_is_gone() => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn run(arguments: Arguments, terminal: &mut Terminal) -> Result<ExitCode> {
    match arguments.command {
        None => without_command(&arguments.chat, terminal),
        Some(Command::Chat(arguments)) => chat::run(&arguments, terminal),
        Some(Command::Generate(arguments)) => generate::run(&arguments, terminal),
        Some(Command::Devices(arguments)) => devices::run(&arguments, terminal),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments, terminal),
        Some(Command::Selfcheck(arguments)) => selfcheck::run(&arguments, terminal),
        Some(Command::Bench(arguments)) => bench::run(&arguments).map(|()| ExitCode::SUCCESS),
        Some(Command::Recall(arguments)) => recall::run(&arguments, terminal),
        Some(Command::Quantize(arguments)) => quantize::run(&arguments, terminal),
        Some(Command::Score(arguments)) => score::run(&arguments, terminal),
        #[cfg(feature = "desktop")]
        Some(Command::PdfText(arguments)) => pdf_text::run(&arguments, terminal),
    }
}

/// What `foveal` alone does: the window, or where none can be the chat in the terminal.
fn without_command(arguments: &chat::ChatArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    #[cfg(feature = "desktop")]
    {
        if !terminal::input_is_piped() {
            if terminal::has_display() {
                return window::run(arguments);
            }
            terminal::remark("no display is there, so this is the chat in the terminal");
        }
    }
    chat::run(arguments, terminal)
}

fn fail(error: &Error) -> ExitCode {
    eprintln!("foveal: {}", terminal::escape(&error.to_string()));
    ExitCode::FAILURE
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "foveal=debug,warn",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let color = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color).init();
}
