//! Every op on a device against its CPU twin, on random data. `foveal selfcheck` runs a few cases of the sizes of real models
//! on the user's own driver; the tests run the same checks on many odd sizes.
//!
//! One file per op, same name, with a function `check` that runs one case. Outputs are poisoned first, so that what a kernel
//! leaves out shows; unused parts of inputs are filled with large numbers, so that what it must not read shows too.

pub mod add_rms_norm;
pub mod argmax;
pub mod attend_dense;
pub mod attend_sparse;
pub mod compress_keys;
pub mod copy;
mod data;
pub mod embed;
pub mod log_probs;
pub mod matmul;
pub mod matvec;
pub mod matvec_add;
pub mod matvec_normed;
pub mod matvec_rope_and_store;
pub mod matvec_swiglu;
pub mod quantize_row;
pub mod rms_norm;
pub mod rope_and_store;
mod rounded;
pub mod score_blocks;
pub mod select_blocks;
mod sparse_layer;
pub mod swiglu;
pub mod tile_cache;
pub mod top_logits;

use std::collections::BTreeSet;

pub use data::{Random, poisoned, random_matrix, read_f32, recorder, upload_cache, upload_f16, upload_f32};

use crate::error::{Error, Result};
use crate::gpu::{Feature, Gpu, GpuOptions};
use crate::ops::{CacheFormat, HeadShape, MatvecForm, RowLayout};
use crate::sparse_settings::{ScoreType, SparseSettings};
use crate::weights::Format;

/// How far a result is from its twin's.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The largest absolute difference.
    pub error: f32,
    /// The largest difference as a share of what is allowed at that place: at most 1 is right.
    pub share: f32,
    /// The place of that one, for people.
    pub worst: String,
}

impl Comparison {
    /// Compares floats: each may differ by `absolute + relative * |expected|`.
    pub fn of(what: &str, got: &[f32], expected: &[f32], (absolute, relative): (f32, f32)) -> Result<Self> {
        if got.len() != expected.len() {
            return Err(Error::shape(what, format!("{} values", expected.len()), got.len()));
        }
        let mut comparison = Self { error: 0.0, share: 0.0, worst: format!("{what}: no difference") };
        for (i, (g, e)) in got.iter().zip(expected).enumerate() {
            let gap = if g.is_finite() { (g - e).abs() } else { f32::INFINITY };
            let share = gap / (absolute + relative * e.abs());
            comparison.error = comparison.error.max(gap);
            if share > comparison.share {
                comparison.share = share;
                comparison.worst = format!("{what}: [{i}] is {g}, expected {e}");
            }
        }
        Ok(comparison)
    }

    /// Compares things of which only equality makes sense.
    pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &[T], expected: &[T]) -> Self {
        if got == expected {
            return Self { error: 0.0, share: 0.0, worst: format!("{what}: no difference") };
        }
        let place = got.iter().zip(expected).position(|(g, e)| g != e).unwrap_or(got.len().min(expected.len()));
        let worst = format!("{what}: [{place}] is {:?}, expected {:?}", got.get(place), expected.get(place));
        Self { error: f32::INFINITY, share: f32::INFINITY, worst }
    }

    /// The worse of two.
    pub fn and(self, other: Self) -> Self {
        let error = self.error.max(other.error);
        let worse = if other.share > self.share { other } else { self };
        Self { error, ..worse }
    }

    /// Whether everything is within its tolerance.
    pub fn is_right(&self) -> bool {
        self.share <= 1.0
    }
}

type Check = Box<dyn Fn(&Gpu) -> Result<Comparison>>;

/// One check of one op.
pub struct Case {
    /// The op.
    pub op: &'static str,
    /// Sizes and formats.
    pub what: String,
    check: Check,
}

impl Case {
    fn new(op: &'static str, what: String, check: impl Fn(&Gpu) -> Result<Comparison> + 'static) -> Self {
        Self { op, what, check: Box::new(check) }
    }

