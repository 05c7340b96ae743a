//! Writes a quantised copy of any checkpoint as an MLX folder, which `mlx` reads back word for word.
//!
//! Matrices of plain numbers become integers as the [`Recipe`] says; integers of the input stay as they are; vectors keep
//! their type. One tensor is in memory at a time. Everything is written into a hidden folder beside the output, config.json
//! last, and the folder gets its name when all of it is on the disk: a stopped or killed run leaves nothing that opens.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::floats::Element;
use super::packed::{Format, PackedMatrix};
use super::{Checkpoint, Stored};
use crate::error::{Error, Result};

/// Which format each matrix of plain numbers gets, here and when quantising at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Bits of the layers' matrices: 4 or 8.
    pub bits: u32,
    /// Inputs that share a scale: 32, 64 or 128.
    pub group: usize,
    /// Bits of embedding and head, which lose more by rounding: 4 or 8.
    pub head_bits: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { bits: 4, group: 32, head_bits: 8 }
    }
}

impl Recipe {
    /// The format of a matrix with `cols` inputs: smaller groups, or f16, where the wanted ones do not divide it.
    pub fn format(&self, name: &str, cols: usize) -> Format {
        let at_the_ends = matches!(name, "model.embed_tokens.weight" | "lm_head.weight");
        let bits = if at_the_ends { self.head_bits } else { self.bits };
        let groups = [128, 64, 32, 16].into_iter().filter(|group| *group <= self.group);
        let mut formats = groups.map(|group| Format::Affine { bits, group });
        formats.find(|format| format.check(name, cols).is_ok()).unwrap_or(Format::F16)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Err(Error::Usage { what: what.into(), expected: expected.into(), found })
        };
        if !matches!((self.bits, self.head_bits), (4 | 8, 4 | 8)) {
            return wrong("bits", "4 or 8", format!("{} and {}", self.bits, self.head_bits));
        }
        if !matches!(self.group, 32 | 64 | 128) {
            return wrong("group", "32, 64 or 128", self.group.to_string());
        }
        Ok(())
    }
}

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The tensor that comes next.
    pub tensor: &'a str,
    /// Numbers written so far.
    pub done: u64,
    /// Numbers in all.
    pub total: u64,
}

