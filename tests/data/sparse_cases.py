#!/usr/bin/env python3
"""Writes sparse_cases.safetensors: small vectors for compress_keys, score_blocks, select_blocks and attend_sparse.

    python3 sparse_cases.py REFERENCE.py [OUT.safetensors]

REFERENCE.py is the project's NumPy (float64) reference of InfLLM-V2; it is read when the vectors are made and is not needed to test.
q, k and v are random f16 numbers (already rotated); everything expected was computed in float64 on those and stored as f32.

Metadata "cases": JSON, a list of
    {"name", "heads", "kv_heads", "head_dim", "tokens", "about", "runs": [{"name", "variant": "4.1"|"4.0", "lse": "coarse"|"exact"}],
     "kernel_size", "kernel_stride", "block_size", "init_blocks", "window_size", "topk"}
Tensors of the case NAME (heads H, KV heads G, dim d, tokens n, stored queries R, blocks B = ceil(n / block_size)):
    NAME.rows        i32 [R]        position of each stored query
    NAME.q           f16 [R, H, d]
    NAME.k, NAME.v   f16 [n, G, d]
    NAME.fine        f32 [F, G, d]  means over kernel_size keys every kernel_stride; F of all n tokens
    NAME.coarse      f32 [C, G, d]  the same with both times 4
    NAME.counts      i32 [R, 2]     how many fine and coarse keys exist when the cache ends with that query (= those it sees)
    NAME.out_dense   f32 [R, H, d]  attention over all keys up to the query
and of each of its runs, NAME.RUN:
    .scores          f32 [G, R, B]  block scores with the forced blocks as +inf. Blocks after the query's own, and in variant 4.0
                                    those of the local window (which are added afterwards), are -inf
    .selected        i32 [G, R, S]  selected block ids, ascending, then -1 up to the longest list
    .out_sparse      f32 [R, H, d]
A query's results depend on the keys up to itself only, so every row can be tested inside a prefill of n tokens, in chunks, and as a
decode step on the cache cut to rows[i] + 1 tokens. Where scores are not equal, the choice is clear by at least 0.4 % (the data are
drawn until it is so): compressed keys in f16 must still give the same blocks.
"""

import argparse
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

RUNS = [(variant, lse) for variant in ("4.1", "4.0") for lse in ("coarse", "exact")]
REFERENCE_VARIANT = {"4.1": "hf41", "4.0": "hf40"}
GEOMETRY = dict(kernel_size=32, kernel_stride=16, init_blocks=1, block_size=64, window_size=128, topk=3)
PUBLISHED = dict(kernel_size=32, kernel_stride=16, init_blocks=1, block_size=64, window_size=2048, topk=64)
SMALL = dict(kernel_size=8, kernel_stride=4, init_blocks=2, block_size=16, window_size=32, topk=4)

# The first query that leaves a block out is at 320 (5 blocks of 64 fit). 319, 383, 447...: last token of a block, which completes a
# fine and a coarse window at once; 64 * x: first token of a block; 702: tokens % 16 == 15 and % 64 == 63.
EDGES = [0, 15, 30, 31, 46, 47, 63, 64, 126, 127, 128, 190, 191, 192, 319, 320, 383, 384, 447, 448, 500, 511, 512, 639, 640, 702]
LATE = [319, 320, 383, 384, 400]


def cases():
    """name, about, heads, kv_heads, dim, tokens, rows, geometry, how the data are made."""
    yield "edges", "every edge of windows and blocks, group of 4", 8, 2, 32, 703, EDGES, GEOMETRY, "random"
    yield "group16", "16 heads share one KV head", 16, 1, 32, 385, [320, 383, 384], GEOMETRY, "random"
    yield "group1", "every head has its own KV head", 2, 2, 32, 385, [319, 320, 384], GEOMETRY, "random"
    yield "group8_dim64", "group and head_dim of the 0.5B model", 8, 1, 64, 330, [319, 320, 329], GEOMETRY, "random"
    yield "group6_dim96", "a group that is no power of two", 6, 1, 96, 324, [320, 323], GEOMETRY, "random"
    yield "group16_dim128", "group and head_dim of the 8B model", 16, 1, 128, 330, [329], GEOMETRY, "random"
    yield "small_blocks", "kernel 8/4, block 16, two init blocks", 4, 2, 32, 200, [0, 95, 96, 111, 112, 150, 199], SMALL, "random"
    yield "published", "the published settings, of which the query at 6144 is the first that leaves a block out", 2, 1, 32, 6160, [6143, 6144, 6159], PUBLISHED, "random"
    yield "ties", "all keys equal, so all scores are: the lower id wins", 4, 2, 32, 401, LATE, GEOMETRY, "equal"
    yield "huge", "products in the hundreds, block scores up to 1e30: exp needs its maximum taken off, in f32", 4, 1, 32, 401, LATE, GEOMETRY, "huge"


