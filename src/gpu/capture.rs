//! Copies of dispatches for other implementations of WebGPU to repeat (`tests/dawn`): the text of the kernel, the grid, the
//! parameters, and what every binding held before and after.
//!
//! `HASH.json` names the rest: `{"label", "entry", "text", "grid": [x, y, z], "parameters": [words], "bindings": [{"index",
//! "uniform", "writes", "element", "before", "after"}]}`, the last two names of files of little-endian words.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::recorder::{Binding, Recorder};
use super::shader::standard;
use super::{Gpu, Kernel};
use crate::error::{Error, Result};

/// One dispatch between the state before it and the one after.
pub(super) struct Capture {
    folder: PathBuf,
    name: String,
    description: Value,
    bindings: Vec<Value>,
}

impl Capture {
    /// Notes what the dispatch will read, if the device was opened for that and this is the kernel's first dispatch.
    pub(super) fn begin(
        gpu: &Gpu,
        recorder: &mut Recorder,
        kernel: &Kernel,
        tensors: &[Binding<'_>],
        (parameters, grid): (&[u8], [u32; 3]),
    ) -> Result<Option<Self>> {
        let (Some(folder), Some((text, entry))) = (&gpu.options.capture, &kernel.source) else { return Ok(None) };
        let mut hasher = DefaultHasher::new();
        (text, entry).hash(&mut hasher);
        let name = format!("{:016x}", hasher.finish());
        if folder.join(format!("{name}.json")).exists() {
            return Ok(None);
        }
        recorder.submit(gpu)?;
        let words: Vec<u32> = parameters.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        let mut bindings = Vec::new();
        let mut tensors = tensors.iter();
        for declared in &kernel.bindings {
            let mut binding =
                json!({ "index": declared.index, "uniform": declared.uniform, "writes": declared.writes });
            if !declared.uniform
                && let Some(bound) = tensors.next()
            {
                let file = format!("{name}-{}.before", declared.index);
                write(&folder.join(&file), &content(gpu, recorder, bound)?)?;
                binding["before"] = file.into();
                binding["element"] = format!("{:?}", bound.tensor.element).into();
            }
            bindings.push(binding);
        }
        let description =
            json!({ "label": kernel.label, "entry": entry, "text": standard(text), "grid": grid, "parameters": words });
        Ok(Some(Self { folder: folder.clone(), name, description, bindings }))
    }

    /// Runs what was recorded and notes what it wrote.
    pub(super) fn finish(mut self, gpu: &Gpu, recorder: &mut Recorder, tensors: &[Binding<'_>]) -> Result<()> {
        recorder.finish(gpu)?;
        let storage = self.bindings.iter_mut().filter(|binding| binding["uniform"] == false);
        for (binding, bound) in storage.zip(tensors).filter(|(binding, _)| binding["writes"] == true) {
            let file = format!("{}-{}.after", self.name, binding["index"]);
            write(&self.folder.join(&file), &content(gpu, recorder, bound)?)?;
            binding["after"] = file.into();
        }
        self.description["bindings"] = self.bindings.into();
        let text = self.description.to_string();
        write(&self.folder.join(format!("{}.json", self.name)), text.as_bytes())
    }
}

/// The bytes that a binding shows.
fn content(gpu: &Gpu, recorder: &mut Recorder, bound: &Binding<'_>) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = recorder.read(gpu, bound.tensor)?;
    let mut shown = bytes.get((bound.offset - bound.tensor.offset) as usize..).unwrap_or_default().to_vec();
    shown.resize(shown.len().next_multiple_of(16).max(16), 0);
    Ok(shown)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let advice = "Give a folder that exists and is empty";
    std::fs::write(path, bytes).map_err(|error| Error::not_written(path, &error, advice))
}
