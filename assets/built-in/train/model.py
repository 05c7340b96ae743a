"""The model: MiniCPM's architecture in PyTorch, dense or with InfLLM-V2's sparse attention (see sparse.py).

    h = 12 embed(ids);  s = 1.4 / sqrt(layers)
    h = h + s o(attention(rope(q(n)), rope(k(n)), v(n))),   n = rms_norm(h)
    h = h + s down(silu(gate(n)) up(n)),                    n = rms_norm(h)
    logits = embed^T rms_norm(h) / (hidden / 256)

Weights are a dictionary with the names of the exported checkpoint, in f32; the arithmetic is bfloat16 while training and f32
in evaluations that are compared with foveal. The pieces between two attentions are compiled once for all layers.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import sparse


@dataclass
class Config:
    """Sizes, as config.json will have them."""

    vocabulary: int = 4096
    hidden: int = 512
    layers: int = 7
    heads: int = 8
    kv_heads: int = 2
    head_dim: int = 64
    intermediate: int = 1024
    context: int = 32768
    theta: float = 1e6
    epsilon: float = 1e-6
    scale_embedding: float = 12.0
    scale_depth: float = 1.4
    base: int = 256
    kernel: int = 32
    stride: int = 16
    block: int = 64
    initial_blocks: int = 1
    window: int = 256
    top: int = 24


def initial_weights(c, seed, device):
    generator = torch.Generator().manual_seed(seed)

    def normal(rows, columns, deviation):
        return torch.randn(rows, columns, generator=generator) * deviation

    narrow = c.hidden ** -0.5
    weights = {"model.embed_tokens.weight": normal(c.vocabulary, c.hidden, 0.05)}
    for layer in range(c.layers):
        def put(name, tensor, layer=layer):
            weights[f"model.layers.{layer}.{name}.weight"] = tensor
        put("input_layernorm", torch.ones(c.hidden))
        put("self_attn.q_proj", normal(c.heads * c.head_dim, c.hidden, narrow))
        put("self_attn.k_proj", normal(c.kv_heads * c.head_dim, c.hidden, narrow))
        put("self_attn.v_proj", normal(c.kv_heads * c.head_dim, c.hidden, narrow))
        put("self_attn.o_proj", normal(c.hidden, c.heads * c.head_dim, narrow / 2))
        put("post_attention_layernorm", torch.ones(c.hidden))
        put("mlp.gate_proj", normal(c.intermediate, c.hidden, narrow))
        put("mlp.up_proj", normal(c.intermediate, c.hidden, narrow))
        put("mlp.down_proj", normal(c.hidden, c.intermediate, c.intermediate ** -0.5 / 2))
    weights["model.norm.weight"] = torch.ones(c.hidden)
    return {name: tensor.to(device).requires_grad_(True) for name, tensor in weights.items()}


def rms_norm(x, weight, epsilon, kind):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(kind) * weight.to(kind)


def rotate(x, cos, sin, kind):
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(kind)


def before_attention(x, norm, q, k, v, cos, sin, head_dim: int, epsilon: float):
    kind = x.dtype
    n = rms_norm(x, norm, epsilon, kind)
    q, k, v = (F.linear(n, w.to(kind)).unflatten(-1, (-1, head_dim)) for w in (q, k, v))
    return rotate(q, cos[:, None], sin[:, None], kind), rotate(k, cos[:, None], sin[:, None], kind), v


def after_attention(x, attended, o, norm, gate, up, down, scale: float, epsilon: float):
    kind = x.dtype
    x = x + F.linear(attended, o.to(kind)) * scale
    n = rms_norm(x, norm, epsilon, kind)
    return x + F.linear(F.silu(F.linear(n, gate.to(kind))) * F.linear(n, up.to(kind)), down.to(kind)) * scale


def head_loss(x, norm, embedding, targets, loss_weights, divisor: float, epsilon: float):
    """(weighted mean of the cross entropy, right answer tokens, answer tokens)."""
    logits = F.linear(rms_norm(x, norm, epsilon, x.dtype) / divisor, embedding.to(x.dtype)).float()
    each = F.cross_entropy(logits, targets, reduction="none")
    answer = loss_weights > 0.5
    right = (logits.argmax(-1) == targets) & answer
    return (each * loss_weights).sum() / loss_weights.sum().clamp_min(1.0), right.sum(), answer.sum()


class Model:
    """The weights and how they are run. `kind` is the type of the arithmetic."""

    def __init__(self, config, weights, kind=torch.bfloat16, compiled=False):
        self.c, self.weights, self.kind, self.compiled = config, weights, kind, compiled
        self.before, self.after, self.head = before_attention, after_attention, head_loss
        if compiled:
            self.before, self.after, self.head = (torch.compile(f, dynamic=False) for f in (before_attention, after_attention, head_loss))

    def rope(self, positions):
        c = self.c
        inverse = c.theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
        angles = positions.reshape(-1, 1).float() * inverse.float().to(positions.device)
        return angles.cos(), angles.sin()

    def hidden(self, ids, mode="dense", positions=None, tail=0, looked_up=None, probe=None):
        """ids [B, S] to the hidden states [B * S, hidden] and the selection loss.

        mode: "dense"; "sparse" (every token selects blocks); "tail" (only the last `tail` tokens do, which is much cheaper).
        looked_up [B, n]: queries at which the selection loss is taken. probe: a list that gets each layer's selection.
        """
        c = self.c
        rows, length = ids.shape
        if positions is None:
            positions = torch.arange(length, device=ids.device).expand(rows, length)
        cos, sin = self.rope(positions)
        scale = c.scale_depth / math.sqrt(c.layers)
        x = F.embedding(ids.reshape(-1), self.weights["model.embed_tokens.weight"]).to(self.kind) * c.scale_embedding
        selection_loss = torch.zeros((), device=ids.device)
        for layer in range(c.layers):
            def w(name, layer=layer):
                return self.weights[f"model.layers.{layer}.{name}.weight"]
            q, k, v = self.before(x, w("input_layernorm"), w("self_attn.q_proj"), w("self_attn.k_proj"), w("self_attn.v_proj"),
                                  cos, sin, c.head_dim, c.epsilon)
            q, k, v = (t.unflatten(0, (rows, length)).transpose(1, 2) for t in (q, k, v))
            if looked_up is not None:
                selection_loss = selection_loss + sparse.selection_loss(c, q, k, looked_up)
            attended = self.attention(q, k, v, mode, tail, probe).transpose(1, 2).reshape(rows * length, -1)
            x = self.after(x, attended, w("self_attn.o_proj"), w("post_attention_layernorm"), w("mlp.gate_proj"), w("mlp.up_proj"),
                           w("mlp.down_proj"), scale, c.epsilon)
        return x, selection_loss

    def attention(self, q, k, v, mode, tail, probe):
        c = self.c
        if mode == "dense":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        start = 0 if mode == "sparse" else q.shape[2] - tail
        if mode == "local":
            return sparse.attend_local(q, k, v, start)
        chosen = sparse.select(c, q[:, :, start:].detach(), k.detach(), start)
        if probe is not None:
            probe.append(chosen)
        if mode == "sparse" and self.compiled:
            return sparse.attend_tiles(c, q, k, v, chosen)
        rest = sparse.attend_masked(c, q[:, :, start:], k, v, chosen, start)
        if start == 0:
            return rest
        if mode == "local tail":
            return torch.cat([sparse.attend_local(q, k, v, q.shape[2])[:, :, :start], rest], 2)
        # The document's own tokens attend densely; none of them sees the tail, so its keys need not be cut off.
        first = F.scaled_dot_product_attention(q[:, :, :start], k[:, :, :start], v[:, :, :start], is_causal=True, enable_gqa=True)
        return torch.cat([first, rest], 2)

    def loss(self, ids, loss_weights, **how):
        """(loss, right answer tokens, answer tokens, selection loss); weights [B, S] belong to the tokens to be predicted."""
        x, selection = self.hidden(ids, **how)
        targets = ids.roll(-1, 1).reshape(-1)
        shifted = torch.cat([loss_weights[:, 1:], torch.zeros_like(loss_weights[:, :1])], 1).reshape(-1).float()
        c = self.c
        loss, right, total = self.head(x, self.weights["model.norm.weight"], self.weights["model.embed_tokens.weight"], targets, shifted,
                                       c.hidden / c.base, c.epsilon)
        return loss, right, total, selection

    @torch.no_grad()
    def logits(self, x):
        c = self.c
        n = rms_norm(x, self.weights["model.norm.weight"], c.epsilon, self.kind)
        return F.linear(n / (c.hidden / c.base), self.weights["model.embed_tokens.weight"].to(self.kind)).float()
