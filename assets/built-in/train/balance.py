"""Makes weights easier to round to few bits without changing what the model computes, as AWQ does (arXiv 2306.00978).

    python3 balance.py WEIGHTS OUT

A channel that carries large numbers is multiplied by s in the matrix that reads it and divided by s where it is made: in the norm
before q, k, v and before gate, up; in v before o (the heads of a group share a channel); in up before down. s is the channel's mean size
to the power that makes the squared difference of the layer's outputs least when the reading matrices are rounded to 4 bits in groups of 32.
"""

import math
import sys

import torch
import torch.nn.functional as F

import tokenizer
from documents import Documents
from model import Config, Model, rms_norm
from train import load, save

POWERS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]


def rounded(w, group=32, levels=15):
    """Four bits with the whole range of a group: enough to compare powers by."""
    parts = w.unflatten(1, (-1, group))
    low, high = parts.amin(-1, keepdim=True), parts.amax(-1, keepdim=True)
    step = ((high - low) / levels).clamp_min(1e-12)
    return (((parts - low) / step).round() * step + low).flatten(1)


@torch.no_grad()
def inputs(model, ids):
    """For each layer what its matrices read: after the first norm, the attention's output, after the second, before down."""
    found, before, after = [], model.before, model.after

    def seen_before(x, norm, *rest):
        found.append([rms_norm(x, norm, model.c.epsilon, x.dtype)])
        return before(x, norm, *rest)

    def seen_after(x, attended, o, norm, gate, up, down, scale, epsilon):
        second = rms_norm(x + F.linear(attended, o) * scale, norm, epsilon, x.dtype)
        found[-1] += [attended, second, F.silu(F.linear(second, gate)) * F.linear(second, up)]
        return after(x, attended, o, norm, gate, up, down, scale, epsilon)

    model.before, model.after = seen_before, seen_after
    model.hidden(ids)
    return found


def best_scale(read, matrices, size):
    """The channels' factors for matrices that read the same numbers."""
    best, least = None, math.inf
    for power in POWERS:
        s = size.clamp_min(1e-6) ** power
        s = s / (s.amax() * s.amin()).sqrt()
        error = sum(F.linear(read, rounded(m * s) / s - m).pow(2).sum().item() for m in matrices)
        if error < least:
            best, least, chosen = s, error, power
    return best, chosen


@torch.no_grad()
def balance(weights, c, ids):
    model = Model(c, weights, torch.float32)
    for layer, (first, attended, second, middle) in enumerate(inputs(model, ids)):
        def name(part, layer=layer):
            return f"model.layers.{layer}.{part}.weight"
        powers = []
        for norm, read, parts in (("input_layernorm", first, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
                                  ("post_attention_layernorm", second, ["mlp.gate_proj", "mlp.up_proj"])):
            s, power = best_scale(read, [weights[name(p)] for p in parts], read.abs().mean(0))
            for p in parts:
                weights[name(p)] *= s
            weights[name(norm)] /= s
            powers.append(power)
        # Heads of a group read one head of v.
        group = c.heads // c.kv_heads
        size = attended.abs().mean(0).view(c.kv_heads, group, c.head_dim).mean(1)
        s, power = best_scale(attended, [weights[name("self_attn.o_proj")]], size[:, None].expand(-1, group, -1).reshape(-1))
        weights[name("self_attn.o_proj")] *= s
        weights[name("self_attn.v_proj")] /= s.view(c.kv_heads, group, c.head_dim)[:, 0].reshape(-1, 1)
        powers.append(power)
        s, power = best_scale(middle, [weights[name("mlp.down_proj")]], middle.abs().mean(0))
        weights[name("mlp.down_proj")] *= s
        weights[name("mlp.up_proj")] /= s[:, None]
        print(f"layer {layer}: powers {powers + [power]}", flush=True)


def main(source, out):
    code, made, rows = tokenizer.load(), Documents(4321), []
    while len(rows) < 8:
        text, asked = made.make(2600, 12)
        turns = "".join(f"\n\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n<|im_start|>user" for q, a, *_ in asked)
        ids = [tokenizer.BOS] + code.encode(f"<|im_start|>user\n{text}{turns}", add_special_tokens=False).ids
        if len(ids) >= 768:
            rows.append(ids[:768])
    weights = {name: w.detach() for name, w in load(source, "cpu").items()}
    balance(weights, Config(), torch.tensor(rows))
    save(weights, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
