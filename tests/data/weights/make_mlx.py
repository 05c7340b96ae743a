"""Writes an MLX folder with MLX itself, and what MLX says its matrices are.

    pip install "mlx[cpu]==0.32.4" numpy safetensors
    python make_mlx.py
"""

import json
import pathlib

import mlx.core as mx
import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(4)

tensors, expected = {}, {}
settings = {"group_size": 64, "bits": 4, "mode": "affine"}
for bits in (4, 8):
    for group in (32, 64, 128):
        name = f"q{bits}_{group}"
        weights = mx.array(random.normal(0, 0.05, (4, 256)).astype(np.float32)).astype(mx.float16)
        quants, scales, biases = mx.quantize(weights, group_size=group, bits=bits)
        tensors |= {f"{name}.weight": quants, f"{name}.scales": scales, f"{name}.biases": biases}
        numbers = mx.dequantize(quants, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits)
        expected[name] = np.array(numbers)
        settings[name] = {"group_size": group, "bits": bits}
mx.save_safetensors(str(HERE / "mlx" / "model.safetensors"), tensors)
save_file(expected, HERE / "mlx_expected.safetensors")
(HERE / "mlx" / "config.json").write_text(json.dumps({"model_type": "llama", "quantization": settings}) + "\n")
