#!/usr/bin/env python3
"""Cuts outputs of the official CUDA kernels down to one KV head and few rows, so that they can live in the repository.

    python3 cut_golden.py IN.safetensors OUT.safetensors ROWS [--blocks-of-decode]

Keeps KV head 0 with its query heads and ROWS of the stored rows, evenly spread with the first and the last. Numbers are copied as
they are. Compressed keys stay whole: the selection reads all of them. Keys and values stay whole too, or, with --blocks-of-decode,
only in the blocks that the decode step of the last token reads. A tensor `blocks` then names those blocks, k and v have the rows of
their tokens one after the other, and the dense output, which nothing could be compared with, is left out.
"""

import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

source, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
few_blocks = sys.argv[4:] == ["--blocks-of-decode"]
with safe_open(source, "pt") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
stored, kv_heads = len(tensors["rows"]), tensors["k"].shape[1]
group = tensors["q"].shape[1] // kv_heads
kept = [round(i * (stored - 1) / (count - 1)) for i in range(count)]

BLOCK = 64
blocks = [int(b) for b in tensors["dec_topk_idx"][0, 0] if 0 <= b * BLOCK < len(tensors["k"])]
tokens = [t for b in blocks for t in range(b * BLOCK, min((b + 1) * BLOCK, len(tensors["k"])))]

cut = {}
for name, tensor in tensors.items():
    if name == "rows":
        tensor = tensor[kept]
    elif name in ("k", "v", "k1", "k2"):
        tensor = tensor[tokens, :1] if few_blocks and name in ("k", "v") else tensor[:, :1]
    elif name == "out_dense" and few_blocks:
        continue
    elif name in ("q", "out_sparse", "out_dense"):
        tensor = tensor[kept, :group]
    elif name == "dec_out":
        tensor = tensor[:, :group]
    elif name in ("stage1", "block_score", "topk_idx"):
        tensor = tensor[:1, kept]
    elif name.startswith("dec_"):
        tensor = tensor[:1]
    elif name != "meta":
        raise SystemExit(f"{source}: unknown tensor {name}")
    cut[name] = tensor.contiguous()
if few_blocks:
    cut["blocks"] = torch.tensor(blocks, dtype=torch.int32)
save_file(cut, target)
print(f"{target}: rows {cut['rows'].tolist()}, {target.stat().st_size >> 10} KiB")
