//! Small files written byte by byte, so that every field can be given a wrong value.

use std::path::{Path, PathBuf};

use foveal::weights::Checkpoint;
use half::f16;
use serde_json::{Map, Value, json};

/// A file that other tools wrote.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/weights").join(name)
}

/// A tensor of a safetensors file as numbers.
pub(crate) fn expected(file: &str, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(data(file)).unwrap();
    let tensors = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    match tensor.dtype() {
        ::safetensors::Dtype::F32 => {
            tensor.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        }
        _ => tensor.data().chunks(2).map(|b| half::f16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect(),
    }
}

/// A temporary model folder.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(config: &Value) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("config.json", config.to_string());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn open(&self) -> Checkpoint {
        Checkpoint::open(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The message of the error that opening must give.
    pub(crate) fn refusal(&self) -> String {
        refusal(self.path())
    }
}

pub(crate) fn refusal(path: &Path) -> String {
    Checkpoint::open(path).err().unwrap_or_else(|| panic!("{} should not open", path.display())).to_string()
}

/// One tensor of a safetensors file: name, type, shape, data.
pub(crate) type Entry<'a> = (&'a str, &'a str, Vec<usize>, Vec<u8>);

/// A whole safetensors file.
pub(crate) fn safetensors(entries: &[Entry]) -> Vec<u8> {
    let mut header = Map::new();
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in entries {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.to_string(), json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
        data.extend(bytes);
    }
    with_header(&Value::Object(header).to_string(), &data)
}

/// Length, header, data.
pub(crate) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub(crate) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn f16_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
}

pub(crate) fn bf16_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect()
}

pub(crate) fn u32_bytes(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A GGUF file in the making. Values are given as their type's number and their bytes.
#[derive(Clone)]
pub(crate) struct GgufFile {
    pub(crate) version: u32,
    pub(crate) entries: Vec<(String, u32, Vec<u8>)>,
    /// Name, dimensions (inputs first), type, data.
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
    /// Offsets that lie, by the tensor's index.
    pub(crate) false_offsets: Vec<(usize, u64)>,
}

/// A string as GGUF has it.
pub(crate) fn gguf_text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// An array of strings as GGUF has it.
pub(crate) fn gguf_texts(texts: &[&str]) -> Vec<u8> {
    let mut bytes = [&8u32.to_le_bytes()[..], &(texts.len() as u64).to_le_bytes()].concat();
    bytes.extend(texts.iter().flat_map(|text| gguf_text(text)));
    bytes
}

impl GgufFile {
    /// A file of the given architecture that opens: two layers' numbers, an embedding of 4 tokens.
    pub(crate) fn minimal(arch: &str) -> Self {
        let mut file = Self { version: 3, entries: Vec::new(), tensors: Vec::new(), false_offsets: Vec::new() };
        file.entries.push(("general.architecture".into(), 8, gguf_text(arch)));
        let counts = [
            ("embedding_length", 64u32),
            ("block_count", 2),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("feed_forward_length", 32),
            ("context_length", 128),
        ];
        for (name, count) in counts {
            file.entries.push((format!("{arch}.{name}"), 4, count.to_le_bytes().to_vec()));
        }
        file.entries.push(("tokenizer.ggml.tokens".into(), 9, gguf_texts(&["<unk>", "<s>", "</s>", "a"])));
        file.tensors.push(("token_embd.weight".into(), vec![64, 4], 1, f16_bytes(&[0.5; 256])));
        file
    }

    pub(crate) fn set(&mut self, key: &str, kind: u32, value: impl AsRef<[u8]>) {
        self.entries.retain(|(name, ..)| name != key);
        self.entries.push((key.into(), kind, value.as_ref().to_vec()));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.entries {
            bytes.extend(gguf_text(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        let mut offset = 0u64;
        for (index, (name, dimensions, kind, data)) in self.tensors.iter().enumerate() {
            bytes.extend(gguf_text(name));
            bytes.extend((dimensions.len() as u32).to_le_bytes());
            bytes.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            let lie = self.false_offsets.iter().find(|(lying, _)| *lying == index);
            bytes.extend(lie.map_or(offset, |(_, lie)| *lie).to_le_bytes());
            offset += (data.len() as u64).next_multiple_of(32);
        }
        for (.., data) in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(data);
        }
        bytes
    }

    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("model.gguf");
        std::fs::write(&path, self.bytes()).unwrap();
        path
    }

    pub(crate) fn refusal(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        refusal(&self.write(folder.path()))
    }
}
