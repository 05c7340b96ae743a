//! `foveal selfcheck`: does this machine's driver compute what it should? A table of every op, variant by variant.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;

use super::common::DeviceArguments;
use super::terminal::{Terminal, escape};
use crate::error::{Error, Result};
use crate::gpu::GpuOptions;
use crate::open::Device;
use crate::selfcheck::{cases, variants};

#[derive(Debug, Args)]
pub(super) struct SelfcheckArguments {
    /// Check only these operations, for example attend_sparse
    ops: Vec<String>,
    #[command(flatten)]
    device: DeviceArguments,
}

pub(super) fn run(arguments: &SelfcheckArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let device = match arguments.device.device() {
        Device::Best => None,
        Device::Adapter(name) => Some(name),
        Device::Cpu => {
            let expected = "a graphics adapter to compare with the processor".into();
            return Err(Error::Usage { what: "--device".into(), expected, found: "cpu".into() });
        }
    };
    let known: BTreeSet<&str> = cases().iter().map(|case| case.op).collect();
    if let Some(unknown) = arguments.ops.iter().find(|op| !known.contains(op.as_str())) {
        let expected = format!("one of {}", known.into_iter().collect::<Vec<_>>().join(", "));
        return Err(Error::Usage { what: "operation".into(), expected, found: format!("\"{unknown}\"") });
    }
    let wanted = |op: &str| arguments.ops.is_empty() || arguments.ops.iter().any(|name| name == op);
    // For tests/dawn, which runs the same kernels on another implementation of WebGPU.
    let capture = std::env::var_os("FOVEAL_CAPTURE").map(std::path::PathBuf::from);
    // Compiled anew each time: a stale cache of pipelines is one of the things that may be wrong.
    let options = GpuOptions { device, without: arguments.device.without(), capture, ..Default::default() };
    let (mut count, mut failed) = (0, 0);
    for (variant, gpu) in variants(&options)? {
        let adapter = &gpu.adapter;
        let title = format!("{} ({}, {}), {variant}", adapter.name, adapter.backend, adapter.driver);
        terminal.line(&escape(&title))?;
        terminal.line(&format!("  {:<16}{:<32}{:>14}{:>12}", "op", "case", "largest error", "of allowed"))?;
        for case in cases().into_iter().filter(|case| wanted(case.op)) {
            count += 1;
            let (figures, verdict) = match case.run(&gpu) {
                Ok(comparison) => {
                    let figures = format!("{:>14.1e}{:>10.1} %", comparison.error, comparison.share * 100.0);
                    let right = comparison.is_right();
                    (figures, if right { "ok".to_owned() } else { format!("WRONG: {}", comparison.worst) })
                }
                Err(error) => (format!("{:>14}{:>12}", "-", "-"), format!("FAILED: {error}")),
            };
            failed += usize::from(verdict != "ok");
            terminal.line(&escape(&format!("  {:<16}{:<32}{figures}  {verdict}", case.op, case.what)))?;
        }
    }
    if failed == 0 {
        terminal.line(&format!("all {count} checks are right"))?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal.line(&format!(
        "{failed} of {count} checks failed. Update the graphics driver; if that does not help, report this table, and \
         use --without with the ability that the failing lines share, or --device cpu"
    ))?;
    Ok(ExitCode::FAILURE)
}
