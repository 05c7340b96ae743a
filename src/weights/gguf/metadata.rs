//! Typed access to the metadata of a GGUF file.

use std::path::Path;

use super::header::{Cursor, Header, MetadataArray, MetadataValue, value_type};
use crate::error::{Error, Result};

/// More elements than any vocabulary has; a list of them takes several times the memory that it has in the file.
const MAX_ELEMENTS: usize = 1 << 22;

/// The metadata of one file.
#[derive(Clone, Copy)]
pub(crate) struct Metadata<'a> {
    pub(crate) path: &'a Path,
    pub(crate) file: &'a [u8],
    pub(crate) header: &'a Header,
}

impl<'a> Metadata<'a> {
    fn get(&self, key: &str) -> Option<&'a MetadataValue> {
        self.header.metadata.get(key)
    }

    /// An error at this file.
    pub(crate) fn wrong(&self, key: &str, expected: &str, found: impl ToString) -> Error {
        self.cursor(0).wrong(&format!("metadata {key}"), expected, found)
    }

    fn cursor(&self, position: usize) -> Cursor<'a> {
        Cursor { path: self.path, file: self.file, position }
    }

    fn elements(&self, key: &str, array: &MetadataArray) -> Result<Cursor<'a>> {
        if array.count > MAX_ELEMENTS {
            return Err(self.wrong(key, &format!("at most {MAX_ELEMENTS} elements"), array.count));
        }
        Ok(self.cursor(array.bytes.start))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a text", "another type")),
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(key, "a truth value", "another type")),
        }
    }

    /// A count; some files give one number per layer, which must then all be equal.
    pub(crate) fn count(&self, key: &str) -> Result<Option<u64>> {
        let expected = "a number from 0 on, the same for every layer";
        let found = match self.get(key) {
            None => return Ok(None),
            Some(MetadataValue::Array(array)) => {
                let numbers = self.numbers_of(key, array)?;
                match numbers.split_first() {
                    Some((first, rest)) if rest.iter().all(|number| number == first) => *first,
                    _ => return Err(self.wrong(key, expected, "differing numbers")),
                }
            }
            Some(MetadataValue::Unsigned(number)) => *number as f64,
            Some(MetadataValue::Signed(number)) => *number as f64,
            Some(_) => return Err(self.wrong(key, expected, "another type")),
        };
        // Counts above 2^48 are no counts of anything here, and below it f64 is exact.
        if found.fract() != 0.0 || !(0.0..2f64.powi(48)).contains(&found) {
            return Err(self.wrong(key, expected, found));
        }
        Ok(Some(found as u64))
    }

    /// A finite number; what was a 32-bit float gets its short decimal form.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = match self.get(key) {
            None => return Ok(None),
            Some(MetadataValue::Float(number)) => short_decimal(*number),
            Some(MetadataValue::Unsigned(number)) => *number as f64,
            Some(MetadataValue::Signed(number)) => *number as f64,
            Some(_) => return Err(self.wrong(key, "a number", "another type")),
        };
        if number.is_finite() { Ok(Some(number)) } else { Err(self.wrong(key, "a finite number", number)) }
    }

    /// An array of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Array(array)) if array.element == value_type::STRING => {
                let mut cursor = self.elements(key, array)?;
                (0..array.count).map(|_| cursor.text(key)).collect::<Result<_>>().map(Some)
            }
            Some(_) => Err(self.wrong(key, "an array of texts", "another type")),
        }
    }

    /// An array of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetadataValue::Array(array)) => self.numbers_of(key, array).map(Some),
            Some(_) => Err(self.wrong(key, "an array of numbers", "another type")),
        }
    }

    fn numbers_of(&self, key: &str, array: &MetadataArray) -> Result<Vec<f64>> {
        let mut cursor = self.elements(key, array)?;
        let number = |value| match value {
            MetadataValue::Unsigned(number) => Ok(number as f64),
            MetadataValue::Signed(number) => Ok(number as f64),
            MetadataValue::Float(number) => Ok(number),
            _ => Err(self.wrong(key, "an array of numbers", "another type")),
        };
        (0..array.count).map(|_| cursor.value(key, array.element).and_then(number)).collect()
    }
}

/// The shortest decimal that reads back as the same 32-bit float, for numbers that were one.
fn short_decimal(number: f64) -> f64 {
    let narrow = number as f32;
    if f64::from(narrow) != number {
        return number;
    }
    narrow.to_string().parse().unwrap_or(number)
}
