//! A buffer on the device with the shape, element type and name of what lies in it. No arithmetic.

use std::sync::Arc;

use super::Gpu;
use super::device::Share;
use crate::error::{Error, Result};

/// What one element is, and so which WGSL array types may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float: `f32` and its vectors.
    F32,
    /// 16-bit float, two to a word: `u32` and its vectors through `unpack2x16float`, or `f16`.
    F16,
    /// 32-bit unsigned integer, also packed quants: `u32` and its vectors.
    U32,
}

impl Element {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }

    /// Whether a WGSL array of `scalar` ("f32", "u32", "f16") may read this.
    pub(super) fn readable_as(self, scalar: &str) -> bool {
        match self {
            Self::F32 => scalar == "f32",
            Self::F16 => scalar == "u32" || scalar == "f16",
            Self::U32 => scalar == "u32",
        }
    }
}

/// Memory on the device, row-major, outermost dimension first.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub(super) buffer: wgpu::Buffer,
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) share: Arc<Share>,
    pub(super) id: u64,
    /// Byte of the buffer that it begins at: 0 but for the parts of [`Tensor::parts`].
    pub(super) offset: u64,
    /// What it is, for messages: "layers.3.keys".
    pub label: String,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub element: Element,
}

/// Bytes at whose multiples every device lets a binding begin.
const BINDING_ALIGNMENT: usize = 256;

impl Tensor {
    /// Elements from the beginning of one part of `len` elements to that of the next, see [`Tensor::parts`].
    pub fn part_stride(len: usize, element: Element) -> usize {
        len.next_multiple_of(BINDING_ALIGNMENT / element.bytes())
    }

    /// The rows of a (parts, stride) tensor, with a stride as [`Tensor::part_stride`] has it, as tensors of their own of the
    /// given shape: written one by one, read back in one piece.
    pub fn parts(&self, gpu: &Gpu, shape: &[usize]) -> Result<Vec<Self>> {
        let len = shape.iter().product();
        let stride = Self::part_stride(len, self.element);
        let parts = self.shape.first().copied().unwrap_or(0);
        self.expect("tensor of parts", &[parts, stride], self.element)?;
        let part = |index: usize| Self {
            id: gpu.next_id(),
            offset: self.offset + (index * stride * self.element.bytes()) as u64,
            label: format!("{}.{index}", self.label),
            shape: shape.to_vec(),
            ..self.clone()
        };
        Ok((0..parts).map(part).collect())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> u64 {
        (self.len() * self.element.bytes()) as u64
    }

    /// An error unless the shape and the element type are these. `what` names the op's operand.
    pub fn expect(&self, what: &str, shape: &[usize], element: Element) -> Result<()> {
        if self.shape == shape && self.element == element {
            return Ok(());
        }
        Err(Error::shape(
            format!("{what} (\"{}\")", self.label),
            format!("{shape:?} of {element:?}"),
            format!("{:?} of {:?}", self.shape, self.element),
        ))
    }

    /// As [`Tensor::expect`] for a buffer that may hold more rows than the step uses.
    pub fn expect_rows(&self, what: &str, rows: usize, columns: usize, element: Element) -> Result<()> {
        let fits = self.shape.len() == 2 && self.shape[0] >= rows && self.shape[1] == columns;
        if fits && self.element == element {
            return Ok(());
        }
        Err(Error::shape(
            format!("{what} (\"{}\")", self.label),
            format!("at least [{rows}, {columns}] of {element:?}"),
            format!("{:?} of {:?}", self.shape, self.element),
        ))
    }
}
