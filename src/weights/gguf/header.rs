//! The header of a GGUF file, versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! Magic, version, number of tensors, number of metadata entries; the entries (name, type, value); the tensors (name,
//! dimensions with the inputs first, type, offset); then, aligned, the data. All little-endian; strings and arrays are a
//! 64-bit length and their content.
//!
//! Everything a file says is doubted: no count makes us allocate before so many bytes are known to be there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::blocks::TensorType;
use crate::error::{Error, Result};

/// More entries or tensors than any model has.
const MAX_ENTRIES: u64 = 1 << 16;

/// Arrays of arrays deeper than this are refused; no known key has any.
const MAX_ARRAY_DEPTH: u32 = 4;

const DEFAULT_ALIGNMENT: u64 = 32;

/// What stands before the data.
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) metadata: BTreeMap<String, MetadataValue>,
    pub(crate) tensors: Vec<TensorInfo>,
}

/// A metadata value; numbers in their widest form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MetadataValue {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(MetadataArray),
}

/// An array whose elements are read when they are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetadataArray {
    pub(crate) element: u32,
    pub(crate) count: usize,
    /// Where the elements lie in the file.
    pub(crate) bytes: Range<usize>,
}

/// Where a tensor lies and how it is stored.
pub(crate) struct TensorInfo {
    pub(crate) name: String,
    pub(crate) kind: TensorType,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Empty for types whose size is not known; they cannot be read.
    pub(crate) bytes: Range<usize>,
}

/// Numbers of the value types, as the format gives them.
pub(crate) mod value_type {
    pub(crate) const U8: u32 = 0;
    pub(crate) const I8: u32 = 1;
    pub(crate) const U16: u32 = 2;
    pub(crate) const I16: u32 = 3;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
    pub(crate) const U64: u32 = 10;
    pub(crate) const I64: u32 = 11;
    pub(crate) const F64: u32 = 12;
}

/// Reads the header and checks every tensor's place.
pub(crate) fn read_header(path: &Path, file: &[u8]) -> Result<Header> {
    let mut cursor = Cursor { path, file, position: 0 };
    if cursor.take("magic", 4)? != b"GGUF" {
        return Err(cursor.wrong("magic", "GGUF", "something else"));
    }
    let version = cursor.u32("version")?;
    if !matches!(version, 2 | 3) {
        let found = if version.swap_bytes() < 16 { "big-endian numbers".into() } else { version.to_string() };
        let mut error = cursor.wrong("version", "2 or 3, little-endian", found);
        if let Error::Format { advice, .. } = &mut error {
            *advice = "Convert the model again with a current llama.cpp".into();
        }
        return Err(error);
    }
    let tensor_count = cursor.count("number of tensors")?;
    let entry_count = cursor.count("number of metadata entries")?;
    let mut metadata = BTreeMap::new();
    for _ in 0..entry_count {
        let key = cursor.text("name of a metadata entry")?;
        let kind = cursor.u32(key)?;
        let value = cursor.value(key, kind)?;
        if metadata.insert(key.to_string(), value).is_some() {
            return Err(cursor.wrong(key, "one metadata entry of this name", "two"));
        }
    }
    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(cursor.tensor()?);
    }
    let alignment = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(MetadataValue::Unsigned(alignment)) if alignment.is_power_of_two() && *alignment <= 1 << 20 => *alignment,
        Some(other) => return Err(cursor.wrong("general.alignment", "a power of two", format!("{other:?}"))),
    };
    let data_start = (cursor.position as u64).next_multiple_of(alignment);
    let tensors = place(&cursor, tensors, data_start, alignment)?;
    Ok(Header { version, metadata, tensors })
}

/// Turns offsets into places within the file; they must be aligned, inside, and apart from each other.
fn place(cursor: &Cursor, tensors: Vec<(TensorInfo, u64)>, data_start: u64, alignment: u64) -> Result<Vec<TensorInfo>> {
    let mut placed = Vec::with_capacity(tensors.len());
    for (mut info, offset) in tensors {
        let what = || format!("offset of tensor \"{}\"", info.name);
        if !offset.is_multiple_of(alignment) {
            return Err(cursor.wrong(&what(), format!("a multiple of {alignment}"), offset));
        }
        let stored = info.kind.stored_bytes(info.rows, info.cols);
        let end = data_start.checked_add(offset).and_then(|start| start.checked_add(stored.unwrap_or(0)));
        let range = end.and_then(|end| {
            let (start, end) = (usize::try_from(data_start + offset).ok()?, usize::try_from(end).ok()?);
            (end <= cursor.file.len()).then_some(start..end)
        });
        let Some(range) = range else {
            let expected = format!("{} bytes within a file of {}", stored.unwrap_or(0), cursor.file.len());
            return Err(cursor.wrong(&what(), expected, offset));
        };
        info.bytes = range;
        placed.push(info);
    }
    let mut order: Vec<&TensorInfo> = placed.iter().collect();
    order.sort_by_key(|info| (info.bytes.start, info.bytes.end));
    for pair in order.windows(2) {
        if pair[0].bytes.end > pair[1].bytes.start {
            let what = format!("places of \"{}\" and \"{}\"", pair[0].name, pair[1].name);
            return Err(cursor.wrong(&what, "places apart from each other", "overlapping ones"));
        }
    }
    Ok(placed)
}

/// Reads a file from front to back.
pub(crate) struct Cursor<'a> {
    pub(crate) path: &'a Path,
    pub(crate) file: &'a [u8],
    pub(crate) position: usize,
}

impl<'a> Cursor<'a> {
    /// An error at this file.
    pub(crate) fn wrong(&self, what: &str, expected: impl ToString, found: impl ToString) -> Error {
        Error::Format {
            path: self.path.into(),
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
            advice: "The file is damaged or its download was cut: download it again".into(),
        }
    }

