//! The small model and the sample documents that come inside the program, so that the first start needs no download.
//!
//! Checkpoints are mapped files, so the model is unpacked once, into the user's cache folder. Every file is written under
//! another name and then renamed, and compared with the program's own bytes at every start: a half-written or changed copy
//! is replaced, never used. The folder's name holds a digest of the content, so that two versions of the program do not
//! replace files under each other.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// A file of the built-in model.
struct Asset {
    name: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($name:literal),*) => {
        [$(Asset { name: $name, content: include_bytes!(concat!("../assets/built-in/", $name)) }),*]
    };
}

static MODEL: [Asset; 5] =
    assets!("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors");

/// A document to try the built-in model with.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What `--sample` calls it.
    pub name: &'static str,
    /// The whole text.
    pub text: &'static str,
    /// Questions about it.
    pub questions: Vec<SampleQuestion>,
}

/// A question about a sample document.
#[derive(Debug, Clone, Deserialize)]
pub struct SampleQuestion {
    /// The question.
    pub question: String,
    /// What a right answer contains.
    pub expected: String,
}

/// The sample documents.
pub fn samples() -> Result<Vec<Sample>> {
    let sample = |name: &'static str, text: &'static str, questions: &str| {
        let questions = serde_json::from_str(questions)
            .map_err(|error| Error::shape(format!("questions of sample {name}"), "a list of questions", error))?;
        Ok(Sample { name, text, questions })
    };
    Ok(vec![
        sample(
            "logbook",
            include_str!("../assets/samples/logbook.txt"),
            include_str!("../assets/samples/logbook.json"),
        )?,
        sample(
            "memories",
            include_str!("../assets/samples/memories.txt"),
            include_str!("../assets/samples/memories.json"),
        )?,
        sample("hotel", include_str!("../assets/samples/hotel.txt"), include_str!("../assets/samples/hotel.json"))?,
        sample(
            "allotment",
            include_str!("../assets/samples/allotment.txt"),
            include_str!("../assets/samples/allotment.json"),
        )?,
    ])
}

/// The sample called `name`.
pub fn sample(name: &str) -> Result<Sample> {
    let all = samples()?;
    let names: Vec<_> = all.iter().map(|sample| sample.name).collect();
    let expected = names.join(", ");
    let found = all.into_iter().find(|sample| sample.name == name);
    found.ok_or_else(|| Error::Usage { what: "sample".into(), expected, found: format!("\"{name}\"") })
}

/// The folder of the built-in model, unpacked if it is not there yet.
pub fn model_folder() -> Result<PathBuf> {
    let folder = cache_folder().join(format!("built-in-{:016x}", digest()));
    for asset in &MODEL {
        unpack(&folder, asset)?;
    }
    Ok(folder)
}

/// Where this user's things are kept that can be made again: the unpacked model, compiled pipelines.
pub fn cache_folder() -> PathBuf {
    match directories::ProjectDirs::from("", "", "foveal") {
        Some(folders) => folders.cache_dir().to_owned(),
        None => std::env::temp_dir().join("foveal"),
    }
}

/// Where this user's chats, documents and settings are kept.
pub fn data_folder() -> PathBuf {
    match directories::ProjectDirs::from("", "", "foveal") {
        Some(folders) => folders.data_dir().to_owned(),
        None => std::env::temp_dir().join("foveal-data"),
    }
}

fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    for asset in &MODEL {
        hasher.write(asset.content);
    }
    hasher.finish()
}

fn unpack(folder: &Path, asset: &Asset) -> Result<()> {
    let path = folder.join(asset.name);
    let length = fs::metadata(&path).map(|metadata| metadata.len()).ok();
    if length == Some(asset.content.len() as u64) && fs::read(&path).is_ok_and(|content| content == asset.content) {
        return Ok(());
    }
    let part = folder.join(format!("{}.part{}", asset.name, std::process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&part, asset.content))
        .and_then(|()| fs::rename(&part, &path));
    written.map_err(|error| {
        // What is left of a failed attempt is only rubbish; that it may stay is no error of its own.
        let _ = fs::remove_file(&part);
        let advice = "The built-in model is unpacked there: make room and allow writing, or give --model";
        Error::not_written(path, &error, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let asset = Asset { name: "x.bin", content: b"right" };
        unpack(folder.path(), &asset).unwrap();
        fs::write(folder.path().join("x.bin"), b"wrong").unwrap();
        unpack(folder.path(), &asset).unwrap();
        assert_eq!(fs::read(folder.path().join("x.bin")).unwrap(), b"right");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn samples_have_questions() {
        for sample in samples().unwrap() {
            assert!(sample.questions.len() > 5 && sample.text.len() > 1000, "{}", sample.name);
            let (text, found) = (sample.text.to_lowercase(), |q: &&SampleQuestion| q.expected != "cannot find");
            for question in sample.questions.iter().filter(found) {
                assert!(text.contains(&question.expected.to_lowercase()), "{}: {}", sample.name, question.question);
            }
        }
        assert!(super::sample("nonsense").unwrap_err().to_string().contains("logbook, memories, hotel, allotment"));
    }
}
