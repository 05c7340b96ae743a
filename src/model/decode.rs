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

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use super::config::ModelConfig;
use super::forward::{Layer, Model, Step};
use super::linear::Linear;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor, compiled};
use crate::kv_cache::KvCache;
use crate::ops::matvec_add::{MatvecAdd, MatvecAddArgs};
use crate::ops::matvec_rope_and_store::{MatvecRopeAndStore, MatvecRopeAndStoreArgs};
use crate::ops::{
    CacheFormat, Matrix, MatvecNormed, MatvecSwiglu, OUTPUTS, QuantizeRow, RoundedRow, RowLayout, swiglu,
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

/// Width and format of the weights that a kernel reads.
type Weights = (usize, Format);

/// Which kernels a model needs, before any is compiled.
struct Plan {
    first: RowLayout,
    layers: Vec<PlannedLayer>,
    head: Vec<Weights>,
}

struct PlannedLayer {
    qkv: PlannedQkv,
    attention_out: (Weights, RowLayout),
    gate_up: (Weights, RowLayout),
    down: (Weights, RowLayout),
}

enum PlannedQkv {
    Stored(Weights),
    Separate(Vec<Weights>),
}

fn weights(matrix: &Matrix) -> Weights {
    (matrix.cols, matrix.format)
}

fn parts(linear: &Linear) -> Vec<Weights> {
    linear.matrices().map(weights).collect()
}

impl Plan {
    /// `None` where the weights do not allow it.
    fn new(config: &ModelConfig, kv: CacheFormat, layers: &[Layer], head: &Linear) -> Option<Self> {
        let widths = [config.hidden_size, config.intermediate_size, config.heads.head_dim];
        let head_layout = layout(head)?;
        if widths.iter().any(|width| !width.is_multiple_of(OUTPUTS)) {
            return None;
        }
        let mut planned = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            // Every part must read integers, also the one that attention writes for.
            layout(&layer.qkv)?;
            layout(&layer.attention_out)?;
            let next = layers.get(index + 1).map_or(Some(head_layout), |next| layout(&next.qkv))?;
            planned.push(PlannedLayer {
                qkv: match single(&layer.qkv) {
                    Some(matrix) if kv == CacheFormat::F16 => PlannedQkv::Stored(weights(matrix)),
                    _ => PlannedQkv::Separate(parts(&layer.qkv)),
                },
                attention_out: (weights(single(&layer.attention_out)?), layout(&layer.gate_up)?),
                gate_up: (weights(single(&layer.gate_up)?), layout(&layer.down)?),
                down: (weights(single(&layer.down)?), next),
            });
        }
        let first = layers.first().and_then(|layer| layout(&layer.qkv)).unwrap_or(head_layout);
        Some(Self { first, layers: planned, head: parts(head) })
    }

    fn stored(&self) -> impl Iterator<Item = Weights> {
        self.layers.iter().filter_map(|layer| match layer.qkv {
            PlannedQkv::Stored(weights) => Some(weights),
            PlannedQkv::Separate(_) => None,
        })
    }

    fn normed(&self) -> impl Iterator<Item = Weights> {
        let separate = self.layers.iter().filter_map(|layer| match &layer.qkv {
            PlannedQkv::Stored(_) => None,
            PlannedQkv::Separate(parts) => Some(parts),
        });
        separate.flatten().chain(&self.head).copied()
    }
}

/// Kernels by what they are planned for, each once.
type Table<K, V> = HashMap<K, Arc<V>>;
type Threads<'scope, K, V> = HashMap<K, ScopedJoinHandle<'scope, Result<V>>>;

/// Starts a thread for each kernel: compilers take one kernel a thread.
fn compile_each<'scope, K: Copy + Eq + Hash + Send + 'scope, V: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    wanted: impl Iterator<Item = K>,
    make: impl Fn(K) -> Result<V> + Copy + Send + 'scope,
) -> Threads<'scope, K, V> {
    let wanted: HashSet<K> = wanted.collect();
    wanted.into_iter().map(|key| (key, scope.spawn(move || make(key)))).collect()
}

fn finished<K: Eq + Hash, V>(threads: Threads<'_, K, V>) -> Result<Table<K, V>> {
    threads.into_iter().map(|(key, thread)| Ok((key, Arc::new(compiled(thread)?)))).collect()
}

fn of<K: Eq + Hash, V>(table: &Table<K, V>, key: &K) -> Result<Arc<V>> {
    table.get(key).cloned().ok_or_else(|| Error::shape("fused step", "a compiled kernel", "none"))
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
        let Some(plan) = Plan::new(config, kv, layers, head) else { return Ok(None) };
        let (heads, epsilon) = (config.heads, config.epsilon);
        let (first, stored, normed, swiglu, add) = std::thread::scope(|scope| {
            let first = scope.spawn(|| QuantizeRow::new(gpu, plan.first));
            let adding = plan.layers.iter().flat_map(|layer| [layer.attention_out, layer.down]);
            let gates = plan.layers.iter().map(|layer| layer.gate_up);
            let stored =
                compile_each(scope, plan.stored(), move |key| MatvecRopeAndStore::new(gpu, key, heads, epsilon));
            let normed = compile_each(scope, plan.normed(), move |key| MatvecNormed::new(gpu, key, epsilon));
            let swiglu = compile_each(scope, gates, move |(key, out)| MatvecSwiglu::new(gpu, key, out, epsilon));
            let add = compile_each(scope, adding, move |(key, out)| MatvecAdd::new(gpu, key, out));
            let (stored, normed) = (finished(stored)?, finished(normed)?);
            Ok::<_, Error>((compiled(first)?, stored, normed, finished(swiglu)?, finished(add)?))
        })?;
        let projection = |parts: &[Weights]| parts.iter().map(|part| of(&normed, part)).collect::<Result<Projection>>();
        let fused = |layer: &PlannedLayer| {
            Ok(FusedLayer {
                qkv: match &layer.qkv {
                    PlannedQkv::Stored(weights) => Qkv::Stored(of(&stored, weights)?),
                    PlannedQkv::Separate(parts) => Qkv::Separate(projection(parts)?),
                },
                attention_out: of(&add, &layer.attention_out)?,
                gate_up: of(&swiglu, &layer.gate_up)?,
                down: of(&add, &layer.down)?,
            })
        };
        Ok(Some(Self {
            first,
            layers: plan.layers.iter().map(fused).collect::<Result<_>>()?,
            head: projection(&plan.head)?,
        }))
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
