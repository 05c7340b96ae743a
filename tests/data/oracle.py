#!/usr/bin/env python3
"""Independent PyTorch forward pass of MiniCPM and Llama checkpoints, dense and with InfLLM-V2 sparse attention.

Written from the formulas, with no code of this project or of any other implementation, so that agreement means something.
Needs numpy, safetensors and torch (CPU). Plain on purpose: one sequence, no cache, full matrices.

    python3 oracle.py cases [OUT]                     writes the tiny checkpoints of oracle_cases.py below OUT (here: tests/data)
    python3 oracle.py score FOLDER TOKENS.json        {"token_ids", "logprobs", "perplexity"} of a Hugging Face folder;
                                                      TOKENS.json is a list of ids or an object with "token_ids"
          [--attention dense|sparse|auto] [--variant 4.1|4.0] [--lse coarse|exact] [--dtype float32|float64]
          [--stored-f16]                              rounds what an engine keeps in f16: activations, keys and values
    python3 oracle.py random-weights CONFIG.json OUT  writes OUT/model.safetensors (bf16) with every tensor of that config
    python3 oracle.py large OUT.gguf|OUT              MiniCPM4.1-8B's shape as Q4_K_M or as an MLX folder, to measure loading
    python3 oracle.py compare A.json B.json           how far two results of `score`, or of `foveal score --json`, are apart

Model (MiniCPM; Llama is the same with all three scales equal to 1):
    h = embed[ids] * scale_emb;   s = scale_depth / sqrt(layers)
    h = h + s * o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n))),   n = rmsnorm(h)
    h = h + s * down_proj(silu(gate_proj(n)) * up_proj(n)),                       n = rmsnorm(h)
    logits = head(rmsnorm(h) / (hidden_size / dim_model_base))
    Query head j reads KV head j // (heads / kv_heads); softmax scale 1 / sqrt(head_dim).

Rotation, NeoX halves, angle[p, i] = p * theta^(-2i/d) for i < d/2, with
    longrope: angle / factor[i]; cos and sin times m = sqrt(1 + ln(max_position / original_max) / ln(original_max)).
        The factors are chosen once, as the published code does: its table starts at max_position_embeddings entries, so
        `long_factor` is in force iff max_position_embeddings > original_max, whatever the length of the text (as long as
        it stays within max_position_embeddings). m follows the formula also below original_max, where it is under 1.
    llama3: wavelengths over original/low_freq_factor are divided by factor, those under original/high_freq_factor stay,
        those between are blended linearly in original/wavelength.
    linear: angle / factor.

Sparse attention (see `select_blocks`): fine keys are means over kernel_size rotated keys every kernel_stride; coarse keys over
4x both. A compressed key is visible to position p iff its last token is at or before p. Block scores are sums over the heads of the
group of exp(q.fine - lse), max-pooled over the windows that touch the block. Ties go to the lower id.
    variant 4.1: init blocks and the window/block + 1 last blocks are forced inside a budget of topk + window/block
    variant 4.0: topk blocks (init forced inside) are ranked among the older ones, the window/block last blocks are added
    lse coarse: over the visible coarse keys; exact: over the visible fine keys
A text is sparse as a whole iff its length is at least dense_len.
"""
import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

# Used where a MiniCPM config.json has no sparse_config: the published values.
PUBLISHED_SPARSE = dict(kernel_size=32, kernel_stride=16, init_blocks=1, block_size=64, window_size=2048, topk=64, dense_len=8192)


def is_minicpm(config):
    names = [config.get("model_type", "")] + config.get("architectures", [])
    return any("minicpm" in name.lower() for name in names)


