//! A linear map of the model: one packed matrix, or several one below the other where the file stores them differently.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use super::activations::Activations;
use super::config::ModelConfig;
use super::tuning;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor, compiled};
use crate::ops::{Matmul, Matrix, Matvec, MatvecForm, QuantizeRow, RoundedRows, RowLayout};
use crate::weights::quantize::Recipe;
use crate::weights::{Checkpoint, Format, PackedMatrix};

/// Rows of this many packed bytes are read, converted and uploaded at a time.
const PIECE_BYTES: usize = 16 << 20;

/// A weight of the checkpoint that becomes rows of a linear map.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) format: Format,
}

impl Source {
    /// Checks the shape and decides the format: the file's own if it is quantised, else the recipe's, else f16.
    pub(crate) fn find(
        checkpoint: &Checkpoint,
        name: String,
        shape: (usize, usize),
        recipe: Option<&Recipe>,
    ) -> Result<Self> {
        let found = checkpoint.shape(&name)?;
        if found != shape {
            return Err(Error::Tensor {
                name,
                expected: format!("{shape:?}, as config.json implies"),
                found: format!("{found:?}"),
                advice: "config.json and the weights belong to different models".into(),
            });
        }
        let wanted = recipe.map(|recipe| recipe.format(&name, shape.1));
        let format = checkpoint.stored_format(&name).or(wanted).unwrap_or(Format::F16);
        format.check(&name, shape.1)?;
        Ok(Self { name, rows: shape.0, cols: shape.1, format })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.format.bytes(self.rows, self.cols).unwrap_or(u64::MAX)
    }
}

/// Kernels for one width and format, for one token and for many.
pub(crate) struct Multipliers {
    matvec: Matvec,
    matmul: Matmul,
    /// Where `matvec` takes integers.
    rounding: Option<Rounding>,
}

struct Rounding {
    layout: RowLayout,
    quantize_row: QuantizeRow,
}

impl Multipliers {
    fn new(gpu: &Gpu, cols: usize, (format, form): (Format, MatvecForm)) -> Result<Self> {
        let layout = RowLayout::of(format).filter(|_| form.integers());
        let rounding = |layout| Ok::<_, Error>(Rounding { layout, quantize_row: QuantizeRow::new(gpu, layout)? });
        Ok(Self {
            matvec: Matvec::with_form(gpu, cols, format, form)?,
            matmul: Matmul::new(gpu, cols, format)?,
            rounding: layout.map(rounding).transpose()?,
        })
    }
}

/// All that a model needs, compiled once each.
pub(crate) type MultiplierTable = HashMap<(usize, Format), Arc<Multipliers>>;

/// Compiles the kernels for every (width, format) among `sources`, in parallel.
pub(crate) fn compile_multipliers<'a>(gpu: &Gpu, sources: impl Iterator<Item = &'a Source>) -> Result<MultiplierTable> {
    let mut wanted: Vec<(usize, Format)> = Vec::new();
    for source in sources {
        if !wanted.contains(&(source.cols, source.format)) {
            wanted.push((source.cols, source.format));
        }
    }
    // Measured, if at all, one after the other and before anything else keeps the device busy.
    let mut forms: HashMap<Format, MatvecForm> = HashMap::new();
    for (_, format) in &wanted {
        forms.entry(*format).or_insert_with(|| tuning::matvec_form(gpu, *format));
    }
    std::thread::scope(|scope| {
        let forms = &forms;
        let build = move |(cols, format): (usize, Format)| {
            let form = forms.get(&format).copied().unwrap_or(MatvecForm::Narrow);
            Ok(((cols, format), Arc::new(Multipliers::new(gpu, cols, (format, form))?)))
        };
        let threads: Vec<_> = wanted.into_iter().map(|key| scope.spawn(move || build(key))).collect();
        threads.into_iter().map(compiled).collect()
    })
}

struct Part {
    multipliers: Arc<Multipliers>,
    matrix: Matrix,
    first_out: usize,
}

/// `out[t] = W x[t]`.
pub(crate) struct Linear {
    parts: Vec<Part>,
}

