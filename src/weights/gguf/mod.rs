//! GGUF files, as llama.cpp writes them: one file or several parts, metadata, tensors, tokenizer.
//!
//! `header` reads and checks, `metadata` gives typed access, `config` and `tokenizer` translate into Hugging Face's forms,
//! `names` and `blocks` do so for the tensors.

pub(crate) mod blocks;
mod config;
mod header;
mod metadata;
mod names;
mod parts;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::blocks::{BlockMatrix, TensorType};
use self::config::TensorFacts;
use self::header::{Header, TensorInfo};
use self::metadata::Metadata;
use super::floats::{FloatMatrix, RowOrder};
use super::mapped::MappedFile;
use super::safetensors::missing_tensor;
use crate::error::{Error, Result};

pub use self::tokenizer::GgufText;

/// An open model.
pub(crate) struct Gguf {
    parts: Vec<Part>,
    /// Part and index of every tensor, by its Hugging Face name.
    tensors: BTreeMap<String, (usize, usize)>,
    head_dim: usize,
}

/// One file.
struct Part {
    path: PathBuf,
    file: MappedFile,
    header: Header,
}

/// One tensor as it is stored.
pub(crate) enum GgufTensor<'a> {
    Floats(FloatMatrix<'a>),
    Blocks(BlockMatrix<'a>),
}

impl Part {
    fn open(path: PathBuf) -> Result<Self> {
        let file = MappedFile::open(&path)?;
        let header = header::read_header(&path, &file)?;
        Ok(Self { path, file, header })
    }

    fn metadata(&self) -> Metadata<'_> {
        Metadata { path: &self.path, file: &self.file, header: &self.header }
    }
}

impl Gguf {
    /// Gives back the memory of the pages that were touched.
    pub(crate) fn release(&self) {
        self.parts.iter().for_each(|part| part.file.release());
    }

    /// Whether the file begins as GGUF files do.
    pub(crate) fn has_magic(path: &Path) -> bool {
        let mut magic = [0; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
        read.is_ok() && &magic == b"GGUF"
    }

    /// Opens a file, and all other parts if it is one of several.
    pub(crate) fn open(path: &Path) -> Result<(Self, Value)> {
        let parts = parts::open(path)?;
        let mut tensors = BTreeMap::new();
        for (part_index, part) in parts.iter().enumerate() {
            for (index, info) in part.header.tensors.iter().enumerate() {
                let name = names::hugging_face_name(&info.name).unwrap_or_else(|| info.name.clone());
                if tensors.insert(name, (part_index, index)).is_some() {
                    let what = format!("tensor \"{}\"", info.name);
                    return Err(part.metadata().wrong(&what, "one tensor of this name", "two"));
                }
            }
        }
        let mut gguf = Self { parts, tensors, head_dim: 2 };
        let metadata = gguf.metadata()?;
        // A head longer than any tensor cannot divide its rows, which is checked where a tensor is read.
        gguf.head_dim = usize::try_from(config::head_dim(&metadata)?).unwrap_or(usize::MAX);
        let config = config::config(&gguf.metadata()?, &gguf.facts()?)?;
        Ok((gguf, config))
    }

    fn metadata(&self) -> Result<Metadata<'_>> {
        self.parts.first().map(Part::metadata).ok_or_else(|| missing_tensor("general.architecture"))
    }

    fn facts(&self) -> Result<TensorFacts> {
        let embedding = "model.embed_tokens.weight";
        let (_, embedding) = self.info(embedding).ok_or_else(|| missing_tensor(embedding))?;
        let factors = |name: &str| -> Result<Option<Vec<f32>>> {
            match self.tensors.contains_key(name) {
                false => Ok(None),
                true => match self.tensor(name)? {
                    GgufTensor::Floats(floats) => floats.vector(name, self.head_dim / 2).map(Some),
                    GgufTensor::Blocks(_) => Err(self.unreadable(name, "quantised factors".into())),
                },
            }
        };
        let (short, long) = (factors("rope_factors_short.weight")?, factors("rope_factors_long.weight")?);
        let same = factors("rope_freqs.weight")?;
        let rope_factors = match (short, long, same) {
            (Some(short), Some(long), _) => Some((short, long)),
            (None, None, Some(same)) => Some((same.clone(), same)),
            (None, None, None) => None,
            _ => return Err(missing_tensor("rope_factors_short.weight and rope_factors_long.weight")),
        };
        Ok(TensorFacts {
            vocab_size: embedding.rows,
            has_head: self.tensors.contains_key("lm_head.weight"),
            has_attention_bias: self.tensors.keys().any(|name| name.contains(".self_attn.") && name.ends_with(".bias")),
            rope_factors,
        })
    }

    /// Hugging Face names of all weights.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str).filter(|name| !name.starts_with("rope_"))
    }

    /// Bytes of all tensors.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.header.tensors).map(|info| info.bytes.len() as u64).sum()
    }

    /// Version of the format.
    pub(crate) fn version(&self) -> u32 {
        self.parts.first().map_or(0, |part| part.header.version)
    }

    /// What most of the tensors are stored as, by number of values.
    pub(crate) fn main_type(&self) -> String {
        let mut values: BTreeMap<String, u64> = BTreeMap::new();
        for info in self.parts.iter().flat_map(|part| &part.header.tensors) {
            let count = values.entry(info.kind.name()).or_default();
            *count = count.saturating_add((info.rows as u64).saturating_mul(info.cols as u64));
        }
        values.into_iter().max_by_key(|(_, count)| *count).map_or("nothing".into(), |(name, _)| name)
    }

    /// Whether there is a weight of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn info(&self, name: &str) -> Option<(&Part, &TensorInfo)> {
        let (part, index) = self.tensors.get(name)?;
        let part = self.parts.get(*part)?;
        Some((part, part.header.tensors.get(*index)?))
    }

    fn unreadable(&self, name: &str, found: String) -> Error {
        Error::Tensor {
            name: name.into(),
            expected: "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K".into(),
            found,
            advice: "Use a file in one of these types, such as Q4_K_M".into(),
        }
    }

    /// The tensor of this Hugging Face name.
    pub(crate) fn tensor(&self, name: &str) -> Result<GgufTensor<'_>> {
        let (part, info) = self.info(name).ok_or_else(|| missing_tensor(name))?;
        let bytes = part.file.get(info.bytes.clone()).unwrap_or_default();
        let (rows, cols) = (info.rows, info.cols);
        let order = if names::is_rotated(name) {
            let permuted = if rows == 1 { cols } else { rows };
            if !permuted.is_multiple_of(self.head_dim) {
                return Err(Error::Tensor {
                    name: name.into(),
                    expected: format!("whole heads of {} rows", self.head_dim),
                    found: format!("{permuted} rows"),
                    advice: "The file's metadata and tensors do not belong together".into(),
                });
            }
            RowOrder::Interleaved { head_dim: self.head_dim }
        } else {
            RowOrder::Plain
        };
        match info.kind {
            TensorType::Float(element) => Ok(GgufTensor::Floats(FloatMatrix { element, bytes, rows, cols, order })),
            TensorType::Blocks(kind) => Ok(GgufTensor::Blocks(BlockMatrix { kind, bytes, rows, cols, order })),
            TensorType::Other(_) => Err(self.unreadable(name, format!("type {}", info.kind.name()))),
        }
    }

    /// The tokenizer and what belongs to it.
    pub(crate) fn text(&self) -> Result<GgufText> {
        tokenizer::read(&self.metadata()?)
    }
}
