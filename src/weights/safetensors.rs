//! Folders of safetensors files: one file, the shards named by an index, or every file that lies there.
//!
//! A file is the length of its header (u64, little-endian), the header (JSON: name to type, shape and byte range), and the
//! data (<https://github.com/huggingface/safetensors>). The crate of that name reads the header and makes sure that the
//! ranges follow each other without hole or overlap and fit their shapes; that they fit the file is checked here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::Value;

use super::floats::{Element, FloatMatrix, RowOrder};
use super::mapped::{MappedFile, read_json};
use crate::error::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The largest header that is read, the limit of the reference reader too.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// All tensors of a folder by their names.
pub(crate) struct SafetensorsFolder {
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Entry>,
}

/// Where a tensor lies.
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

/// A tensor's own words.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

impl SafetensorsFolder {
    /// Gives back the memory of the pages that were touched.
    pub(crate) fn release(&self) {
        self.files.iter().for_each(MappedFile::release);
    }

    /// Maps every file of the folder and reads the headers.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let shards = find_shards(folder)?;
        let mut files = Vec::with_capacity(shards.len());
        let mut tensors = BTreeMap::new();
        for (shard, promised) in &shards {
            let path = folder.join(shard);
            let file = MappedFile::open(&path)?;
            let entries = read_header(&path, &file, files.len())?;
            if let Some(missing) = promised.iter().find(|name| !entries.contains_key(*name)) {
                return Err(Error::Format {
                    path: folder.join(INDEX),
                    what: format!("place of tensor \"{missing}\""),
                    expected: format!("a tensor of {}", shard.display()),
                    found: "no such tensor in that file".into(),
                    advice: "Index and shards belong to different downloads: download the folder again".into(),
                });
            }
            for (name, entry) in entries {
                if tensors.contains_key(&name) {
                    return Err(Error::Format {
                        path,
                        what: format!("tensor \"{name}\""),
                        expected: "a name that no other shard has".into(),
                        found: "the same name in an earlier shard".into(),
                        advice: "Remove shards that belong to another download".into(),
                    });
                }
                tensors.insert(name, entry);
            }
            files.push(file);
        }
        Ok(Self { files, tensors })
    }

    /// Every name in the files, in alphabetical order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Bytes of all tensors.
    pub(crate) fn bytes(&self) -> u64 {
        self.tensors.values().map(|entry| entry.bytes.len() as u64).sum()
    }

    /// The tensor of this name, if the folder has it.
    pub(crate) fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        let entry = self.tensors.get(name)?;
        let bytes = self.files.get(entry.file)?.get(entry.bytes.clone())?;
        Some(Tensor { dtype: entry.dtype, shape: &entry.shape, bytes })
    }

    /// A matrix or vector of floating-point numbers.
    pub(crate) fn floats(&self, name: &str) -> Result<FloatMatrix<'_>> {
        let Some(tensor) = self.tensor(name) else {
            return Err(missing_tensor(name));
        };
        let wrong = |expected: &str, found: String, advice: &str| {
            Err(Error::Tensor { name: name.into(), expected: expected.into(), found, advice: advice.into() })
        };
        let element = match tensor.dtype {
            Dtype::F32 => Element::F32,
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::BF16,
            other => {
                return wrong(
                    "F32, F16 or BF16 numbers",
                    format!("{other:?}"),
                    "Use a checkpoint in one of these, or one quantised as GPTQ, MLX or GGUF",
                );
            }
        };
        let (rows, cols) = match *tensor.shape {
            [cols] => (1, cols),
            [rows, cols] => (rows, cols),
            _ => {
                return wrong(
                    "one or two dimensions",
                    format!("shape {:?}", tensor.shape),
                    "This model is not supported",
                );
            }
        };
        if rows == 0 || cols == 0 {
            return wrong("at least one value", format!("shape {:?}", tensor.shape), "Download the checkpoint again");
        }
        Ok(FloatMatrix { element, bytes: tensor.bytes, rows, cols, order: RowOrder::Plain })
    }
}

/// The error for a name that the checkpoint does not have.
pub(crate) fn missing_tensor(name: &str) -> Error {
    Error::Tensor {
        name: name.into(),
        expected: "a tensor of this name".into(),
        found: "nothing".into(),
        advice: "The checkpoint is incomplete, or its config.json belongs to another model".into(),
    }
}