impl Linear {
    /// Reads `sources` into one map, one below the other. `loaded` hears of the bytes uploaded.
    pub(crate) fn load(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        table: &MultiplierTable,
        sources: &[Source],
        loaded: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        let write = &mut |source: &Source, matrix: &Matrix, row: usize| {
            // While one piece goes to the device, the next is read and repacked; more than these two are never held.
            std::thread::scope(|scope| {
                let (sender, receiver) = mpsc::sync_channel(0);
                scope.spawn(move || {
                    for (first, rows) in pieces(source) {
                        let packed = checkpoint.rows(&source.name, first..first + rows, Some(source.format));
                        let last = packed.is_err();
                        if sender.send((first, packed)).is_err() || last {
                            break;
                        }
                    }
                });
                for (first, packed) in receiver {
                    let packed = packed?;
                    matrix.write_rows(gpu, row + first, &packed)?;
                    // Staging memory is given back piece by piece, so that loading never holds much more than one.
                    gpu.flush_writes()?;
                    loaded(packed.bytes())?;
                }
                checkpoint.release();
                Ok(())
            })
        };
        Self::build(gpu, table, sources, write)
    }

    /// A map of invented weights: `make` gets rows and columns.
    pub(crate) fn fill(
        gpu: &Gpu,
        table: &MultiplierTable,
        sources: &[Source],
        make: &mut dyn FnMut(usize, usize) -> PackedMatrix,
    ) -> Result<Self> {
        let write = &mut |source: &Source, matrix: &Matrix, row: usize| {
            for (first, rows) in pieces(source) {
                matrix.write_rows(gpu, row + first, &make(rows, source.cols))?;
                gpu.flush_writes()?;
            }
            Ok(())
        };
        Self::build(gpu, table, sources, write)
    }

    /// Neighbours of one format share a matrix and so a dispatch. `write` puts a source's rows at a row of the matrix.
    fn build(
        gpu: &Gpu,
        table: &MultiplierTable,
        sources: &[Source],
        write: &mut dyn FnMut(&Source, &Matrix, usize) -> Result<()>,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        let mut first_out = 0;
        for run in sources.chunk_by(|a, b| a.format == b.format) {
            let Some(first) = run.first() else { continue };
            let rows = run.iter().map(|source| source.rows).sum();
            let matrix = Matrix::allocate(gpu, &first.name, rows, first.cols, first.format)?;
            let mut row = 0;
            for source in run {
                write(source, &matrix, row)?;
                row += source.rows;
            }
            let multipliers = table.get(&(first.cols, first.format)).cloned();
            let multipliers = multipliers.ok_or_else(|| Error::shape(&first.name, "compiled kernels", "none"))?;
            parts.push(Part { multipliers, matrix, first_out });
            first_out += rows;
        }
        Ok(Self { parts })
    }