def dimensions(config):
    """hidden, layers, query heads, KV heads, head_dim."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    return hidden, config["num_hidden_layers"], heads, config.get("num_key_value_heads", heads), config.get("head_dim") or hidden // heads


def is_tied(config):
    """A missing key means the class default: tied for MiniCPM, untied for Llama."""
    return config.get("tie_word_embeddings", is_minicpm(config))


def tensor_shapes(config):
    hidden, layers, heads, kv_heads, dim = dimensions(config)
    inner, vocabulary = config["intermediate_size"], config["vocab_size"]
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        shapes[prefix + "input_layernorm.weight"] = shapes[prefix + "post_attention_layernorm.weight"] = (hidden,)
        shapes[prefix + "self_attn.q_proj.weight"] = (heads * dim, hidden)
        shapes[prefix + "self_attn.k_proj.weight"] = shapes[prefix + "self_attn.v_proj.weight"] = (kv_heads * dim, hidden)
        shapes[prefix + "self_attn.o_proj.weight"] = (hidden, heads * dim)
        shapes[prefix + "mlp.gate_proj.weight"] = shapes[prefix + "mlp.up_proj.weight"] = (inner, hidden)
        shapes[prefix + "mlp.down_proj.weight"] = (hidden, inner)
    if not is_tied(config):
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return shapes


def load_weights(folder, dtype):
    weights = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        weights.update({name: tensor.to(dtype) for name, tensor in load_file(file).items()})
    return weights


# ------------------------------------------------------------------------------------------------ rotation
def rotation_frequencies(config):
    """Frequencies per pair (float64) and the factor that cos and sin are multiplied with."""
    dim = dimensions(config)[4]
    frequencies = config.get("rope_theta", 10000.0) ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return frequencies, 1.0
    if kind == "linear":
        return frequencies / scaling["factor"], 1.0
    if kind == "longrope":
        longest, original = config["max_position_embeddings"], scaling["original_max_position_embeddings"]
        factors = scaling["short_factor"] if longest <= original else scaling["long_factor"]
        stretch = math.sqrt(1 + math.log(longest / original) / math.log(original))
        return frequencies / torch.tensor(factors, dtype=torch.float64), stretch
    if kind == "llama3":
        original, low, high = scaling["original_max_position_embeddings"], scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = original * frequencies / (2 * math.pi)  # whole turns within the original context
        kept = ((turns - low) / (high - low)).clamp(0, 1)  # 0: slowed down by factor, 1: as it was
        return frequencies * (kept + (1 - kept) / scaling["factor"]), 1.0
    raise ValueError(f"unknown rope type {kind}")


def rotate(x, frequencies, stretch):
    """x [n, heads, dim] at positions 0..n."""
    angle = torch.arange(x.shape[0], dtype=torch.float64)[:, None] * frequencies
    cos, sin = (angle.cos() * stretch).to(x.dtype)[:, None], (angle.sin() * stretch).to(x.dtype)[:, None]
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


# ------------------------------------------------------------------------------------------------ attention
def window_means(k, size, stride):
    """k [n, kv, d] -> means over complete windows [count, kv, d]."""
    if k.shape[0] < size:
        return k[:0]
    return k.unfold(0, size, stride).mean(-1)


def masked_lse(scores, visible):
    return scores.masked_fill(~visible, -math.inf).logsumexp(-1, keepdim=True)


def select_blocks(q, k, sparse, variant="4.1", lse="coarse"):
    """q [n, heads, d], k [n, kv, d], all rotated -> selected [kv, n, blocks] (bool) and margin [kv, n].

    The margin tells how far the scores (as logarithms) are from another choice, inf where there is none: where it is small,
    rounding may choose otherwise. Neighbouring blocks often have the very same score, because they share a window; such a tie
    is no matter of rounding, so the margin looks past it to the next different scores.
    """
    n, heads, dim = q.shape
    kv_heads = k.shape[1]
    size, stride, block = sparse["kernel_size"], sparse["kernel_stride"], sparse["block_size"]
    local, topk, init = sparse["window_size"] // block, sparse["topk"], sparse["init_blocks"]
    blocks = -(-n // block)
    grouped = (q * dim**-0.5).reshape(n, kv_heads, heads // kv_heads, dim)
    position = torch.arange(n)

    def scores_against(size, stride):
        keys = window_means(k, size, stride)
        last_token = torch.arange(keys.shape[0]) * stride + size - 1
        visible = (last_token[None] <= position[:, None])[None, None]  # [1, 1, n, count]
        return torch.einsum("nghd,cgd->ghnc", grouped, keys), visible

    fine, fine_visible = scores_against(size, stride)
    normaliser = masked_lse(*scores_against(4 * size, 4 * stride)) if lse == "coarse" else masked_lse(fine, fine_visible)
    # A row without any visible key to normalise with scores 0 everywhere.
    weight = (fine - normaliser).exp().masked_fill(~fine_visible | normaliser.isinf(), 0).sum(1)  # [kv, n, count]

    scores = torch.full((kv_heads, n, blocks), -math.inf, dtype=q.dtype)
    per_block = block // stride
    for b in range(blocks):
        touching = weight[:, :, max(0, per_block * b - 1) : per_block * b + per_block]
        if touching.shape[-1]:
            scores[:, :, b] = touching.amax(-1)

    own, b = (position // block)[:, None], torch.arange(blocks)[None]
    past = b <= own
    if variant == "4.1":
        recent, budget = past & (b >= own - local), topk + local
        scores = scores.masked_fill((b < init) | recent, math.inf).masked_fill(~past, -math.inf)
    else:
        recent, budget = past & (b > own - local), topk
        scores = scores.masked_fill(b < init, math.inf).masked_fill(~past | (recent & (b >= init)), -math.inf)
    ranked = scores.sort(dim=-1, descending=True, stable=True)  # stable: the lower id wins a tie
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, ranked.indices[:, :, :budget], True) & (scores > -math.inf)
    margin = torch.full((kv_heads, n), math.inf, dtype=q.dtype)
    if blocks > budget:
        last_in, first_out = ranked.values[..., budget - 1 : budget], ranked.values[..., budget : budget + 1]
        higher = ranked.values.masked_fill(ranked.values <= first_out, math.inf).amin(-1, keepdim=True)
        lower = ranked.values.masked_fill(ranked.values >= last_in, 0).amax(-1, keepdim=True)
        gap = torch.minimum((higher / last_in).log(), (last_in / lower).log())
        gap = torch.where(last_in > first_out, (last_in / first_out).log(), gap)
        margin = torch.where(last_in.isfinite() & first_out.isfinite(), gap, math.inf)[..., 0]
    return (chosen & past) | recent, margin


def attention(q, k, v, allowed):
    """allowed: bool, [n, n] or [kv, n, n]. Returns [n, heads, d]."""
    n, heads, dim = q.shape
    grouped = (q * dim**-0.5).reshape(n, k.shape[1], heads // k.shape[1], dim)
    scores = torch.einsum("nghd,tgd->hgnt", grouped, k)
    weight = scores.masked_fill(~allowed, -math.inf).softmax(-1)
    return torch.einsum("hgnt,tgd->nghd", weight, v).reshape(n, heads * dim)


# ------------------------------------------------------------------------------------------------ model
def stored_f16(x):
    """What is left of values that an engine keeps in f16."""
    return x.half().to(x.dtype)


def rounded(x, chunk):
    """x [n, columns] as 8-bit integers with a step for each `chunk` of neighbours."""
    parts = x.reshape(x.shape[0], -1, chunk)
    step = parts.abs().amax(-1, keepdim=True) / 127
    return ((parts / step.clamp_min(1e-30)).round() * step).reshape(x.shape)


def forward(config, weights, ids, mode="dense", variant="4.1", lse="coarse", margins=None, stored=lambda x: x, chunks=None):
    """Logits [n, vocabulary]. `margins`, if a list, receives every layer's selection margins. `stored` is applied to all that
    an engine keeps between its steps: what goes into matrices, and rotated queries, keys and values. `chunks`: for weights
    whose products are of integers, by name, how many neighbours of an activation share a step."""
    chunks = chunks or {}
    hidden, layers, heads, kv_heads, dim = dimensions(config)
    scaled = is_minicpm(config)
    residual = config.get("scale_depth", 1.0) / math.sqrt(layers) if scaled else 1.0
    divisor = hidden / config.get("dim_model_base", 1) if scaled else 1.0
    eps = config.get("rms_norm_eps", 1e-6)
    sparse = config.get("sparse_config") or PUBLISHED_SPARSE
    n = len(ids)
    is_sparse = mode == "sparse" or (mode == "auto" and bool(config.get("sparse_config")) and n >= sparse["dense_len"])
    frequencies, stretch = rotation_frequencies(config)
    causal = torch.ones(n, n, dtype=torch.bool).tril()

    def norm(x, name):
        return x * (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt() * weights[name + ".weight"]

    def product(x, name):
        return (rounded(x, chunks[name]) if name in chunks else x) @ weights[name].T

    h = weights["model.embed_tokens.weight"][torch.tensor(ids)] * (config.get("scale_emb", 1.0) if scaled else 1.0)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."

        def linear(x, name):
            return product(x, prefix + name + ".weight")

        x = stored(norm(h, prefix + "input_layernorm"))
        q = rotate(linear(x, "self_attn.q_proj").reshape(n, heads, dim), frequencies, stretch)
        k = rotate(linear(x, "self_attn.k_proj").reshape(n, kv_heads, dim), frequencies, stretch)
        v = linear(x, "self_attn.v_proj").reshape(n, kv_heads, dim)
        q, k, v = stored(q), stored(k), stored(v)
        allowed = causal
        if is_sparse:
            chosen, margin = select_blocks(q, k, sparse, variant, lse)
            if margins is not None:
                margins.append(margin)
            allowed = causal & chosen.repeat_interleave(sparse["block_size"], -1)[:, :, :n]
        h = h + residual * linear(stored(attention(q, k, v, allowed)), "self_attn.o_proj")
        x = stored(norm(h, prefix + "post_attention_layernorm"))
        gate = linear(x, "mlp.gate_proj")
        h = h + residual * linear(stored(gate * gate.sigmoid() * linear(x, "mlp.up_proj")), "mlp.down_proj")
    head = "model.embed_tokens.weight" if is_tied(config) else "lm_head.weight"
    return product(stored(norm(h, "model.norm") / divisor), head)


def log_probabilities(logits, ids):
    """ln p(token i | tokens before i); None for the first."""
    following = logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return [None] + following.tolist()


# ------------------------------------------------------------------------------------------------ weights
def random_weights(config, seed, dtype=torch.bfloat16):
    """Scaled so that attention is far from uniform (scores with a deviation of about 2) and logits differ (about 1.4).

    A tied embedding that weighed much in the last layer would make every token predict itself: it is kept small, and
    the last norm makes up for it.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden, _, heads, _, dim = dimensions(config)
    divisor = hidden / config.get("dim_model_base", 1) if is_minicpm(config) else 1.0
    head = 1.4 * divisor * hidden**-0.5
    tied = min(head, 0.36 / (config.get("scale_emb", 1.0) if is_minicpm(config) else 1.0))
    deviation = {
        "q_proj": 1.4 * hidden**-0.5,
        "k_proj": 1.4 * hidden**-0.5,
        "v_proj": 1.5 * hidden**-0.5,
        "o_proj": 1.5 * (heads * dim) ** -0.5,
        "gate_proj": 1.5 * hidden**-0.5,
        "up_proj": 1.5 * hidden**-0.5,
        "down_proj": 1.5 * config["intermediate_size"] ** -0.5,
        "lm_head": head,
        "embed_tokens": tied if is_tied(config) else 0.1,
    }
    weights = {}
    for name, shape in tensor_shapes(config).items():
        noise = torch.randn(shape, generator=generator)
        kind = name.split(".")[-2]
        weights[name] = (noise * deviation[kind] if kind in deviation else 1 + 0.2 * noise).to(dtype)
    if is_tied(config):
        weights["model.norm.weight"] *= head / tied
    return weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    cases = commands.add_parser("cases")
    cases.add_argument("out", nargs="?", default=Path(__file__).parent, type=Path)
    score = commands.add_parser("score")
    score.add_argument("folder", type=Path)
    score.add_argument("tokens", type=Path)
    score.add_argument("--attention", choices=["dense", "sparse", "auto"], default="dense")
    score.add_argument("--variant", choices=["4.1", "4.0"], default="4.1")
    score.add_argument("--lse", choices=["coarse", "exact"], default="coarse")
    score.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    score.add_argument("--stored-f16", action="store_true")
    large = commands.add_parser("large")
    large.add_argument("out", type=Path)
    large.add_argument("--layers", type=int, default=32)
    compare = commands.add_parser("compare")
    compare.add_argument("scores", nargs=2, type=Path)
    weights = commands.add_parser("random-weights")
    weights.add_argument("config", type=Path)
    weights.add_argument("out", type=Path)
    weights.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)

    if arguments.command == "cases":
        from oracle_cases import write_cases

        from oracle_formats import write_format_cases

        write_cases(arguments.out)
        write_format_cases(arguments.out)
    elif arguments.command == "large":
        from oracle_large import write_large

        write_large(arguments.out, arguments.layers)
    elif arguments.command == "compare":
        first, second = (json.loads(path.read_text()) for path in arguments.scores)
        assert first["token_ids"] == second["token_ids"], "different texts"
        gaps = [abs(a - b) for a, b in zip(first["logprobs"][1:], second["logprobs"][1:])]
        print(f"{len(gaps)} positions: largest difference {max(gaps):.2e}, mean {sum(gaps) / len(gaps):.2e}")
    elif arguments.command == "random-weights":
        config = json.loads(arguments.config.read_text())
        arguments.out.mkdir(parents=True, exist_ok=True)
        save_file(random_weights(config, arguments.seed), arguments.out / "model.safetensors", {"format": "pt"})
    else:
        config = json.loads((arguments.folder / "config.json").read_text())
        ids = json.loads(arguments.tokens.read_text())
        ids = ids["token_ids"] if isinstance(ids, dict) else ids
        tensors = load_weights(arguments.folder, getattr(torch, arguments.dtype))
        stored = {"stored": stored_f16} if arguments.stored_f16 else {}
        logits = forward(config, tensors, ids, arguments.attention, arguments.variant, arguments.lse, **stored)
        result = log_probabilities(logits, ids)
        perplexity = math.exp(-sum(result[1:]) / max(1, len(ids) - 1))
        print(json.dumps({"token_ids": ids, "logprobs": result, "perplexity": perplexity}))


if __name__ == "__main__":
    main()
