"""The tiny checkpoints that oracle.py writes in the quantised formats: MLX and GPTQ folders, and GGUF files.

Each case is written from the definition of its format, and its expected log-probabilities are those of the dequantised
weights. So `tests/pytorch.rs` compares reading, packing, kernels and model at once. GGUF files are written by the official
package (pip install gguf==0.19.0), which quantises the simple types; blocks of K types are random bits with sound scales, as
it cannot quantise those.

Every product of scales that a reader has to form (GPTQ's zero * scale, K's d * sub-scale) holds in f16 without rounding,
because the factors are cut to a few significant bits: what rounding them costs is measured by the tests of single tensors.

A device that multiplies integers rounds activations too, with a step for as many neighbours as 16 bytes of packed weights
have: 32 of 4 bits, 16 of 8. `write` returns that number for each matrix in integers, and the expectations have a run of it.
"""

import numpy as np
import torch
from oracle import dimensions, random_weights, rotation_frequencies, tensor_shapes
from oracle_cases import (
    LLAMA3,
    byte_level_tokenizer,
    llama,
    longrope,
    minicpm,
    write_companions,
    write_expected,
    write_json,
)
from safetensors.torch import save_file


def cut(values, bits):
    """Rounded to `bits` significant bits."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    return np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent)


def words(integers, bits):
    """Neighbours along the last axis share a u32, the first in the lowest bits."""
    per_word = 32 // bits
    grouped = integers.astype(np.uint64).reshape(*integers.shape[:-1], -1, per_word)
    return (grouped << (np.arange(per_word, dtype=np.uint64) * np.uint64(bits))).sum(-1, dtype=np.uint64).astype(np.uint32)


def half(values):
    return np.asarray(values, np.float16).astype(np.float64)


# Neighbours that share a step, by the bits that a weight is packed with.
CHUNKS = {4: 32, 8: 16}


def is_linear(name):
    return "_proj." in name


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


# ------------------------------------------------------------------------------------------------ MLX
def mlx(bits, group, others):
    """`w = scale * q + bias`. `others`: (bits, group) of single modules, by a part of their name."""

    def write(folder, config, weights):
        quantization, stored, read, chunks = {"group_size": group, "bits": bits}, {}, {}, {}
        for name, value in weights.items():
            if value.ndim == 1:
                stored[name], read[name] = value.half(), value.half().double()
                continue
            module = name.removesuffix(".weight")
            width, size = next((settings for part, settings in others.items() if part in name), (bits, group))
            if (width, size) != (bits, group):
                quantization[module] = {"group_size": size, "bits": width}
            chunks[name] = CHUNKS[width]
            grouped = value.double().numpy().reshape(value.shape[0], -1, size)
            low, high = grouped.min(-1), grouped.max(-1)
            scale, bias = half((high - low) / (2**width - 1)), half(low)
            q = ((grouped - bias[..., None]) / scale[..., None]).round().clip(0, 2**width - 1)
            stored[name] = tensor(words(q.reshape(value.shape), width).view(np.int32)).view(torch.uint32)
            stored[f"{module}.scales"], stored[f"{module}.biases"] = tensor(scale).half(), tensor(bias).half()
            read[name] = tensor((q * scale[..., None] + bias[..., None]).reshape(value.shape))
        save_file(stored, folder / "model.safetensors", {"format": "mlx"})
        return config | {"quantization": quantization, "quantization_config": quantization}, read, chunks

    return write


# ------------------------------------------------------------------------------------------------ GPTQ
def gptq(group, symmetric, checkpoint_format):
    """4 bits, `w = (q - zero) * scale`, for the layers' matrices; the first format stores zero - 1."""

    def write(folder, config, weights):
        stored, read = {}, {}
        for name, value in weights.items():
            if not is_linear(name):
                stored[name], read[name] = value.half(), value.half().double()
                continue
            module, (rows, cols) = name.removesuffix(".weight"), value.shape
            grouped = value.double().numpy().T.reshape(cols // group, group, rows)  # inputs first
            low, high = grouped.min(1), grouped.max(1)
            if symmetric:
                scale = cut(np.maximum(-low, high) / 7.5, 7)
                zero = np.full(scale.shape, 8.0)
            else:
                scale = cut((high - low) / 15, 7)
                zero = (-low / scale).round().clip(1, 15)
            q = (grouped / scale[:, None] + zero[:, None]).round().clip(0, 15)
            read[name] = tensor(((q - zero[:, None]) * scale[:, None]).reshape(cols, rows).T)
            stored_zero = zero if checkpoint_format == "gptq_v2" else zero - 1
            stored[f"{module}.qweight"] = tensor(words(q.reshape(cols, rows).T, 4).view(np.int32).T)
            stored[f"{module}.qzeros"] = tensor(words(stored_zero, 4).view(np.int32))
            stored[f"{module}.scales"] = tensor(scale).half()
            stored[f"{module}.g_idx"] = torch.arange(cols, dtype=torch.int32) // group
        save_file(stored, folder / "model.safetensors", {"format": "pt"})
        settings = {"quant_method": "gptq", "bits": 4, "group_size": group, "sym": symmetric, "desc_act": False}
        if checkpoint_format:
            settings["checkpoint_format"] = checkpoint_format
        return config | {"quantization_config": settings}, read, {name: CHUNKS[4] for name in weights if is_linear(name)}

    return write


# ------------------------------------------------------------------------------------------------ GGUF
# Per K type: bytes of a block of 256; places of d and dmin; significant bits that d may have; dmin / d so that the mean is
# near 0; deviation of the numbers for d = 1 when every other bit is random.
K_TYPES = {"Q4_K": (144, [0, 2], 5, 7.5, 260), "Q5_K": (176, [0, 2], 5, 15.5, 526), "Q6_K": (210, [208], 4, 0, 1369)}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    module = name.removesuffix(".weight")
    if not module.startswith("model.layers."):
        return GGUF_NAMES[module] + ".weight"
    layer, part = module.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[part]}.weight"


