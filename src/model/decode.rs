//! One token through all layers in as few dispatches as its weights allow: six for a dense layer, nine for a sparse one, and one
//! more when a window of compressed keys is complete.
//!
//! ```text
//! queries, keys, values   matvec_rope_and_store (8-bit caches: matvec_normed, rope_and_store)
//! attention               split, merge    or    score_blocks (2), select_blocks, attend_sparse, merge
//! out, residual, norm     matvec_add
//! gate, up, activation    matvec_swiglu
//! down, residual, norm    matvec_add
//! ```
//!
//! Each leaves its row as the integers that the next multiplies. It needs quantised weights whose activations are rounded
//! ([`crate::ops::MatvecForm`]); every other step, and every other device, takes the separate ops of `forward.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use super::config::ModelConfig;
use super::forward::{Layer, Model, Step};
use super::linear::Linear;
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::kv_cache::KvCache;
use crate::ops::matvec_add::{MatvecAdd, MatvecAddArgs};
use crate::ops::matvec_rope_and_store::{MatvecRopeAndStore, MatvecRopeAndStoreArgs};
use crate::ops::{
    CacheFormat, HeadShape, Matrix, MatvecNormed, MatvecSwiglu, OUTPUTS, QuantizeRow, RoundedRow, RowLayout, swiglu,
};
use crate::weights::Format;

/// Kernels for every layer, and for what stands before and after them.
pub(super) struct FusedDecode {
    first: QuantizeRow,
    layers: Vec<FusedLayer>,
    head: Projection,
}

struct FusedLayer {
    qkv: Qkv,
    attention_out: Arc<MatvecAdd>,
    gate_up: Arc<MatvecSwiglu>,
    down: Arc<MatvecAdd>,
}

enum Qkv {
    Stored(Arc<MatvecRopeAndStore>),
    Separate(Projection),
}

/// Kernels for the parts of a linear map, in order.
type Projection = Vec<Arc<MatvecNormed>>;

/// Kernels by width and format, and by the layout that they leave where they leave one.
#[derive(Default)]
struct Compiled {
    normed: HashMap<(usize, Format), Arc<MatvecNormed>>,
    stored: HashMap<(usize, Format), Arc<MatvecRopeAndStore>>,
    swiglu: HashMap<(usize, Format, RowLayout), Arc<MatvecSwiglu>>,
    add: HashMap<(usize, Format, RowLayout), Arc<MatvecAdd>>,
}

/// The value of `key`, made if it is not there yet.
fn once<K: std::hash::Hash + Eq, V>(
    map: &mut HashMap<K, Arc<V>>,
    key: K,
    make: impl FnOnce() -> Result<V>,
) -> Result<Arc<V>> {
    if let Some(known) = map.get(&key) {
        return Ok(Arc::clone(known));
    }
    let made = Arc::new(make()?);
    map.insert(key, Arc::clone(&made));
    Ok(made)
}

impl Compiled {
    fn projection(&mut self, gpu: &Gpu, linear: &Linear, epsilon: f32) -> Result<Projection> {
        let make = |matrix: &Matrix| {
            let key = (matrix.cols, matrix.format);
            once(&mut self.normed, key, || MatvecNormed::new(gpu, key, epsilon))
        };
        linear.matrices().map(make).collect()
    }

    fn qkv(&mut self, gpu: &Gpu, linear: &Linear, kv: CacheFormat, config: &ModelConfig) -> Result<Qkv> {
        let (heads, epsilon) = (config.heads, config.epsilon);
        match single(linear) {
            Some(matrix) if kv == CacheFormat::F16 => {
                let key = (matrix.cols, matrix.format);
                let make = || MatvecRopeAndStore::new(gpu, key, heads, epsilon);
                Ok(Qkv::Stored(once(&mut self.stored, key, make)?))
            }
            _ => Ok(Qkv::Separate(self.projection(gpu, linear, epsilon)?)),
        }
    }

    fn add(&mut self, gpu: &Gpu, matrix: &Matrix, out: RowLayout) -> Result<Arc<MatvecAdd>> {
        let key = (matrix.cols, matrix.format);
        once(&mut self.add, (key.0, key.1, out), || MatvecAdd::new(gpu, key, out))
    }

    fn swiglu(&mut self, gpu: &Gpu, matrix: &Matrix, out: RowLayout, epsilon: f32) -> Result<Arc<MatvecSwiglu>> {
        let key = (matrix.cols, matrix.format);
        once(&mut self.swiglu, (key.0, key.1, out), || MatvecSwiglu::new(gpu, key, out, epsilon))
    }
}

/// The only matrix of a linear map, in one piece.
fn single(linear: &Linear) -> Option<&Matrix> {
    let mut matrices = linear.matrices();
    let first = matrices.next()?;
    (matrices.next().is_none() && first.shards.len() == 1).then_some(first)
}

/// The layout in which all parts of a linear map read their row; `None` where they do not agree or multiply floats.
fn layout(linear: &Linear) -> Option<RowLayout> {
    let mut layouts = linear.layouts();
    let first = layouts.next()??;
    layouts.all(|other| other == Some(first)).then_some(first)
}