    fn take(&mut self, what: &str, count: u64) -> Result<&'a [u8]> {
        let left = self.file.len() - self.position;
        let taken = usize::try_from(count).ok().and_then(|count| {
            let end = self.position.checked_add(count)?;
            self.file.get(self.position..end)
        });
        let Some(taken) = taken else {
            return Err(self.wrong(what, format!("{count} bytes"), format!("{left} bytes up to the end of the file")));
        };
        self.position += taken.len();
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(what, N as u64)?);
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    fn count(&mut self, what: &str) -> Result<u64> {
        let count = self.u64(what)?;
        if count > MAX_ENTRIES {
            return Err(self.wrong(what, format!("at most {MAX_ENTRIES}"), count));
        }
        Ok(count)
    }

    /// A string: its length and its UTF-8 bytes.
    pub(crate) fn text(&mut self, what: &str) -> Result<&'a str> {
        let length = self.u64(what)?;
        let bytes = self.take(what, length)?;
        std::str::from_utf8(bytes).map_err(|error| self.wrong(what, "UTF-8 text", error))
    }

    /// A value of the given type.
    pub(crate) fn value(&mut self, key: &str, kind: u32) -> Result<MetadataValue> {
        Ok(match kind {
            value_type::U8 => MetadataValue::Unsigned(self.bytes(key).map(u8::from_le_bytes)?.into()),
            value_type::U16 => MetadataValue::Unsigned(self.bytes(key).map(u16::from_le_bytes)?.into()),
            value_type::U32 => MetadataValue::Unsigned(self.u32(key)?.into()),
            value_type::U64 => MetadataValue::Unsigned(self.u64(key)?),
            value_type::I8 => MetadataValue::Signed(self.bytes(key).map(i8::from_le_bytes)?.into()),
            value_type::I16 => MetadataValue::Signed(self.bytes(key).map(i16::from_le_bytes)?.into()),
            value_type::I32 => MetadataValue::Signed(self.bytes(key).map(i32::from_le_bytes)?.into()),
            value_type::I64 => MetadataValue::Signed(self.bytes(key).map(i64::from_le_bytes)?),
            value_type::F32 => MetadataValue::Float(self.bytes(key).map(f32::from_le_bytes)?.into()),
            value_type::F64 => MetadataValue::Float(self.bytes(key).map(f64::from_le_bytes)?),
            value_type::BOOL => match self.bytes::<1>(key)? {
                [0] => MetadataValue::Bool(false),
                [1] => MetadataValue::Bool(true),
                [other] => return Err(self.wrong(key, "0 or 1 for a truth value", other)),
            },
            value_type::STRING => MetadataValue::Text(self.text(key)?.to_string()),
            value_type::ARRAY => MetadataValue::Array(self.array(key, 1)?),
            other => return Err(self.wrong(key, "a value type from 0 to 12", other)),
        })
    }

    /// Steps over an array, so that its place is known and all its lengths are true.
    fn array(&mut self, key: &str, depth: u32) -> Result<MetadataArray> {
        if depth > MAX_ARRAY_DEPTH {
            return Err(self.wrong(key, format!("at most {MAX_ARRAY_DEPTH} arrays within each other"), "more"));
        }
        let element = self.u32(key)?;
        let count = self.u64(key)?;
        let start = self.position;
        let size = match element {
            value_type::U8 | value_type::I8 | value_type::BOOL => Some(1),
            value_type::U16 | value_type::I16 => Some(2),
            value_type::U32 | value_type::I32 | value_type::F32 => Some(4),
            value_type::U64 | value_type::I64 | value_type::F64 => Some(8),
            value_type::STRING | value_type::ARRAY => None,
            other => return Err(self.wrong(key, "an element type from 0 to 12", other)),
        };
        match size {
            Some(size) => {
                self.take(key, count.saturating_mul(size))?;
            }
            // Each element takes at least eight bytes, so a false count ends at the end of the file.
            None => {
                for _ in 0..count {
                    if element == value_type::STRING {
                        self.text(key)?;
                    } else {
                        self.array(key, depth + 1)?;
                    }
                }
            }
        }
        // `take` has seen so many elements in the file, so their number fits.
        Ok(MetadataArray { element, count: count as usize, bytes: start..self.position })
    }

    /// One tensor's entry and its offset.
    fn tensor(&mut self) -> Result<(TensorInfo, u64)> {
        let name = self.text("name of a tensor")?.to_string();
        let what = format!("tensor \"{name}\"");
        let dimensions = self.u32(&what)?;
        if !matches!(dimensions, 1..=4) {
            return Err(self.wrong(&what, "1 to 4 dimensions", dimensions));
        }
        let mut sizes = [1u64; 4];
        for size in sizes.iter_mut().take(dimensions as usize) {
            *size = self.u64(&what)?;
            if *size == 0 {
                return Err(self.wrong(&what, "dimensions of at least 1", 0));
            }
        }
        let kind = TensorType::from_number(self.u32(&what)?);
        let offset = self.u64(&what)?;
        let values = sizes.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        // Eight bits of a value are more than any block has values for each byte, so this bounds all later products.
        let Some(values) = values.filter(|values| *values < 1 << 48) else {
            return Err(self.wrong(&what, "a size below 2^48 values", format!("{:?}", &sizes[..dimensions as usize])));
        };
        let [cols, ..] = sizes;
        if !cols.is_multiple_of(kind.block_values()) {
            return Err(self.wrong(&what, format!("rows of whole blocks of {} values", kind.block_values()), cols));
        }
        let (rows, cols) = ((values / cols) as usize, cols as usize);
        Ok((TensorInfo { name, kind, rows, cols, bytes: 0..0 }, offset))
    }
}