/// The shard files and, where an index names them, the tensors that each must hold.
fn find_shards(folder: &Path) -> Result<BTreeMap<PathBuf, BTreeSet<String>>> {
    if folder.join(SINGLE).exists() {
        return Ok(BTreeMap::from([(SINGLE.into(), BTreeSet::new())]));
    }
    let index = folder.join(INDEX);
    if index.exists() {
        return read_index(&index, &read_json(&index)?);
    }
    let advice = "Check the path and your rights to read it";
    let mut shards = BTreeMap::new();
    let mut pickled = false;
    for entry in std::fs::read_dir(folder).map_err(|error| Error::io(folder, &error, advice))? {
        let name = PathBuf::from(entry.map_err(|error| Error::io(folder, &error, advice))?.file_name());
        match name.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => {
                shards.insert(name, BTreeSet::new());
            }
            Some("bin" | "pt" | "pth") => pickled = true,
            _ => {}
        }
    }
    if shards.is_empty() {
        return Err(Error::File {
            path: folder.join(SINGLE),
            problem: "no safetensors file lies in this folder".into(),
            advice: if pickled {
                "PyTorch .bin files are not read: convert the checkpoint to safetensors".into()
            } else {
                "Download the model's weights, or give the path of a .gguf file itself".into()
            },
        });
    }
    Ok(shards)
}

/// `weight_map` of the index: tensor name to file name, which must be a plain name of this folder.
fn read_index(path: &Path, index: &Value) -> Result<BTreeMap<PathBuf, BTreeSet<String>>> {
    let wrong = |what: &str, expected: &str, found: String| Error::Format {
        path: path.into(),
        what: what.into(),
        expected: expected.into(),
        found,
        advice: "Download the index again".into(),
    };
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        return Err(wrong("weight_map", "an object from tensor names to files", "nothing of this kind".into()));
    };
    let mut shards: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().unwrap_or_default();
        if file.contains(['\\', '/', ':']) || !file.ends_with(".safetensors") {
            return Err(wrong(
                &format!("file of tensor \"{tensor}\""),
                "the plain name of a .safetensors file in this folder",
                format!("{file:?}"),
            ));
        }
        if !shards.contains_key(Path::new(file)) && !path.with_file_name(file).exists() {
            return Err(Error::File {
                path: path.with_file_name(file),
                problem: "the index names this file, but it is not there".into(),
                advice: "Download the missing shard".into(),
            });
        }
        shards.entry(file.into()).or_default().insert(tensor.clone());
    }
    if shards.is_empty() {
        return Err(wrong("weight_map", "at least one tensor", "none".into()));
    }
    Ok(shards)
}

/// Reads one file's header.
fn read_header(path: &Path, file: &[u8], index: usize) -> Result<BTreeMap<String, Entry>> {
    let wrong = |what: &str, expected: String, found: String| Error::Format {
        path: path.into(),
        what: what.into(),
        expected,
        found,
        advice: "The file is damaged or its download was cut: download it again".into(),
    };
    let Some((length, rest)) = file.split_first_chunk() else {
        return Err(wrong("length of the header", "8 bytes".into(), format!("a file of {} bytes", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    let header =
        usize::try_from(length.min(MAX_HEADER_BYTES + 1)).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = header.filter(|_| length <= MAX_HEADER_BYTES) else {
        return Err(wrong(
            "length of the header",
            format!("at most {} bytes", (rest.len() as u64).min(MAX_HEADER_BYTES)),
            format!("{length}"),
        ));
    };
    let metadata: Metadata = serde_json::from_slice(header).map_err(|error| {
        wrong("header", "tensors that follow each other and fit their shapes".into(), error.to_string())
    })?;
    if metadata.data_len() != data.len() {
        return Err(wrong("data", format!("{} bytes", metadata.data_len()), format!("{} bytes", data.len())));
    }
    let start = file.len() - data.len();
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let (first, end) = info.data_offsets;
        // Both ends are within `data`, because the ranges follow each other up to its last byte.
        let bytes = start + first..start + end;
        (name, Entry { file: index, dtype: info.dtype, shape: info.shape.clone(), bytes })
    });
    Ok(entries.collect())
}
