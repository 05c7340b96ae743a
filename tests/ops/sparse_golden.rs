//! The chain against outputs of the official CUDA kernels, and against vectors of a NumPy reference in float64.
//!
//! tests/data/README.md describes the files. FOVEAL_GOLDEN names another folder of golden files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use foveal::block_marks::BlockMarks;
use foveal::reference::{self, NO_BLOCK};
use foveal::sparse_settings::{HeadShape, Lse, ScoreType, SparseSettings, Variant};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::sparse_chain::{Case, Chain};
use crate::harness::{close, on_each_gpu, read_f32, recorder};

/// One tensor as f32, whatever it is stored as.
fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = file.tensor(name).unwrap();
    let halves = view.data().chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match view.dtype() {
        Dtype::F32 => view.data().chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => halves.map(|v| f16::from_bits(v).to_f32()).collect(),
        Dtype::BF16 => halves.map(|v| bf16::from_bits(v).to_f32()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}

fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let view = file.tensor(name).unwrap();
    match view.dtype() {
        Dtype::I32 => view.data().chunks(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect(),
        Dtype::I64 => view.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect(),
        other => panic!("{name} is {other:?}"),
    }
}

fn shape(file: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    file.tensor(name).unwrap().shape().to_vec()
}

/// From (tokens, heads, dim) to (heads, capacity, dim).
fn cache(data: &[f32], heads: usize, dim: usize, capacity: usize) -> Vec<f32> {
    cache_of(0..capacity, data, heads, dim, (capacity, 0.0))
}

/// The same where `data` has only some `tokens`, with `filling` in the places of the others.
fn cache_of(
    tokens: impl IntoIterator<Item = usize>,
    data: &[f32],
    heads: usize,
    dim: usize,
    (capacity, filling): (usize, f32),
) -> Vec<f32> {
    let mut out = vec![filling; heads * capacity * dim];
    for (token, rows) in tokens.into_iter().zip(data.chunks(heads * dim)) {
        for (head, values) in rows.chunks(dim).enumerate() {
            let at = (head * capacity + token) * dim;
            out[at..at + dim].copy_from_slice(values);
        }
    }
    out
}

/// |a - b| over |b|, rows as vectors.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    let difference: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f32>()).sqrt()
}

