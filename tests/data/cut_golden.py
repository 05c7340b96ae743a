#!/usr/bin/env python3
"""Cuts outputs of the official CUDA kernels down to one KV head and few rows, so that they can live in the repository.

    python3 cut_golden.py IN.safetensors OUT.safetensors ROWS

Keeps KV head 0 with its query heads and ROWS of the stored rows, evenly spread with the first and the last. Numbers are copied as
they are. Keys, values and compressed keys stay whole: the selection and the dense output read all of them.
"""

import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

source, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with safe_open(source, "pt") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
stored, kv_heads = len(tensors["rows"]), tensors["k"].shape[1]
group = tensors["q"].shape[1] // kv_heads
kept = [round(i * (stored - 1) / (count - 1)) for i in range(count)]

cut = {}
for name, tensor in tensors.items():
    if name == "rows":
        tensor = tensor[kept]
    elif name in ("k", "v", "k1", "k2"):
        tensor = tensor[:, :1]
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
save_file(cut, target)
print(f"{target}: rows {cut['rows'].tolist()}, {target.stat().st_size >> 10} KiB")