/// Files beside the weights that a folder needs to be used.
const COMPANIONS: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// Writes the folder. `progress` is called before every tensor; its error stops the work and removes what was written.
pub fn quantize_folder(
    input: &Path,
    output: &Path,
    recipe: &Recipe,
    mut progress: impl FnMut(Progress) -> Result<()>,
) -> Result<()> {
    recipe.check()?;
    let checkpoint = Checkpoint::open(input)?;
    let Some(name) = output.file_name().filter(|_| !output.exists()) else {
        return Err(Error::File {
            path: output.into(),
            problem: "the output exists already, or has no name".into(),
            advice: "Name a folder that does not exist yet".into(),
        });
    };
    let partial = output.with_file_name(format!(".{}.partial", name.to_string_lossy()));
    if partial.exists() {
        // Left over from a run that was killed.
        fs::remove_dir_all(&partial).map_err(|error| write_error(&partial, &error))?;
    }
    let written = write_folder(&checkpoint, &partial, recipe, &mut progress).and_then(|()| {
        fs::rename(&partial, output).map_err(|error| write_error(output, &error))?;
        sync_folder(output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    });
    if written.is_err() {
        // The first error is the one to tell; a folder that cannot be removed does not open either.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

fn write_error(path: &Path, error: &std::io::Error) -> Error {
    Error::not_written(path, error, "Check the free space and your rights to write there")
}

/// What becomes of one tensor.
struct Plan {
    name: String,
    rows: usize,
    cols: usize,
    form: Form,
}

enum Form {
    Vector(Element),
    Matrix(Format),
}

impl Plan {
    fn new(checkpoint: &Checkpoint, name: String, recipe: &Recipe) -> Result<Self> {
        let stored = checkpoint.find(&name)?;
        let (rows, cols) = stored.shape();
        let form = match stored {
            Stored::Floats(floats) if rows == 1 => Form::Vector(floats.element),
            Stored::Floats(_) => Form::Matrix(recipe.format(&name, cols)),
            Stored::Gptq(matrix) => Form::Matrix(matrix.format),
            Stored::Mlx(matrix) => Form::Matrix(matrix.format),
            Stored::Blocks(matrix) => Form::Matrix(matrix.kind.format()),
        };
        Ok(Self { name, rows, cols, form })
    }

    fn values(&self) -> u64 {
        self.rows as u64 * self.cols as u64
    }

    /// Name without `.weight`, under which scales and settings stand.
    fn module(&self) -> &str {
        self.name.strip_suffix(".weight").unwrap_or(&self.name)
    }

    /// Name, type, shape and bytes of the tensors that this becomes in the file.
    fn tensors(&self) -> Vec<(String, &'static str, Vec<usize>, usize)> {
        match self.form {
            Form::Vector(element) => {
                vec![(self.name.clone(), element.name(), vec![self.cols], self.cols * element.size())]
            }
            Form::Matrix(Format::F16) => {
                vec![(self.name.clone(), "F16", vec![self.rows, self.cols], 2 * self.rows * self.cols)]
            }
            Form::Matrix(format @ Format::Affine { .. }) => {
                let (words, groups) = (format.words_per_row(self.cols), format.groups_per_row(self.cols));
                let scales = |part: &str| {
                    (format!("{}.{part}", self.module()), "F16", vec![self.rows, groups], 2 * self.rows * groups)
                };
                vec![
                    (self.name.clone(), "U32", vec![self.rows, words], 4 * self.rows * words),
                    scales("scales"),
                    scales("biases"),
                ]
            }
        }
    }

    fn write(&self, checkpoint: &Checkpoint, file: &mut impl Write) -> Result<std::io::Result<()>> {
        let format = match self.form {
            Form::Vector(element) => {
                return Ok(file.write_all(&element.write(&checkpoint.vector(&self.name, self.cols)?)));
            }
            Form::Matrix(format) => format,
        };
        let matrix = checkpoint.rows(&self.name, 0..self.rows, Some(format))?;
        Ok(write_matrix(&matrix, file))
    }
}

/// Integers, then all scales, then all biases. Words are little-endian on every machine that wgpu runs on.
fn write_matrix(matrix: &PackedMatrix, file: &mut impl Write) -> std::io::Result<()> {
    file.write_all(bytemuck::cast_slice(&matrix.quants))?;
    for shift in [0, 16] {
        let halves: Vec<u16> = matrix.scales.iter().map(|word| (word >> shift) as u16).collect();
        file.write_all(bytemuck::cast_slice(&halves))?;
    }
    Ok(())
}

fn write_folder(
    checkpoint: &Checkpoint,
    folder: &Path,
    recipe: &Recipe,
    progress: &mut impl FnMut(Progress) -> Result<()>,
) -> Result<()> {
    let mut plans = Vec::new();
    for name in checkpoint.names() {
        plans.push(Plan::new(checkpoint, name, recipe)?);
    }
    // Vectors of odd lengths come last, so that everything before them starts at a border of its type.
    plans.sort_by_key(|plan| matches!(plan.form, Form::Vector(_)));
    fs::create_dir(folder).map_err(|error| write_error(folder, &error))?;
    write_weights(checkpoint, &plans, &folder.join("model.safetensors"), progress)?;
    write_companions(checkpoint, folder)?;
    write_text(&folder.join("config.json"), &config(checkpoint, &plans, recipe).to_string())?;
    sync_folder(folder)
}

fn write_weights(
    checkpoint: &Checkpoint,
    plans: &[Plan],
    path: &Path,
    progress: &mut impl FnMut(Progress) -> Result<()>,
) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "mlx" }));
    let mut offset = 0;
    for (name, dtype, shape, bytes) in plans.iter().flat_map(Plan::tensors) {
        header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes] }));
        offset += bytes;
    }
    let mut header = Value::Object(header).to_string();
    let padding = header.len().next_multiple_of(8) - header.len();
    header.push_str(&" ".repeat(padding));

    let failed = |error: std::io::Error| write_error(path, &error);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    file.write_all(header.as_bytes()).map_err(failed)?;
    let total = plans.iter().map(Plan::values).sum();
    let mut done = 0;
    for plan in plans {
        progress(Progress { tensor: &plan.name, done, total })?;
        plan.write(checkpoint, &mut file)?.map_err(failed)?;
        checkpoint.release();
        done += plan.values();
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// config.json with the settings that `mlx` reads: those of most matrices for all, the others by name.
fn config(checkpoint: &Checkpoint, plans: &[Plan], recipe: &Recipe) -> Value {
    let settings = |bits: u32, group: usize| json!({ "group_size": group, "bits": bits });
    let mut quantization = settings(recipe.bits, recipe.group);
    quantization["mode"] = json!("affine");
    for plan in plans {
        match plan.form {
            Form::Matrix(Format::Affine { bits, group }) if (bits, group) != (recipe.bits, recipe.group) => {
                quantization[plan.module()] = settings(bits, group);
            }
            Form::Matrix(Format::F16) => quantization[plan.module()] = json!(false),
            _ => {}
        }
    }
    let mut config = checkpoint.config().clone();
    if let Some(fields) = config.as_object_mut() {
        // MLX's tools read one name, Hugging Face's the other.
        fields.insert("quantization_config".into(), quantization.clone());
        fields.insert("quantization".into(), quantization);
    }
    config
}

/// Tokenizer, template and generation settings: copied from a folder, written anew for GGUF.
fn write_companions(checkpoint: &Checkpoint, folder: &Path) -> Result<()> {
    let Some(text) = checkpoint.gguf_text()? else {
        for name in COMPANIONS {
            let from = checkpoint.path().join(name);
            if from.is_file() {
                let to = folder.join(name);
                fs::copy(&from, &to).map_err(|error| write_error(&to, &error))?;
                sync_file(&to)?;
            }
        }
        return Ok(());
    };
    let tokenizer = text.tokenizer.to_string(false).map_err(|error| Error::Text {
        what: "tokenizer".into(),
        problem: error.to_string(),
        advice: "Please report this file".into(),
    })?;
    write_text(&folder.join("tokenizer.json"), &tokenizer)?;
    let token = |id: Option<u32>| id.and_then(|id| text.tokenizer.id_to_token(id));
    let mut settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": text.add_bos,
        "bos_token": token(text.bos),
        "eos_token": token(text.eos.first().copied()),
    });
    if let Some(template) = &text.chat_template {
        settings["chat_template"] = json!(template);
    }
    write_text(&folder.join("tokenizer_config.json"), &settings.to_string())?;
    let generation = json!({ "bos_token_id": text.bos, "eos_token_id": text.eos });
    write_text(&folder.join("generation_config.json"), &generation.to_string())
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| write_error(path, &error))?;
    sync_file(path)
}

fn sync_file(path: &Path) -> Result<()> {
    let file = File::options().append(true).open(path);
    file.and_then(|file| file.sync_all()).map_err(|error| write_error(path, &error))
}

/// Makes the names in a folder durable, where the system lets folders be opened.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder: PathBuf = folder.into();
        File::open(&folder).and_then(|opened| opened.sync_all()).map_err(|error| write_error(&folder, &error))?;
    }
    Ok(())
}