    /// Its parts, from the first rows on.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        self.parts.iter().map(|part| &part.matrix)
    }

    /// The only part: of the embedding table, which is also used otherwise, and of what `decode.rs` fuses.
    pub(crate) fn matrix(&self) -> Result<&Matrix> {
        match &self.parts[..] {
            [part] => Ok(&part.matrix),
            parts => Err(Error::shape("table", "one matrix", parts.len())),
        }
    }

    /// Many tokens: `x` (tokens, cols) f16, `out` (tokens, rows) f32. `rounded` is room for integers where these are multiplied.
    pub(crate) fn record_prefill(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, rounded): (&Tensor, Option<&RoundedRows>),
        out: &Tensor,
        tokens: usize,
    ) -> Result<()> {
        let mut ready = None;
        for Part { multipliers, matrix, first_out } in &self.parts {
            let (Some(layout), Some(rounding), Some(rows)) =
                (multipliers.matmul.layout(), &multipliers.rounding, rounded)
            else {
                multipliers.matmul.record(gpu, recorder, (x, matrix, out), *first_out, tokens)?;
                continue;
            };
            if ready != Some(layout) {
                rounding.quantize_row.record_rows(gpu, recorder, (x, rows), (tokens, matrix.cols))?;
                ready = Some(layout);
            }
            multipliers.matmul.record_integers(gpu, recorder, (rows, matrix, out), *first_out, tokens)?;
        }
        Ok(())
    }

    /// The layout in which each part reads one token's row; `None` for floats.
    pub(crate) fn layouts(&self) -> impl Iterator<Item = Option<RowLayout>> {
        self.parts.iter().map(|part| part.multipliers.rounding.as_ref().map(|rounding| rounding.layout))
    }

    /// The layout in which the first part that takes integers wants them.
    pub(crate) fn layout(&self) -> Option<RowLayout> {
        self.parts.iter().find_map(|part| part.multipliers.rounding.as_ref()).map(|rounding| rounding.layout)
    }

    /// One token, the first row of `x`, of which whoever wrote it has left the integers in layout `ready`.
    pub(crate) fn record_decode(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder,
        (x, mut ready): (&Activations, Option<RowLayout>),
        out: &Tensor,
    ) -> Result<()> {
        for Part { multipliers, matrix, first_out } in &self.parts {
            let Some(Rounding { layout, quantize_row }) = &multipliers.rounding else {
                multipliers.matvec.record(gpu, recorder, (&x.floats, matrix, out), *first_out)?;
                continue;
            };
            let row = x.rounded(*layout)?;
            if ready != Some(*layout) {
                quantize_row.record(gpu, recorder, (&x.floats, row), matrix.cols)?;
                ready = Some(*layout);
            }
            multipliers.matvec.record_integers(gpu, recorder, row, (matrix, out), *first_out)?;
        }
        Ok(())
    }
}

/// (first row, rows) of the pieces that a source is read in.
fn pieces(source: &Source) -> impl Iterator<Item = (usize, usize)> + use<> {
    let row_bytes = (source.bytes() / source.rows.max(1) as u64).max(1);
    let (rows, step) = (source.rows, (PIECE_BYTES as u64 / row_bytes).max(1) as usize);
    (0..rows).step_by(step).map(move |first| (first, step.min(rows - first)))
}

/// The weights of a model in the order they are loaded.
pub(crate) struct SourceList {
    pub(crate) embedding: Source,
    pub(crate) head: Option<Source>,
    pub(crate) layers: Vec<LayerSources>,
}

/// The four linear maps of a layer.
pub(crate) struct LayerSources {
    pub(crate) qkv: Vec<Source>,
    pub(crate) attention_out: Vec<Source>,
    pub(crate) gate_up: Vec<Source>,
    pub(crate) down: Vec<Source>,
}

impl SourceList {
    /// Finds every matrix that `config` implies. `recipe` says what plain numbers become.
    pub(crate) fn find(checkpoint: &Checkpoint, config: &ModelConfig, recipe: Option<&Recipe>) -> Result<Self> {
        use super::names;
        let hidden = config.hidden_size;
        let table = |name: &str| Source::find(checkpoint, name.into(), (config.vocab_size, hidden), recipe);
        let head = if config.tied { None } else { Some(table(names::HEAD)?) };
        let layer = |index: usize| -> Result<LayerSources> {
            let find = |part: &str, rows: usize, cols: usize| {
                Source::find(checkpoint, names::layer(index, part), (rows, cols), recipe)
            };
            let key_width = config.heads.kv_heads * config.heads.head_dim;
            Ok(LayerSources {
                qkv: vec![
                    find("self_attn.q_proj", config.attention_width(), hidden)?,
                    find("self_attn.k_proj", key_width, hidden)?,
                    find("self_attn.v_proj", key_width, hidden)?,
                ],
                attention_out: vec![find("self_attn.o_proj", hidden, config.attention_width())?],
                gate_up: vec![
                    find("mlp.gate_proj", config.intermediate_size, hidden)?,
                    find("mlp.up_proj", config.intermediate_size, hidden)?,
                ],
                down: vec![find("mlp.down_proj", hidden, config.intermediate_size)?],
            })
        };
        let layers = (0..config.layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { embedding: table(names::EMBEDDING)?, head, layers })
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Source> {
        let maps = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down].into_iter().flatten());
        [Some(&self.embedding), self.head.as_ref()].into_iter().flatten().chain(maps)
    }

    /// Bytes on the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().map(Source::bytes).fold(0, u64::saturating_add)
    }
}
