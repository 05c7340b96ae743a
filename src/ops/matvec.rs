//! A packed matrix times one token's activations. Shaders: `shaders/matvec.wgsl`, and `shaders/matvec_wide.wgsl` in f32 or in
//! integers.

use super::matrix::{self, Matrix};
use super::quantize_row::{RoundedRow, RowLayout};
use crate::error::{Error, Result};
use crate::gpu::shader::Constant::U32;
use crate::gpu::{Binding, Element, Gpu, Kernel, KernelSpec, Recorder, Tensor, grid};
use crate::weights::Format;

/// How the work of one product is divided, and in which numbers it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatvecForm {
    /// A workgroup for four rows, eight columns a lane and step, in f32. Every format, every adapter.
    Narrow,
    /// Teams of lanes that take 16 bytes of weights at a time.
    Wide(WideForm),
}

/// Numbers of `shaders/matvec_wide.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WideForm {
    /// Activations as 8-bit integers instead of f16.
    pub integers: bool,
    /// Lanes of a workgroup.
    pub group_size: u32,
    /// Lanes that share their rows.
    pub lanes: u32,
    /// Rows of a team.
    pub rows: u32,
    /// Chunks of a row that are loaded together.
    pub unroll: u32,
}

impl MatvecForm {
    /// The forms for weights in `format` that are worth trying on this device, the usual one first: integers where these are on,
    /// then the wide form in floats, then the narrow one.
    ///
    /// The numbers are those that were fastest over the maps of a layer, on an H200 and on a processor; `foveal bench --ops`
    /// compares them.
    pub fn candidates(gpu: &Gpu, format: Format) -> Vec<Self> {
        let wide = |integers, rows, unroll| Self::Wide(WideForm { integers, group_size: 64, lanes: 32, rows, unroll });
        let floats = if gpu.adapter.software { wide(false, 4, 1) } else { wide(false, 2, 2) };
        let all = [(gpu.features.int8, wide(true, 1, 2)), (true, floats), (true, Self::Narrow)];
        all.into_iter().filter(|(wanted, form)| *wanted && form.fits(format)).map(|(_, form)| form).collect()
    }

    /// The usual one of [`MatvecForm::candidates`].
    pub fn for_device(gpu: &Gpu, format: Format) -> Self {
        Self::candidates(gpu, format).first().copied().unwrap_or(Self::Narrow)
    }

    /// Whether there is a kernel of this form for weights in `format`.
    pub fn fits(self, format: Format) -> bool {
        match self {
            Self::Narrow => true,
            Self::Wide(form) if form.integers => RowLayout::of(format).is_some(),
            Self::Wide(_) => matches!(format, Format::Affine { bits: 4, group } if group >= 32),
        }
    }

    /// Whether the activations come as integers.
    pub fn integers(self) -> bool {
        matches!(self, Self::Wide(form) if form.integers)
    }
}

impl std::fmt::Display for MatvecForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Narrow => f.write_str("narrow"),
            Self::Wide(WideForm { integers, group_size, lanes, rows, unroll }) => {
                write!(f, "{}-{group_size}-{lanes}x{rows}x{unroll}", if *integers { "int8" } else { "f32" })
            }
        }
    }
}

/// Multiplies matrices of one width and format.
pub struct Matvec {
    kernel: Kernel,
    cols: usize,
    rows_per_group: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    first_out: u32,
}

impl Matvec {
    /// Compiles for matrices with `cols` inputs.
    pub fn new(gpu: &Gpu, cols: usize, format: Format) -> Result<Self> {
        Self::with_form(gpu, cols, format, MatvecForm::Narrow)
    }

    /// Compiles one form for matrices with `cols` inputs.
    pub fn with_form(gpu: &Gpu, cols: usize, format: Format, form: MatvecForm) -> Result<Self> {
        match form {
            MatvecForm::Narrow => Self::narrow(gpu, cols, format),
            MatvecForm::Wide(wide) if form.fits(format) => Self::wide(gpu, cols, format, wide),
            MatvecForm::Wide(_) => Err(Error::shape("matvec", format!("a form for {format} weights"), form)),
        }
    }