    /// Runs it; an error of the driver counts as one of the check.
    pub fn run(&self, gpu: &Gpu) -> Result<Comparison> {
        let comparison = (self.check)(gpu)?;
        gpu.check()?;
        Ok(comparison)
    }
}

/// The device with all it offers but `without`, and once more without each optional ability that changes kernels. 16-bit floats
/// do so for cooperative matrices alone, so they go with those, or with what a processor has in their place.
pub fn variants(options: &GpuOptions) -> Result<Vec<(String, Gpu)>> {
    let gpu = Gpu::open(options)?;
    let features = gpu.features.clone();
    let mut gpus = vec![(format!("{features}"), gpu)];
    let less: [(bool, &[Feature]); 5] = [
        (features.subgroup, &[Feature::Subgroup]),
        (features.coop.is_some(), &[Feature::F16]),
        (features.coop.is_some(), &[Feature::Coop]),
        (features.int8, &[Feature::Int8]),
        (features.processor.is_some(), &[Feature::Processor, Feature::F16]),
    ];
    for (_, gone) in less.into_iter().filter(|(present, _)| *present) {
        let names: Vec<_> = gone.iter().map(|feature| feature.name()).collect();
        let without: BTreeSet<_> = options.without.iter().chain(gone).copied().collect();
        let gpu = Gpu::open(&GpuOptions { without, ..options.clone() })?;
        gpus.push((format!("without {}", names.join(" and ")), gpu));
    }
    Ok(gpus)
}

