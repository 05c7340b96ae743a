//! `foveal`.

use clap::Parser;

#[derive(Parser)]
enum Command {
    Bench(foveal::cli::bench::BenchArgs),
}

fn main() {
    let Command::Bench(args) = Command::parse();
    if let Err(error) = foveal::cli::bench::run(&args) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
