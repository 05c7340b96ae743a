"""Files of MiniCPM4.1-8B's shape in 4 bits, 4.6 GB each, to measure loading with: written in one pass, and the numbers mean
nothing. A path that ends in .gguf becomes a Q4_K_M file as llama.cpp mixes its types, any other an MLX folder.
"""

import json

import numpy as np
from oracle import tensor_shapes
from oracle_cases import byte_level_tokenizer, minicpm, write_companions, write_json
from oracle_formats import K_TYPES, add_shape, add_tokenizer, gguf_name, random_blocks

GROUP = 64


def large_config(layers):
    config = minicpm(4096, 32, 2, head_dim=128, num_hidden_layers=layers, intermediate_size=16384, vocab_size=73448)
    return config | {"tie_word_embeddings": False, "max_position_embeddings": 131072, "scale_emb": 12, "dim_model_base": 256}


def write_large(path, layers):
    config = large_config(layers)
    if path.suffix == ".gguf":
        write_gguf(path, config)
    else:
        write_mlx(path, config)


def k_m_type(name, layers):
    """The type that llama.cpp's Q4_K_M gives to a matrix: six bits for the head, and for some layers' values and down."""
    if name == "output.weight":
        return "Q6_K"
    if name.startswith("blk.") and name.split(".")[2] in ("attn_v", "ffn_down"):
        layer, eighth = int(name.split(".")[1]), layers // 8
        return "Q6_K" if layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2 else "Q4_K"
    return "Q4_K"


def write_gguf(path, config):
    import gguf

    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(path, "minicpm")
    add_shape(writer, config)
    vocabulary = list(byte_level_tokenizer()["model"]["vocab"])
    vocabulary += [f"piece{index}" for index in range(len(vocabulary), config["vocab_size"])]
    add_tokenizer(writer, vocabulary)
    random = np.random.default_rng(8)
    pools = {kind: random_blocks(kind, (1000, 4096), 0.02, random).reshape(-1, K_TYPES[kind][0]) for kind in ("Q4_K", "Q6_K")}
    shapes = {gguf_name(name): shape for name, shape in tensor_shapes(config).items()}
    for name, shape in shapes.items():
        if len(shape) == 1:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
            continue
        kind = k_m_type(name, layers)
        stored = (shape[0], shape[1] // 256 * K_TYPES[kind][0])
        number_type = gguf.GGMLQuantizationType[kind]
        writer.add_tensor_info(name, stored, np.dtype(np.uint8), stored[0] * stored[1], raw_dtype=number_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, shape in shapes.items():
        if len(shape) == 1:
            writer.write_tensor_data(np.ones(shape, np.float32))
        else:
            pool = pools[k_m_type(name, layers)]
            writer.write_tensor_data(np.resize(pool, (shape[0] * shape[1] // 256, pool.shape[1])))
    writer.close()


def write_mlx(folder, config):
    """`w = scale * q + bias`, everything in 4 bits, embedding and head too, as mlx_lm.convert does by default."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"group_size": GROUP, "bits": 4}
    write_json(folder / "config.json", config | {"quantization": settings, "quantization_config": settings})
    write_companions(folder)
    random = np.random.default_rng(8)
    quants = random.integers(0, 256, 16 << 20, dtype=np.uint8)
    # Fifteen steps from -0.03 to 0.03.
    scales = np.full(4 << 20, 0.004, np.float16).view(np.uint8)
    biases = np.full(4 << 20, -0.03, np.float16).view(np.uint8)
    header, pieces, end = {"__metadata__": {"format": "mlx"}}, [], 0

    def add(name, kind, shape, pool, size):
        nonlocal end
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        pieces.append((pool, size))
        end += size

    for name, shape in tensor_shapes(config).items():
        if len(shape) == 1:
            add(name, "F16", list(shape), np.ones(shape, np.float16).view(np.uint8), 2 * shape[0])
            continue
        rows, cols = shape
        module = name.removesuffix(".weight")
        add(name, "U32", [rows, cols // 8], quants, rows * cols // 2)
        add(f"{module}.scales", "F16", [rows, cols // GROUP], scales, 2 * rows * cols // GROUP)
        add(f"{module}.biases", "F16", [rows, cols // GROUP], biases, 2 * rows * cols // GROUP)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for pool, size in pieces:
            for start in range(0, size, len(pool)):
                file.write(pool[: min(len(pool), size - start)].data)
