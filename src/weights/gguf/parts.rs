//! Models in several files: `NAME-00001-of-00003.gguf` and so on, the metadata in the first.

use std::path::{Path, PathBuf};

use super::Part;
use crate::error::{Error, Result};

/// Opens the file, or all parts in order if its name says that it is one of several.
pub(super) fn open(path: &Path) -> Result<Vec<Part>> {
    let Some((stem, count)) = split_name(path) else {
        let part = Part::open(path.into())?;
        let declared = part.metadata().count("split.count")?.unwrap_or(1);
        if declared > 1 {
            return Err(part.metadata().wrong(
                "split.count",
                "a name such as model-00001-of-00002.gguf for a file that is one of several parts",
                format!("{declared} parts"),
            ));
        }
        return Ok(vec![part]);
    };
    let mut parts = Vec::new();
    for number in 1..=count {
        let part_path = path.with_file_name(format!("{stem}-{number:05}-of-{count:05}.gguf"));
        if !part_path.exists() {
            return Err(Error::File {
                path: part_path,
                problem: format!("part {number} of {count} is not there"),
                advice: "Download all parts of the model into one folder".into(),
            });
        }
        let part = Part::open(part_path)?;
        for (key, expected) in [("split.no", number - 1), ("split.count", count)] {
            let found = part.metadata().count(key)?;
            if found != Some(u64::from(expected)) {
                let found = found.map_or("nothing".into(), |number| number.to_string());
                return Err(part.metadata().wrong(key, &format!("{expected}, as the file's name says"), found));
            }
        }
        parts.push(part);
    }
    if let Some(first) = parts.first()
        && let Some(declared) = first.metadata().count("split.tensors.count")?
    {
        let held: usize = parts.iter().map(|part| part.header.tensors.len()).sum();
        if held as u64 != declared {
            return Err(first.metadata().wrong("split.tensors.count", &format!("{held}, as the parts hold"), declared));
        }
    }
    Ok(parts)
}

/// Stem and number of parts of a name like `stem-00001-of-00003.gguf`.
fn split_name(path: &Path) -> Option<(String, u32)> {
    let name = PathBuf::from(path.file_name()?);
    let (rest, count) = name.to_str()?.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let parse = |digits: &str| (digits.len() == 5).then(|| digits.parse::<u32>().ok()).flatten();
    let (number, count) = (parse(number)?, parse(count)?);
    (1..=count).contains(&number).then(|| (stem.to_string(), count))
}
