//! Checkpoints in the formats that people have, as named tensors in one packed layout.
//!
//! [`Checkpoint::open`] takes a Hugging Face folder (safetensors with plain numbers, GPTQ or MLX integers) or a GGUF file.
//! Whatever the file's own names, tensors go by their Hugging Face names (`model.layers.3.self_attn.q_proj.weight`), and
//! [`Checkpoint::config`] has the form of config.json. Files are mapped into memory; [`Checkpoint::rows`] converts the rows
//! that are asked for, in parallel, and nothing is kept.
//!
//! Architecture: `packed` (the layout) and `affine` (its quantiser) know no file; `floats` and `mapped` are shared by the
//! readers; `safetensors`, `mlx`, `gptq` and `gguf` know one format each; `quantize` writes what `mlx` reads.

mod affine;
mod floats;
mod gguf;
mod gptq;
mod mapped;
mod mlx;
pub mod packed;
pub mod quantize;
mod safetensors;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::floats::FloatMatrix;
use self::gguf::blocks::BlockMatrix;
use self::gguf::{Gguf, GgufTensor};
use self::gptq::{GptqMatrix, GptqSettings};
use self::mlx::MlxMatrix;
use self::safetensors::SafetensorsFolder;
use crate::error::{Error, Result};

pub use self::gguf::GgufText;
pub use self::packed::{Format, PackedMatrix};

/// The weights of a model, still in their files.
pub struct Checkpoint {
    path: PathBuf,
    config: Value,
    source: Source,
}

/// What kind of files these are.
enum Source {
    Floats(SafetensorsFolder),
    Gptq(SafetensorsFolder, GptqSettings),
    Mlx(SafetensorsFolder, Value),
    Gguf(Gguf),
}