impl FusedDecode {
    /// Compiles for a model whose weights are on the device; `None` where they do not allow it.
    pub(super) fn compile(
        gpu: &Gpu,
        config: &ModelConfig,
        kv: CacheFormat,
        layers: &[Layer],
        head: &Linear,
    ) -> Result<Option<Self>> {
        let HeadShape { head_dim, .. } = config.heads;
        let widths = [config.hidden_size, config.intermediate_size, head_dim];
        let Some(head_layout) = layout(head) else { return Ok(None) };
        if widths.iter().any(|width| !width.is_multiple_of(OUTPUTS)) {
            return Ok(None);
        }
        let mut compiled = Compiled::default();
        let mut fused = Vec::with_capacity(layers.len());
        let mut first = None;
        for (index, layer) in layers.iter().enumerate() {
            let next = layers.get(index + 1).map_or(Some(head_layout), |next| layout(&next.qkv));
            let (Some(attention_out), Some(gate_up), Some(down)) =
                (single(&layer.attention_out), single(&layer.gate_up), single(&layer.down))
            else {
                return Ok(None);
            };
            let layouts = [&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down].map(layout);
            let ([Some(qkv), Some(_), Some(to_gate), Some(to_down)], Some(next)) = (layouts, next) else {
                return Ok(None);
            };
            first.get_or_insert(qkv);
            fused.push(FusedLayer {
                qkv: compiled.qkv(gpu, &layer.qkv, kv, config)?,
                attention_out: compiled.add(gpu, attention_out, to_gate)?,
                gate_up: compiled.swiglu(gpu, gate_up, to_down, config.epsilon)?,
                down: compiled.add(gpu, down, next)?,
            });
        }
        let first = QuantizeRow::new(gpu, first.unwrap_or(head_layout))?;
        let head = compiled.projection(gpu, head, config.epsilon)?;
        Ok(Some(Self { first, layers: fused, head }))
    }
}

impl Model {
    /// Runs one token, whose row stands in the stream, through all layers.
    pub(super) fn record_fused(
        &self,
        recorder: &mut Recorder,
        fused: &FusedDecode,
        cache: &KvCache,
        step: Step,
    ) -> Result<()> {
        let (gpu, s, config) = (&self.gpu, &self.scratch, &self.config);
        if let Some(layer) = self.layers.first() {
            self.norm_first_rows(recorder, layer, 1)?;
            let row = s.normed.rounded(fused.first.layout())?;
            fused.first.record(gpu, recorder, (&s.normed.floats, row), config.hidden_size)?;
        }
        for (index, (layer, kernels)) in self.layers.iter().zip(&fused.layers).enumerate() {
            let next = self.layers.get(index + 1);
            let (next_norm, next_reader) =
                next.map_or((&self.norm, self.head()), |next| (&next.attention_norm, &next.qkv));
            match &kernels.qkv {
                Qkv::Stored(kernel) => {
                    let args = MatvecRopeAndStoreArgs {
                        row: s.normed.rounded_for(&layer.qkv)?,
                        matrix: layer.qkv.matrix()?,
                        turns: &s.turns,
                        queries: &s.queries,
                        cache: &cache.layers[index].tokens,
                        position: step.start,
                    };
                    kernel.record(gpu, recorder, &args)?;
                }
                Qkv::Separate(kernels) => {
                    let row = s.normed.rounded_for(&layer.qkv)?;
                    project(gpu, recorder, (kernels, &layer.qkv), row, (&s.qkv, 1.0))?;
                    self.rope_and_store(recorder, &cache.layers[index], step)?;
                }
            }
            self.attend(recorder, &cache.layers[index], (index, step), s.attended.target(&layer.attention_out, 1)?)?;
            let add = |recorder: &mut Recorder, kernel: &MatvecAdd, row, (matrix, norm, out), scale| {
                kernel.record(gpu, recorder, &MatvecAddArgs { row, matrix, stream: &s.stream, norm, out, scale })
            };
            let attended = s.attended.rounded_for(&layer.attention_out)?;
            let to_gate = s.normed.rounded_for(&layer.gate_up)?;
            let out = (layer.attention_out.matrix()?, &layer.feed_forward_norm, to_gate);
            add(recorder, &kernels.attention_out, attended, out, config.residual_scale)?;
            let activated = s.activated.rounded_for(&layer.down)?;
            kernels.gate_up.record(gpu, recorder, to_gate, (layer.gate_up.matrix()?, activated))?;
            let out = (layer.down.matrix()?, next_norm, s.normed.rounded_for(next_reader)?);
            add(recorder, &kernels.down, activated, out, config.residual_scale / swiglu::SCALE)?;
        }
        Ok(())
    }

    /// After [`Model::record_fused`]: the logits.
    pub(super) fn record_fused_logits(&self, recorder: &mut Recorder, fused: &FusedDecode) -> Result<()> {
        let row = self.scratch.normed.rounded_for(self.head())?;
        let out = (&self.scratch.logits, self.config.logit_scale);
        project(&self.gpu, recorder, (&fused.head, self.head()), row, out)
    }
}

fn project(
    gpu: &Gpu,
    recorder: &mut Recorder,
    (kernels, linear): (&Projection, &Linear),
    row: &RoundedRow,
    (out, scale): (&Tensor, f32),
) -> Result<()> {
    let mut first_out = 0;
    for (kernel, matrix) in kernels.iter().zip(linear.matrices()) {
        kernel.record(gpu, recorder, row, (matrix, out), (first_out, scale))?;
        first_out += matrix.rows;
    }
    Ok(())
}