/// Blocks of both over blocks of either.
pub(crate) fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let of = |ids: &[u32]| ids.iter().copied().filter(|id| *id != NO_BLOCK).collect::<BTreeSet<_>>();
    let (a, b) = (of(a), of(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

/// Lists of `width` ids without the blocks after the query's own, padded to the budget.
fn official(ids: &[i64], positions: &[usize], kv_heads: usize, settings: &SparseSettings) -> Vec<u32> {
    let (rows, budget) = (positions.len(), settings.budget());
    let width = ids.len() / (rows * kv_heads);
    let mut out = Vec::new();
    for (row, position) in positions.iter().enumerate() {
        let last = (position / settings.block_size) as i64;
        for head in 0..kv_heads {
            let list = &ids[(head * rows + row) * width..][..width];
            let kept: Vec<u32> = list.iter().filter(|id| (0..=last).contains(*id)).map(|id| *id as u32).collect();
            out.extend_from_slice(&kept);
            out.extend(std::iter::repeat_n(NO_BLOCK, budget - kept.len()));
        }
    }
    out
}

fn golden_files() -> Vec<PathBuf> {
    let folder = std::env::var_os("FOVEAL_GOLDEN")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden")), PathBuf::from);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
    files.sort();
    assert!(!files.is_empty(), "no .safetensors files in {}", folder.display());
    files
}

#[test]
fn agrees_with_the_official_kernels() {
    for path in golden_files() {
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        on_each_gpu(|gpu| {
            let name = path.file_name().unwrap().to_string_lossy();
            let meta: Vec<usize> = integers(&file, "meta").into_iter().map(|v| v as usize).collect();
            let (length, window_size) = (meta[0], meta[1]);
            let (heads, kv_heads, head_dim) = (shape(&file, "q")[1], shape(&file, "k")[1], shape(&file, "k")[2]);
            let settings =
                SparseSettings { window_size, topk: meta[2] - window_size / 64, ..SparseSettings::MINICPM4_1 };
            let head_shape = HeadShape::new(heads, kv_heads, head_dim).unwrap();
            let mut case = Case::new(head_shape, settings.checked().unwrap(), length, 1);
            // Cut files hold keys and values of some blocks only; nothing may read the others.
            let block = settings.block_size;
            let blocks: Vec<usize> = match file.tensor("blocks") {
                Ok(_) => integers(&file, "blocks").into_iter().map(|id| id as usize).collect(),
                Err(_) => (0..length.div_ceil(block)).collect(),
            };
            let stored: Vec<usize> = blocks.iter().flat_map(|id| id * block..((id + 1) * block).min(length)).collect();
            assert_eq!(stored.len(), shape(&file, "k")[0]);
            let held = |name: &str| {
                let data = floats(&file, name);
                cache_of(stored.iter().copied(), &data, kv_heads, head_dim, (case.capacity, 30_000.0))
            };
            (case.keys, case.values) = (held("k"), held("v"));
            let whole = stored.len() == length;
            let holds = |ids: &[u32]| whole || ids.iter().all(|id| *id == NO_BLOCK || blocks.contains(&(*id as usize)));
            // Only some rows have queries; the others keep random ones, which concern nobody.
            let rows: Vec<usize> = integers(&file, "rows").into_iter().map(|v| v as usize).collect();
            let row = heads * head_dim;
            for (q, position) in floats(&file, "q").chunks(row).zip(&rows) {
                case.q[position * row..][..row].copy_from_slice(q);
            }

            let chain = Chain::new(gpu, &case);
            let recorder = &mut recorder(gpu);
            chain.compress(recorder, 0, length);
            for (name, tensor, stride) in
                [("k1", &chain.fine, settings.kernel_stride), ("k2", &chain.coarse, settings.block_size)]
            {
                let (windows, slots) = (shape(&file, name)[0], tensor.shape[1]);
                let expected = cache_of(0..windows, &floats(&file, name), kv_heads, head_dim, (slots, 0.0));
                let got = read_f32(gpu, recorder, tensor);
                let is_held =
                    |window: &usize| (window * stride..(window + 2) * stride).all(|t| blocks.contains(&(t / block)));
                let held: Vec<usize> = (0..windows).filter(is_held).collect();
                assert!(held.len() >= 10, "{name} has {} windows to compare", held.len());
                for row in held.iter().flat_map(|window| (0..kv_heads).map(move |head| head * slots + window)) {
                    let place = row * head_dim..(row + 1) * head_dim;
                    close(name, &got[place.clone()], &expected[place], 4e-3, 0.0);
                }
                if !whole {
                    let halves: Vec<f16> = expected.into_iter().map(f16::from_f32).collect();
                    gpu.write(tensor, 0, &halves).unwrap();
                }
            }

            let theirs = official(&integers(&file, "topk_idx"), &rows, kv_heads, &settings);
            let per_token = kv_heads * settings.budget();
            let steps: Vec<_> =
                rows.iter().map(|position| chain.select_and_attend(recorder, *position, 1, false)).collect();
            let own: Vec<u32> = steps.iter().flat_map(|(ids, _)| ids).copied().collect();
            let overlaps: Vec<f64> = own
                .chunks(settings.budget())
                .zip(theirs.chunks(settings.budget()))
                .map(|(a, b)| jaccard(a, b))
                .collect();
            let mean = overlaps.iter().sum::<f64>() / overlaps.len() as f64;
            let worst = overlaps.iter().copied().fold(1.0, f64::min);
            eprintln!("{name}: Jaccard {mean:.4} on average, {worst:.4} at worst");
            assert!(mean >= 0.97, "{name}: {mean}");
            assert!(worst >= 0.8, "{name}: {worst}");

            // The official selection, each row as a decode step and all in the prefill kernel.
            let expected = floats(&file, "out_sparse");
            let mut attended = 0;
            for (i, position) in rows.iter().enumerate() {
                let list = &theirs[i * per_token..][..per_token];
                if !holds(list) {
                    continue;
                }
                attended += 1;
                for decode in [false, true] {
                    let got = chain.attend(recorder, *position, list, decode);
                    for (head, (got, expected)) in
                        got.chunks(head_dim).zip(expected[i * row..].chunks(head_dim)).enumerate()
                    {
                        let error = relative(got, expected);
                        assert!(error <= 4e-3, "{name}: position {position}, head {head}: {error}");
                    }
                }
                let (ids, out) = &steps[i];
                if holds(ids) {
                    close("own selection", out, &case.attended(*position, 1, ids), 2e-3, 2e-3);
                }
            }
            assert!(attended == rows.len() || !whole && attended >= 5, "{name}: {attended} rows");

            // Decode of the last token, whose query is the last row.
            assert_eq!(rows.last(), Some(&(length - 1)));
            let theirs = official(&integers(&file, "dec_topk_idx"), &[length - 1], kv_heads, &settings);
            let (own, _) = chain.select_and_attend(recorder, length - 1, 1, true);
            let lists = || own.chunks(settings.budget()).zip(theirs.chunks(settings.budget()));
            for (own, theirs) in lists() {
                assert!(jaccard(own, theirs) >= 0.8, "{name}, decode: {own:?} {theirs:?}");
            }
            let mean = lists().map(|(own, theirs)| jaccard(own, theirs)).sum::<f64>() / lists().count() as f64;
            eprintln!("{name}, decode: Jaccard {mean:.4} on average");
            assert!(mean >= 0.97, "{name}, decode: {mean}");
            let got = chain.attend(recorder, length - 1, &theirs, true);
            let expected = floats(&file, "dec_out");
            for (got, expected) in got.chunks(head_dim).zip(expected.chunks(head_dim)) {
                assert!(relative(got, expected) <= 4e-3, "{name}, decode: {}", relative(got, expected));
            }
        });
    }
}

#[test]
fn twins_agree_with_the_float64_reference() {
    assert!(on_each_reference_run(check_twins) >= 40);
}

#[test]
fn device_agrees_with_the_float64_reference() {
    assert!(on_each_reference_run(check_device) >= 40);
}

/// Calls `check` with the file, "CASE.RUN", the shape of heads, the settings and the number of tokens of every run; says
/// how many there were.
fn on_each_reference_run(check: impl Fn(&SafeTensors<'_>, &str, HeadShape, SparseSettings, usize)) -> usize {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sparse_cases.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let text = &header.metadata().as_ref().unwrap()["cases"];
    let cases: serde_json::Value = serde_json::from_str(text).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut runs = 0;
    for described in cases.as_array().unwrap() {
        let name = described["name"].as_str().unwrap();
        let number = |field: &str| described[field].as_u64().unwrap() as usize;
        let shape = HeadShape { heads: number("heads"), kv_heads: number("kv_heads"), head_dim: number("head_dim") };
        for run in described["runs"].as_array().unwrap() {
            let settings = SparseSettings {
                kernel_size: number("kernel_size"),
                kernel_stride: number("kernel_stride"),
                block_size: number("block_size"),
                init_blocks: number("init_blocks"),
                window_size: number("window_size"),
                topk: number("topk"),
                variant: if run["variant"] == "4.1" { Variant::Local33 } else { Variant::Local32 },
                lse: if run["lse"] == "coarse" { Lse::Coarse } else { Lse::Exact },
                score_type: ScoreType::F32,
            };
            let settings = settings.checked().unwrap();
            let run = format!("{name}.{}", run["name"].as_str().unwrap());
            check(&file, &run, shape, settings, number("tokens"));
            runs += 1;
        }
    }
    runs
}

fn check_twins(file: &SafeTensors<'_>, run: &str, shape: HeadShape, settings: SparseSettings, length: usize) {
    let name = run.split('.').next().unwrap();
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let capacity = length.next_multiple_of(64);
    let keys = cache(&floats(file, &format!("{name}.k")), kv_heads, head_dim, capacity);
    let values = cache(&floats(file, &format!("{name}.v")), kv_heads, head_dim, capacity);
    let compressed = |stride: usize, field: &str| {
        let got = reference::compress_keys(&keys, kv_heads, capacity, head_dim, length, stride);
        let expected = cache(&floats(file, &format!("{name}.{field}")), kv_heads, head_dim, capacity / stride);
        close(field, &got, &expected, 1e-5, 1e-5);
        got
    };
    let fine = compressed(settings.kernel_stride, "fine");
    let coarse = compressed(settings.block_size, "coarse");
    let scores = floats(file, &format!("{run}.scores"));
    let selected = integers(file, &format!("{run}.selected"));
    let out = floats(file, &format!("{run}.out_sparse"));
    let q = floats(file, &format!("{name}.q"));
    let rows: Vec<usize> = integers(file, &format!("{name}.rows")).into_iter().map(|v| v as usize).collect();
    let expected_ids = official(&selected, &rows, kv_heads, &settings);
    let (row, per_token) = (heads * head_dim, kv_heads * settings.budget());
    let (blocks, held) = (length.div_ceil(settings.block_size), capacity / settings.block_size);
    for (i, position) in rows.iter().copied().enumerate() {
        let q = &q[i * row..][..row];
        let got = reference::score_blocks(q, &fine, &coarse, &shape, &settings, capacity, position);
        if position >= settings.first_choice() {
            for head in 0..kv_heads {
                let free = settings.init_blocks..settings.free_end(position);
                let expected = &scores[(head * rows.len() + i) * blocks..][free.clone()];
                close("scores", &got[head * held..][free], expected, 1e-9, 1e-4);
            }
        }
        let ids = reference::select_blocks(&got, kv_heads, 1, &settings, position, &BlockMarks::default());
        assert_eq!(ids, expected_ids[i * per_token..][..per_token], "{run}, position {position}");
        let block = settings.block_size;
        let got = reference::attend_sparse(q, &keys, &values, &ids, &shape, block, capacity, position);
        close("out", &got, &out[i * row..][..row], 1e-5, 1e-4);
    }
}

/// Every row in the kernels of prefill and as a decode step.
fn check_device(file: &SafeTensors<'_>, run: &str, shape: HeadShape, settings: SparseSettings, length: usize) {
    let HeadShape { heads, kv_heads, head_dim } = shape;
    let name = run.split('.').next().unwrap();
    let mut case = Case::new(shape, settings, length, 1);
    let held = |field: &str| {
        let data = floats(file, &format!("{name}.{field}"));
        cache_of(0..length, &data, kv_heads, head_dim, (case.capacity, 30_000.0))
    };
    (case.keys, case.values) = (held("k"), held("v"));
    let rows: Vec<usize> = integers(file, &format!("{name}.rows")).into_iter().map(|v| v as usize).collect();
    let (row, per_token) = (heads * head_dim, kv_heads * settings.budget());
    for (q, position) in floats(file, &format!("{name}.q")).chunks(row).zip(&rows) {
        case.q[position * row..][..row].copy_from_slice(q);
    }
    let expected_ids = official(&integers(file, &format!("{run}.selected")), &rows, kv_heads, &settings);
    let expected = floats(file, &format!("{run}.out_sparse"));
    on_each_gpu(|gpu| {
        let (chain, recorder) = (Chain::new(gpu, &case), &mut recorder(gpu));
        let mut cached = 0;
        for (i, position) in rows.iter().copied().enumerate() {
            // The cache ends with this row: what it completes, its own step compresses.
            chain.compress(recorder, cached, position - cached);
            for decode in [false, true] {
                let (ids, out) = chain.step(recorder, position, 1, decode);
                assert_eq!(ids, expected_ids[i * per_token..][..per_token], "{run}, position {position}, {decode}");
                close(run, &out, &expected[i * row..][..row], 2e-3, 2e-3);
            }
            cached = position + 1;
        }
    });
}