/// One named tensor, as its format has it.
enum Stored<'a> {
    Floats(FloatMatrix<'a>),
    Gptq(GptqMatrix<'a>),
    Mlx(MlxMatrix<'a>),
    Blocks(BlockMatrix<'a>),
}

/// What kind of files a checkpoint consists of, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Safetensors with plain numbers.
    Safetensors,
    /// Safetensors with GPTQ integers.
    Gptq {
        /// Bits of an integer.
        bits: u32,
        /// Inputs that share a scale.
        group: usize,
    },
    /// Safetensors with MLX integers; single tensors may differ.
    Mlx {
        /// Bits of an integer.
        bits: u32,
        /// Inputs that share a scale.
        group: usize,
    },
    /// A GGUF file.
    Gguf {
        /// Version of the format.
        version: u32,
        /// How most of the weights are stored, by ggml's name.
        main_type: String,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => write!(f, "safetensors"),
            Self::Gptq { bits, group } => write!(f, "GPTQ, {bits} bits, groups of {group}"),
            Self::Mlx { bits, group } => write!(f, "MLX, {bits} bits, groups of {group}"),
            Self::Gguf { version, main_type } => write!(f, "GGUF {version}, mostly {main_type}"),
        }
    }
}

impl Checkpoint {
    /// Opens a Hugging Face folder or a GGUF file (any part, where there are several).
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path)
            .map_err(|error| Error::io(path, &error, "Give the path of a model folder or of a .gguf file"))?;
        if metadata.is_dir() { Self::open_folder(path) } else { Self::open_file(path) }
    }

    fn open_folder(path: &Path) -> Result<Self> {
        let config = mapped::read_json(&path.join("config.json"))?;
        let folder = SafetensorsFolder::open(path)?;
        let object = |key: &str| config.get(key).filter(|value| value.is_object());
        // MLX writes its settings under both names, GPTQ only under the second.
        let source = match (object("quantization"), object("quantization_config")) {
            (Some(quantization), _) => {
                mlx::read_format(quantization, None)?;
                Source::Mlx(folder, quantization.clone())
            }
            (None, Some(settings)) => Source::Gptq(folder, GptqSettings::read(settings)?),
            (None, None) => Source::Floats(folder),
        };
        Ok(Self { path: path.into(), config, source })
    }

    fn open_file(path: &Path) -> Result<Self> {
        if Gguf::has_magic(path) {
            let (gguf, config) = Gguf::open(path)?;
            return Ok(Self { path: path.into(), config, source: Source::Gguf(gguf) });
        }
        Err(Error::File {
            path: path.into(),
            problem: "this is not a model that foveal reads".into(),
            advice: "Give the folder that holds config.json and the safetensors files, or a .gguf file".into(),
        })
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of config.json; for GGUF, its metadata in that form.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// What kind of files these are.
    pub fn kind(&self) -> Kind {
        match &self.source {
            Source::Floats(_) => Kind::Safetensors,
            Source::Gptq(_, settings) => Kind::Gptq { bits: settings.bits, group: settings.group },
            Source::Mlx(_, quantization) => match mlx::read_format(quantization, None) {
                Ok(Format::Affine { bits, group }) => Kind::Mlx { bits, group },
                _ => Kind::Safetensors,
            },
            Source::Gguf(gguf) => Kind::Gguf { version: gguf.version(), main_type: gguf.main_type() },
        }
    }

    /// Names of all weights, without the scales and zero points that belong to them.
    pub fn names(&self) -> Vec<String> {
        let whole = |folder: &SafetensorsFolder, parts: &[&str], main: &str| {
            let belongs = |name: &str| {
                let (module, part) = name.rsplit_once('.').unwrap_or(("", name));
                parts.contains(&part) && folder.tensor(&format!("{module}.{main}")).is_some()
            };
            folder.names().filter(|name| !belongs(name)).map(str::to_string).collect()
        };
        match &self.source {
            Source::Floats(folder) => folder.names().map(str::to_string).collect(),
            Source::Gguf(gguf) => gguf.names().map(str::to_string).collect(),
            Source::Mlx(folder, _) => whole(folder, &["scales", "biases"], "weight"),
            Source::Gptq(folder, _) => {
                let names: Vec<String> = whole(folder, &["qzeros", "scales", "g_idx"], "qweight");
                let logical = |name: String| match name.strip_suffix(".qweight") {
                    Some(module) => format!("{module}.weight"),
                    None => name,
                };
                names.into_iter().map(logical).collect()
            }
        }
    }

    /// Whether there is a weight of this name.
    pub fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Floats(folder) | Source::Mlx(folder, _) => folder.tensor(name).is_some(),
            Source::Gptq(folder, _) => {
                let quantised = name.strip_suffix(".weight").map(|module| format!("{module}.qweight"));
                folder.tensor(name).is_some() || quantised.is_some_and(|name| folder.tensor(&name).is_some())
            }
            Source::Gguf(gguf) => gguf.contains(name),
        }
    }

    /// Outputs and inputs of a weight: `(1, n)` for a vector.
    pub fn shape(&self, name: &str) -> Result<(usize, usize)> {
        Ok(self.find(name)?.shape())
    }

    /// A vector, which must have `expected` numbers.
    pub fn vector(&self, name: &str, expected: usize) -> Result<Vec<f32>> {
        match self.find(name)? {
            Stored::Floats(floats) => floats.vector(name, expected),
            quantised => Err(Error::Tensor {
                name: name.into(),
                expected: format!("a vector of {expected} numbers"),
                found: format!("a quantised matrix of shape {:?}", quantised.shape()),
                advice: "The checkpoint belongs to another kind of model".into(),
            }),
        }
    }

    /// The packed format that keeps the file's own integers; `None` for plain numbers, and for a name that cannot be read.
    pub fn stored_format(&self, name: &str) -> Option<Format> {
        match self.find(name).ok()? {
            Stored::Floats(_) => None,
            Stored::Gptq(matrix) => Some(matrix.format),
            Stored::Mlx(matrix) => Some(matrix.format),
            Stored::Blocks(matrix) => Some(matrix.kind.format()),
        }
    }

    /// Some rows of a matrix in the packed layout.
    ///
    /// Integers of the file stay as they are. Plain numbers become `target`, or f16 without one.
    pub fn rows(&self, name: &str, rows: Range<usize>, target: Option<Format>) -> Result<PackedMatrix> {
        let stored = self.find(name)?;
        let held = stored.shape().0;
        if rows.start > rows.end || rows.end > held {
            return Err(Error::shape(
                format!("rows of \"{name}\""),
                format!("a part of 0..{held}"),
                format!("{rows:?}"),
            ));
        }
        match stored {
            Stored::Floats(floats) => floats.pack(name, rows, target.unwrap_or(Format::F16)),
            Stored::Gptq(matrix) => matrix.pack(name, rows),
            Stored::Mlx(matrix) => matrix.pack(name, rows),
            Stored::Blocks(matrix) => matrix.pack(name, rows),
        }
    }

    /// Numbers in all weights together.
    pub fn parameters(&self) -> u64 {
        let count = |name: &String| self.shape(name).map_or(0, |(rows, cols)| rows as u64 * cols as u64);
        self.names().iter().map(count).fold(0, u64::saturating_add)
    }

    /// Bytes of all weights in their files.
    pub fn bytes(&self) -> u64 {
        match &self.source {
            Source::Floats(folder) | Source::Gptq(folder, _) | Source::Mlx(folder, _) => folder.bytes(),
            Source::Gguf(gguf) => gguf.bytes(),
        }
    }

    /// Gives back the memory of the pages that reading has touched.
    pub fn release(&self) {
        match &self.source {
            Source::Floats(folder) | Source::Gptq(folder, _) | Source::Mlx(folder, _) => folder.release(),
            Source::Gguf(gguf) => gguf.release(),
        }
    }

    /// Tokenizer and chat template of a GGUF file; `None` for folders, which have them as files of their own.
    pub fn gguf_text(&self) -> Result<Option<GgufText>> {
        match &self.source {
            Source::Gguf(gguf) => gguf.text().map(Some),
            Source::Floats(_) | Source::Gptq(..) | Source::Mlx(..) => Ok(None),
        }
    }

    fn find(&self, name: &str) -> Result<Stored<'_>> {
        let (folder, quantised) = match &self.source {
            Source::Floats(folder) => (folder, None),
            Source::Gptq(folder, settings) => (folder, GptqMatrix::find(folder, *settings, name)?.map(Stored::Gptq)),
            Source::Mlx(folder, quantization) => {
                (folder, MlxMatrix::find(folder, quantization, name)?.map(Stored::Mlx))
            }
            Source::Gguf(gguf) => {
                return Ok(match gguf.tensor(name)? {
                    GgufTensor::Floats(floats) => Stored::Floats(floats),
                    GgufTensor::Blocks(blocks) => Stored::Blocks(blocks),
                });
            }
        };
        match quantised {
            Some(stored) => Ok(stored),
            None => folder.floats(name).map(Stored::Floats),
        }
    }
}

impl Stored<'_> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Floats(matrix) => (matrix.rows, matrix.cols),
            Self::Gptq(matrix) => (matrix.rows, matrix.cols),
            Self::Mlx(matrix) => (matrix.rows, matrix.cols),
            Self::Blocks(matrix) => (matrix.rows, matrix.cols),
        }
    }
}
