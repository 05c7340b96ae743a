//! Files of the checkpoint: mapped into memory, or read whole when they are small texts.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;
use serde_json::Value;

use crate::error::{Error, Result};

/// The largest JSON text that is read: real ones have a few megabytes at most.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// A file whose pages are read when they are touched, and never copied as a whole.
pub(crate) struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps a regular file that is not empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        #[expect(unsafe_code, reason = "memory mapping cannot be expressed safely")]
        // SAFETY: The map is read only. Should another program cut the file short meanwhile, the system ends this process
        // with a bus error; no memory of this process can be damaged by it. Should another program change the bytes, every
        // reader here checks bounds on values it has read once, and never trusts a byte to stay the same.
        let map = unsafe { Mmap::map(&file) };
        let map = map.map_err(|error| Error::io(path, &error, "Check that the file lies on a local disk"))?;
        Ok(Self { map })
    }

    /// Lets go of the pages that were touched, which would otherwise count as this process's memory as long as the file
    /// is open. They stay in the system's cache while there is room, and come back when they are touched again.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        #[expect(unsafe_code, reason = "advice that drops pages cannot be expressed safely")]
        // SAFETY: The map is a shared one of a file and read only: what is read from it afterwards is the file's content, as
        // before.
        let advised = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        // A system that does not take the advice keeps the pages, which is only less tidy.
        #[cfg(unix)]
        let _ = advised;
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Opens a file, refusing folders and empty files.
fn open_regular(path: &Path) -> Result<File> {
    let problem = |problem: &str, advice: &str| {
        Err(Error::File { path: path.into(), problem: problem.into(), advice: advice.into() })
    };
    let file =
        File::open(path).map_err(|error| Error::io(path, &error, "Check the path and your rights to read it"))?;
    let metadata = file.metadata().map_err(|error| Error::io(path, &error, "Check your rights to read it"))?;
    if !metadata.is_file() {
        return problem("this is not a file", "A file is wanted here, not a folder or device");
    }
    if metadata.len() == 0 {
        return problem("the file is empty", "Download it again");
    }
    Ok(file)
}

/// Reads a JSON file whose top level is an object.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let format = |expected: &str, found: String| Error::Format {
        path: path.into(),
        what: "content".into(),
        expected: expected.into(),
        found,
        advice: "Download the file again".into(),
    };
    let mut bytes = Vec::new();
    let read = open_regular(path)?.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes);
    let count = read.map_err(|error| Error::io(path, &error, "Check the disk"))?;
    if count as u64 > MAX_TEXT_BYTES {
        return Err(format("at most 16 MiB of JSON", "more".into()));
    }
    match serde_json::from_slice(&bytes) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(format("a JSON object", "another JSON value".into())),
        Err(error) => Err(format("JSON", error.to_string())),
    }
}