def random_blocks(kind, shape, deviation, random):
    size, places, bits, ratio, spread = K_TYPES[kind]
    blocks = random.integers(0, 256, (shape[0], shape[1] // 256, size), dtype=np.uint8)
    d = cut(random.uniform(0.8, 1.2, blocks.shape[:2]) * deviation / spread, bits)
    for place, scale in zip(places, [d, cut(d * ratio, bits)]):
        blocks[:, :, place : place + 2] = scale.astype(np.float16)[..., None].view(np.uint8)
    return blocks.reshape(shape[0], -1)


def interleaved(rows, heads, back=False):
    """Rows i and i + dim/2 of a head become neighbours, as llama.cpp rotates them; `back` undoes it."""
    halves = (heads, -1, 2) if back else (heads, 2, -1)
    return rows.reshape(*halves, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def add_shape(writer, config):
    hidden, layers, heads, kv_heads, dim = dimensions(config)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    if config["model_type"] == "minicpm":
        writer.add_embedding_scale(config["scale_emb"])
        writer.add_residual_scale(config["scale_depth"] / layers**0.5)
        writer.add_logit_scale(hidden / config["dim_model_base"])


def add_tokenizer(writer, vocabulary):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if index < 5 else 1 for index in range(len(vocabulary))])
    writer.add_token_merges(byte_level_tokenizer()["model"]["merges"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)


def gguf_file(kinds):
    """`kinds`: the type of each matrix by a part of its name."""

    def write(folder, config, weights):
        import gguf

        # A draw for which storing activations in f16 costs no more than the tests allow, also in PyTorch (20261123 is not).
        random = np.random.default_rng(1)
        heads, kv_heads = dimensions(config)[2:4]
        writer = gguf.GGUFWriter(folder / "model.gguf", config["model_type"])
        add_shape(writer, config)
        scaling = config["rope_scaling"]
        if scaling["rope_type"] == "longrope":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
            writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
            for which in ("short", "long"):
                writer.add_tensor(f"rope_factors_{which}.weight", np.array(scaling[f"{which}_factor"], np.float32))
        else:
            plain = rotation_frequencies(config | {"rope_scaling": None})[0]
            writer.add_tensor("rope_freqs.weight", (plain / rotation_frequencies(config)[0]).float().numpy())
        add_tokenizer(writer, list(byte_level_tokenizer()["model"]["vocab"]))
        read, chunks = {}, {}
        for name, value in weights.items():
            rotated = heads if "q_proj" in name else kv_heads if "k_proj" in name else None
            numbers = value.half().float().numpy()  # what 16 bits hold in every type
            if value.ndim == 1:
                writer.add_tensor(gguf_name(name), numbers)
                read[name] = tensor(numbers).double()
                continue
            if rotated:
                numbers = interleaved(numbers, rotated)
            kind = next(kind for part, kind in kinds.items() if part in name)
            number_type = gguf.GGMLQuantizationType[kind]
            if kind in K_TYPES:
                stored = random_blocks(kind, numbers.shape, numbers.std(), random)
            else:
                stored = gguf.quants.quantize(numbers, number_type)
            if "F" not in kind:
                chunks[name] = CHUNKS[4 if "4" in kind else 8]
            plain = kind in ("F16", "F32")
            writer.add_tensor(gguf_name(name), stored, raw_dtype=None if plain else number_type)
            numbers = gguf.quants.dequantize(stored, number_type).astype(np.float64).reshape(numbers.shape)
            read[name] = tensor(interleaved(numbers, rotated, back=True) if rotated else numbers)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return None, read, chunks

    return write


LONGROPE = longrope(32, 64, 3, 40)
SIMPLE = {
    "embed_tokens": "Q8_0",
    "lm_head": "F16",
    "layers.0.self_attn.q": "Q4_0",
    "layers.1.self_attn.q": "F16",
    "layers.0.self_attn.k": "Q8_0",
    "layers.1.self_attn.k": "Q5_1",
    "self_attn.v": "BF16",
    "self_attn.o": "Q5_0",
    "gate_proj": "Q4_1",
    "up_proj": "Q4_0",
    "layers.0.mlp.down": "F32",
    "layers.1.mlp.down": "Q5_1",
}
# Mixed, as in a Q4_K_M file.
K_MIXED = {
    "embed_tokens": "Q4_K",
    "q_proj": "Q4_K",
    "k_proj": "Q5_K",
    "v_proj": "Q6_K",
    "o_proj": "Q5_0",
    "gate_proj": "Q4_K",
    "up_proj": "Q5_K",
    "down_proj": "Q6_K",
}

# name: (config, tokens, writer). Together they have every shape of attention that the cases in f16 have not.
CASES = {
    "mlx_q4_minicpm_group16_head128": (
        minicpm(64, 16, 1, head_dim=128, num_hidden_layers=1, scale_emb=12, dim_model_base=32),
        80,
        mlx(4, 64, {"o_proj": (4, 128), "embed_tokens": (8, 64)}),
    ),
    "mlx_q4_llama_group4": (llama(128, 4, 1), 90, mlx(4, 32, {"down_proj": (4, 128), "lm_head": (8, 64)})),
    "mlx_q8_llama_group8_head64": (
        llama(64, 8, 1, head_dim=64, num_hidden_layers=1, tie_word_embeddings=True),
        80,
        mlx(8, 32, {"o_proj": (8, 128), "mlp": (8, 64)}),
    ),
    "mlx_q8_minicpm_group1_head128": (
        minicpm(64, 2, 2, head_dim=128, num_hidden_layers=1, tie_word_embeddings=False, rope_scaling=longrope(128, 64, 3, 40)),
        90,
        mlx(8, 64, {"o_proj": (8, 128), "q_proj": (4, 32)}),
    ),
    "gptq_minicpm": (minicpm(128, 4, 2), 80, gptq(128, True, "gptq")),
    "gptq_old_llama": (llama(64, 4, 4, head_dim=32), 80, gptq(64, False, None)),
    "gptq_v2_minicpm": (
        minicpm(64, 16, 2, head_dim=64, tie_word_embeddings=False, num_hidden_layers=1),
        80,
        gptq(32, False, "gptq_v2"),
    ),
    "gguf_minicpm": (
        minicpm(64, 4, 2, head_dim=32, tie_word_embeddings=False, max_position_embeddings=256, rope_scaling=LONGROPE),
        120,
        gguf_file(SIMPLE),
    ),
    "gguf_llama_k": (
        llama(256, 2, 1, head_dim=64, intermediate_size=256, num_hidden_layers=1, tie_word_embeddings=True, rope_scaling=LLAMA3),
        120,
        gguf_file(K_MIXED),
    ),
}


def write_format_cases(out):
    for seed, (name, (config, tokens, write)) in enumerate(CASES.items(), 101):
        folder = out / "checkpoints" / name
        folder.mkdir(parents=True, exist_ok=True)
        written, weights, chunks = write(folder, config, random_weights(config, seed, torch.float32))
        if written:
            write_json(folder / "config.json", written)
            write_companions(folder)
        write_expected(folder, config, weights, tokens, seed, chunks)