def draw(rng, kind, heads, kv_heads, dim, tokens, rows):
    """Keys of a stretch of 40 tokens have a direction in common, else all blocks would look alike."""
    topics = np.repeat(rng.standard_normal((tokens // 40 + 1, kv_heads, dim)), 40, axis=0)[:tokens]
    k = topics + 0.7 * rng.standard_normal((tokens, kv_heads, dim))
    q = 1.5 * rng.standard_normal((len(rows), heads, dim))
    if kind == "equal":
        k = np.broadcast_to(k[:1], k.shape)
    if kind == "huge":
        q, k = 4 * q, 4 * k
    v = rng.standard_normal((tokens, kv_heads, dim))
    return [np.ascontiguousarray(x).astype(np.float16) for x in (q, k, v)]


def margin(scores, budget):
    """Logarithm by which the choice is clear, looking past equal scores to the next different ones."""
    closest = np.inf
    for row in scores:
        ranked = np.sort(row)[::-1]
        if len(ranked) <= budget or not np.isfinite(ranked[[budget - 1, budget]]).all():
            continue
        last_in, first_out = ranked[budget - 1], ranked[budget]
        around = [ranked[ranked > last_in].min(initial=np.inf), last_in, first_out, ranked[ranked < first_out].max(initial=0)]
        pairs = [(around[1], around[2])] if last_in > first_out else [(around[0], around[1]), (around[1], around[3])]
        closest = min([closest] + [np.log(above / below) for above, below in pairs if below > 0])
    return closest


def compute(reference, q, k, v, rows, geometry):
    """Tensors of one case, and how clear its closest choice is."""
    base = reference.SparseConfig(**geometry, dense_len=0)
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    fine = reference.compress_keys(k, base.kernel_size, base.kernel_stride)
    coarse = reference.compress_keys(k, base.coarse_size, base.coarse_stride)
    blocks = -(-k.shape[0] // base.block_size)
    sizes = [(base.kernel_size, base.kernel_stride), (base.coarse_size, base.coarse_stride)]
    tensors = {
        "fine": fine,
        "coarse": coarse,
        "counts": np.array([[reference.num_compressed(p + 1, *size) for size in sizes] for p in rows]),
        "out_dense": np.stack([reference.dense_attention(q[i], k, v, p) for i, p in enumerate(rows)]),
    }
    closest = np.inf
    for variant, lse in RUNS:
        config = replace(base, variant=REFERENCE_VARIANT[variant], lse=lse)
        scores = np.full((k.shape[1], len(rows), blocks), -np.inf)
        selected, out = [], []
        for i, p in enumerate(rows):
            mine = reference.block_scores(reference.stage1_scores(q[i], p, fine, coarse, config), p, config)
            scores[:, i, : mine.shape[1]] = mine
            closest = min(closest, margin(mine, config.budget))
            selected.append(reference.select_blocks(mine, p, config))
            out.append(reference.sparse_attention(q[i], k, v, p, selected[-1], config))
        width = max(len(ids) for lists in selected for ids in lists)
        padded = [[lists[g] + [-1] * (width - len(lists[g])) for lists in selected] for g in range(k.shape[1])]
        run = f"{variant}_{lse}"
        tensors |= {f"{run}.scores": scores, f"{run}.selected": np.array(padded), f"{run}.out_sparse": np.stack(out)}
    return tensors, closest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).with_suffix(".safetensors"))
    arguments = parser.parse_args()
    spec = importlib.util.spec_from_file_location("reference", arguments.reference)
    reference = sys.modules["reference"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)

    stored, described = {}, []
    for name, about, heads, kv_heads, dim, tokens, rows, geometry, kind in cases():
        for seed in range(500):
            q, k, v = draw(np.random.default_rng(seed), kind, heads, kv_heads, dim, tokens, rows)
            tensors, closest = compute(reference, q, k, v, rows, geometry)
            if closest > 0.004:
                break
        else:
            raise SystemExit(f"{name}: no draw without a close choice")
        largest = max(np.abs(tensors[f"{variant}_{lse}.scores"][np.isfinite(tensors[f"{variant}_{lse}.scores"])]).max(initial=0) for variant, lse in RUNS)
        print(f"{name}: draw {seed}, closest choice {closest:.4f}, largest block score {largest:.3g}")
        described.append(
            dict(name=name, about=about, heads=heads, kv_heads=kv_heads, head_dim=dim, tokens=tokens, **geometry)
            | {"runs": [{"name": f"{variant}_{lse}", "variant": variant, "lse": lse} for variant, lse in RUNS]}
        )
        tensors |= {"q": q, "k": k, "v": v, "rows": np.array(rows)}
        for key, value in tensors.items():
            if value.dtype == np.float64:
                value = value.astype(np.float32)
            elif value.dtype != np.float16:
                value = value.astype(np.int32)
            stored[f"{name}.{key}"] = np.ascontiguousarray(value)
    save_file(stored, arguments.out, {"cases": json.dumps(described)})
    print(f"{arguments.out}: {arguments.out.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