    fn narrow(gpu: &Gpu, cols: usize, format: Format) -> Result<Self> {
        // Short rows would leave most lanes of a large workgroup without work.
        let group_size = if cols >= 2048 { 128 } else { 64 };
        let rows_per_group = 4;
        let (piece, mut constants) = matrix::piece(format, cols);
        constants.extend([("GROUP_SIZE", U32(group_size)), ("ROWS", U32(rows_per_group as u32))]);
        let pieces = [("weights", piece)];
        let spec = KernelSpec { name: "matvec", entry: "main", constants: &constants, pieces: &pieces };
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, cols, rows_per_group })
    }

    fn wide(gpu: &Gpu, cols: usize, format: Format, form: WideForm) -> Result<Self> {
        let (piece, mut constants) = matrix::piece(format, cols);
        let products = match (form.integers, piece) {
            (true, "q8") => "q8_int8",
            (true, _) => "q4_int8",
            (false, _) => "q4",
        };
        // Teams are whole subgroups, where these have one known size.
        let subgroup = gpu.features.subgroup_size.filter(|size| gpu.features.subgroup && *size <= form.group_size);
        let lanes = subgroup.map_or(form.lanes, |size| form.lanes.max(size));
        constants.extend([
            ("GROUP_SIZE", U32(form.group_size)),
            ("LANES", U32(lanes)),
            ("ROWS", U32(form.rows)),
            ("UNROLL", U32(form.unroll)),
        ]);
        constants.extend(subgroup.map(|size| ("SUBGROUP", U32(size))));
        let team = if subgroup.is_some() { "subgroup" } else { "barrier" };
        let pieces = [("products", products), ("team", team)];
        let spec = KernelSpec { name: "matvec_wide", entry: "main", constants: &constants, pieces: &pieces };
        let rows_per_group = (form.group_size / lanes * form.rows) as usize;
        Ok(Self { kernel: Kernel::new(gpu, &spec)?, cols, rows_per_group })
    }

    /// Appends one dispatch per shard: `out[first_out + r] = matrix[r] . x`, with `x` the first row of (tokens, cols) f16 and `out`
    /// f32 with at least as many values as the matrix has rows. For forms that take floats.
    pub fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, matrix, out): (&Tensor, &Matrix, &Tensor),
        first_out: usize,
    ) -> Result<()> {
        x.expect_rows("matvec x", 1, self.cols, Element::F16)?;
        self.record_shards(gpu, recorder, (x, None), (matrix, out), first_out)
    }

    /// As [`Matvec::record`] for forms that take integers: those as [`super::QuantizeRow`] leaves them.
    pub fn record_integers(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        row: &RoundedRow,
        (matrix, out): (&Matrix, &Tensor),
        first_out: usize,
    ) -> Result<()> {
        let layout = RowLayout::of(matrix.format);
        let layout = layout.ok_or_else(|| Error::shape("matvec", "weights with an integer form", matrix.format))?;
        row.expect("matvec row", layout, self.cols)?;
        self.record_shards(gpu, recorder, (&row.integers, Some(&row.steps)), (matrix, out), first_out)
    }

    fn record_shards(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, steps): (&Tensor, Option<&Tensor>),
        (matrix, out): (&Matrix, &Tensor),
        first_out: usize,
    ) -> Result<()> {
        super::expect_columns("matvec out", out, 1, first_out + matrix.rows)?;
        for shard in &matrix.shards {
            let params = Params { rows: shard.rows as u32, first_out: (first_out + shard.first_row) as u32 };
            let mut tensors: Vec<Binding<'_>> = vec![x.into()];
            tensors.extend(shard.bindings());
            tensors.extend(steps.map(Binding::from));
            tensors.push(out.into());
            let size = grid(shard.rows.div_ceil(self.rows_per_group));
            recorder.dispatch(gpu, &self.kernel, &tensors, &params, size, (shard.rows * self.cols) as u64)?;
        }
        Ok(())
    }
}
