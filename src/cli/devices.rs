//! `foveal devices`: the adapters, best first, numbered as `--device` takes them.

use std::process::ExitCode;

use clap::Args;

use super::terminal::{Terminal, escape, remark};
use crate::error::Result;
use crate::gpu::adapter;

#[derive(Debug, Args)]
pub(super) struct DevicesArguments {}

pub(super) fn run(_: &DevicesArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let adapters = adapter::list();
    for adapter in &adapters {
        let text = format!(
            "{}: {} ({}, {}, {})\n   {}\n   largest buffer {} MiB, largest binding {} MiB",
            adapter.index,
            adapter.name,
            adapter.kind,
            adapter.backend,
            adapter.driver,
            adapter.features,
            adapter.max_buffer >> 20,
            adapter.max_binding >> 20,
        );
        terminal.line(&escape(&text))?;
    }
    terminal.line("cpu: the processor, without a driver (slow)")?;
    if adapters.is_empty() {
        remark(
            "No Vulkan, Metal or DX12 driver answered. Install the card's driver; on Debian and Ubuntu \
             `apt install mesa-vulkan-drivers` has those of AMD and Intel, and a software one",
        );
    }
    Ok(ExitCode::SUCCESS)
}