/// Every op at the sizes of the models that foveal is for.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("rms_norm", "5 x 4096".into(), |gpu| rms_norm::check(gpu, (5, 4096), 0)),
        Case::new("add_rms_norm", "5 x 4096".into(), |gpu| add_rms_norm::check(gpu, (5, 4096), 1, None)),
        Case::new("swiglu", "3 x 16384".into(), |gpu| swiglu::check(gpu, (3, 16_384), None)),
        Case::new("copy", "70001 words".into(), |gpu| copy::check(gpu, 70_001)),
        Case::new("argmax", "73448 logits".into(), |gpu| argmax::check(gpu, 73_448)),
        Case::new("top_logits", "73448 logits".into(), |gpu| top_logits::check(gpu, 73_448)),
        Case::new("log_probs", "3 x 73448".into(), |gpu| log_probs::check(gpu, (3, 73_448), 0)),
    ];
    for layout in RowLayout::ALL {
        let what = format!("1 x 4096 and integers by {}", layout.chunk);
        cases.extend([
            Case::new("add_rms_norm", what.clone(), move |gpu| add_rms_norm::check(gpu, (1, 4096), 1, Some(layout))),
            Case::new("swiglu", what, move |gpu| swiglu::check(gpu, (1, 4096), Some(layout))),
            Case::new("quantize_row", format!("4096 by {}", layout.chunk), move |gpu| {
                quantize_row::check(gpu, 4096, layout)
            }),
        ]);
    }
    let q4 = Format::Affine { bits: 4, group: 32 };
    for format in [Format::F16, q4, Format::Affine { bits: 8, group: 64 }, Format::Affine { bits: 4, group: 128 }] {
        cases.extend([
            Case::new("embed", format!("{format}, 300 x 1024"), move |gpu| embed::check(gpu, (300, 1024, 128), format)),
            // The form that every device has, and the one that decoding takes on this one.
            Case::new("matvec", format!("{format}, 130 x 4096"), move |gpu| {
                matvec::check(gpu, (130, 4096, 1000), format, MatvecForm::Narrow)
            }),
            Case::new("matvec", format!("{format}, 130 x 4096, as decoding"), move |gpu| {
                matvec::check(gpu, (130, 4096, 1000), format, MatvecForm::for_device(gpu, format))
            }),
        ]);
        // Cooperative matrices take whole tiles of rows only; others go to the plain kernel.
        for rows in [131, 256] {
            cases.push(Case::new("matmul", format!("{format}, 67 x {rows} x 2048"), move |gpu| {
                matmul::check(gpu, 67, (rows, 2048, 1000), format, false)
            }));
        }
    }
    for format in [q4, Format::Affine { bits: 8, group: 64 }] {
        let what = format!("{format}, 128 x 4096");
        let heads = HeadShape { heads: 8, kv_heads: 2, head_dim: 128 };
        for out in RowLayout::ALL {
            let what = format!("{what}, by {}", out.chunk);
            cases.extend([
                Case::new("matvec_swiglu", what.clone(), move |gpu| {
                    matvec_swiglu::check(gpu, (128, 4096), format, out)
                }),
                Case::new("matvec_add", what, move |gpu| matvec_add::check(gpu, (128, 4096), format, out)),
            ]);
        }
        cases.extend([
            Case::new("matvec_normed", what, move |gpu| matvec_normed::check(gpu, (130, 4096, 1000), format)),
            Case::new("matvec_rope_and_store", format!("{format}, 8 heads of 128 from 4096"), move |gpu| {
                matvec_rope_and_store::check(gpu, heads, (4096, format), 70)
            }),
            Case::new("matmul", format!("{format}, 67 x 131 x 2048 in integers"), move |gpu| {
                matmul::check(gpu, 67, (131, 2048, 1000), format, true)
            }),
        ]);
    }
    let shapes = [(8, 2, 64), (16, 2, 64), (32, 2, 128), (6, 2, 96), (4, 1, 32)];
    for heads in shapes.map(|(heads, kv_heads, head_dim)| HeadShape { heads, kv_heads, head_dim }) {
        let HeadShape { heads: count, kv_heads, head_dim } = heads;
        for cache in CacheFormat::ALL {
            let what = format!("{count} heads of {head_dim}, {kv_heads} KV in {cache}");
            cases.extend([
                Case::new("rope_and_store", what.clone(), move |gpu| rope_and_store::check(gpu, heads, cache, (7, 9))),
                Case::new("tile_cache", what.clone(), move |gpu| tile_cache::check(gpu, heads, cache, (171, 16))),
                Case::new("attend_dense", format!("{what}, prefill"), move |gpu| {
                    attend_dense::check(gpu, heads, cache, (131, 40), false)
                }),
                Case::new("attend_dense", format!("{what}, decode"), move |gpu| {
                    attend_dense::check(gpu, heads, cache, (3000, 1), true)
                }),
            ]);
        }
    }
    // The published settings, at positions that leave blocks out.
    let settings = SparseSettings::MINICPM4_1;
    for heads in [(32, 2, 128), (16, 2, 64)].map(|(heads, kv_heads, head_dim)| HeadShape { heads, kv_heads, head_dim })
    {
        let what = format!("{} heads of {}, {} KV", heads.heads, heads.head_dim, heads.kv_heads);
        cases.extend([Case::new("select_blocks", what.clone(), move |gpu| {
            select_blocks::check(gpu, heads, settings, (20_000, 3))
        })]);
        // More tokens than a workgroup takes, across the end of a block; and where the first blocks are left out.
        let steps =
            [("prefill", (6390, 21), false), ("prefill at 6140", (6140, 9), false), ("decode", (7000, 1), true)];
        for (kind, step, decode) in steps {
            let what = format!("{what}, {kind}");
            cases.extend([Case::new("score_blocks", what.clone(), move |gpu| {
                score_blocks::check(gpu, heads, settings, step, decode)
            })]);
            for cache in CacheFormat::ALL {
                cases.push(Case::new("attend_sparse", format!("{what} in {cache}"), move |gpu| {
                    attend_sparse::check(gpu, heads, (settings, cache), step, decode)
                }));
            }
        }
        for cache in CacheFormat::ALL {
            for (score_type, rounded) in [(ScoreType::F32, ""), (ScoreType::Bf16, ", bf16")] {
                let settings = SparseSettings { score_type, ..settings };
                cases.push(Case::new("compress_keys", format!("{what} in {cache}{rounded}"), move |gpu| {
                    compress_keys::check(gpu, heads, (settings, cache), 1000)
                }));
            }
        }
    }
    cases.sort_by_key(|case| case.op);
    cases
}
