"""InfLLM-V2 attention for training, as foveal runs it (4.1's rules, see src/reference/score_blocks.rs and select_blocks.rs).

Per token and KV head 1 initial block, the token's own and the `window / block` blocks before it, and the best of the others up
to `top + window / block` in all. Blocks are ranked by exp(q.k1 - lse(q.k2)), summed over the heads of the group and max-pooled
over the fine keys that touch the block; k1 and k2 are means of 32 keys every 16 and of 128 keys every 64.
"""

import torch
import torch.nn.functional as F

NEVER = -1e30


def pooled_keys(c, k):
    """k [B, kv, S, d] to fine [B, kv, S/16 - 1, d] and coarse [B, kv, S/64 - 1, d] means, f32."""
    parts = k.float().unflatten(2, (-1, c.stride)).mean(3)
    fine = (parts[:, :, 1:] + parts[:, :, :-1]) / 2
    wide = parts.unflatten(2, (-1, 4)).mean(3)
    return fine, (wide[:, :, 1:] + wide[:, :, :-1]) / 2


def block_scores(c, q, fine, coarse, positions):
    """q [B, heads, n, d] at positions [B or 1, n] to the logarithm of the block scores [B, kv, n, blocks]."""
    rows, heads, count, width = q.shape
    group = heads // c.kv_heads
    q = q.float().reshape(rows, c.kv_heads, group * count, width) * width ** -0.5
    at = positions[:, None, :, None]

    def scores(keys, stride, size):
        s = (q @ keys.transpose(-1, -2)).unflatten(2, (group, count))
        last = torch.arange(keys.shape[2], device=q.device) * stride + size - 1
        return s.masked_fill((last > at)[:, :, None], NEVER)

    denominator = scores(coarse, 4 * c.stride, 4 * c.kernel).logsumexp(-1, keepdim=True)
    shares = (scores(fine, c.stride, c.kernel) - denominator).logsumexp(2)
    last = torch.arange(fine.shape[2], device=q.device) * c.stride + c.kernel - 1
    shares = shares.masked_fill(last > at, NEVER)
    pooled = F.max_pool1d(shares.reshape(-1, 1, shares.shape[-1]), c.block // c.stride + 1, c.block // c.stride, 1)
    return pooled.view(rows, c.kv_heads, count, -1)


def forced_blocks(c, positions, blocks):
    """Which blocks every query reads in any case, and which lie in its past: bool [B or 1, 1, n, blocks]."""
    block = torch.arange(blocks, device=positions.device)
    own = (positions // c.block)[:, None, :, None]
    local = (block <= own) & (own <= block + c.window // c.block)
    return (block < c.initial_blocks) | local, block <= own


@torch.no_grad()
def select(c, q, k, start):
    """Blocks of queries at positions start.. : bool [B, kv, n, blocks]; S is a multiple of the block."""
    rows, heads, count, _ = q.shape
    length = k.shape[2]
    blocks = length // c.block
    fine, coarse = (keys.bfloat16().float() for keys in pooled_keys(c, k))
    chosen = torch.zeros(rows, c.kv_heads, count, blocks, dtype=torch.bool, device=q.device)
    step = max(128, int(1.2e8 / (heads * rows * max(1, length // c.stride))) // 128 * 128)
    for begin in range(0, count, step):
        positions = torch.arange(start + begin, start + min(count, begin + step), device=q.device)[None]
        scores = block_scores(c, q[:, :, begin:begin + step], fine, coarse, positions)
        forced, past = forced_blocks(c, positions, blocks)
        # In bf16, the lower block first among equals: the bits of a number from 0 on rank as it does.
        ranks = scores.exp().bfloat16().float().view(torch.int32).masked_fill(forced, 0x7F810000).masked_fill(~past, 0)
        best = (ranks - torch.arange(blocks, device=q.device, dtype=torch.int32)).topk(min(c.top + c.window // c.block, blocks), -1).indices
        chosen[:, :, begin:begin + step] = torch.zeros(scores.shape, dtype=torch.bool, device=q.device).scatter_(-1, best, True) & past
    return chosen


def attend_masked(c, q, k, v, chosen, start):
    """Attention of queries at positions start.. over their chosen blocks, with explicit masks."""
    group = c.heads // c.kv_heads
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    keys = torch.arange(k.shape[2], device=q.device)
    out = []
    for begin in range(0, q.shape[2], 1024):
        end = min(q.shape[2], begin + 1024)
        mask = chosen[:, :, begin:end].repeat_interleave(c.block, -1)
        mask = mask & (keys <= torch.arange(start + begin, start + end, device=q.device)[:, None])
        out.append(F.scaled_dot_product_attention(q[:, :, begin:end], k, v, attn_mask=mask.repeat_interleave(group, 1)))
    return torch.cat(out, 2)


TILE = 128
_flex = {}


def flex(q, k, v, pairs, mask, name):
    """FlexAttention over the tiles of 128 x 128 that `pairs` [B or 1, heads or 1, tiles, tiles] names; compiled once for each
    mask and shape, on a card."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention
    if name not in _flex:
        _flex[name] = torch.compile(flex_attention, dynamic=False) if q.is_cuda else flex_attention
    count = pairs.sum(-1).int().contiguous()
    order = pairs.to(torch.uint8).sort(dim=-1, descending=True, stable=True).indices.int().contiguous()
    blocks = BlockMask.from_kv_blocks(count, order, BLOCK_SIZE=TILE, mask_mod=mask)
    return _flex[name](q.contiguous(), k.contiguous(), v.contiguous(), block_mask=blocks, enable_gqa=True)


def attend_local(q, k, v, start, window=512):
    """Tokens before `start` see the first 64 and the last 512 tokens, those from `start` on see all: for a long document's cheap
    reading, since a sentence is understood from those around it and looked up from afar only by the questions."""
    length = q.shape[2]
    tile = torch.arange(length // TILE, device=q.device)
    query, key = tile[:, None], tile[None]
    near = (query - key - 1) * TILE < window
    pairs = (key <= query) & (near | (key == 0) | ((query + 1) * TILE > start))
    begin = torch.full((q.shape[0],), start, device=q.device)

    def mask(row, head, query, key):
        return (key <= query) & ((query - key < window) | (key < 64) | (query >= begin[row]))

    return flex(q, k, v, pairs[None, None], mask, "local")


def attend_tiles(c, q, k, v, chosen):
    """The same as `attend_masked` for all tokens: tiles that nobody chose are skipped."""
    tile, group = TILE, c.heads // c.kv_heads
    pairs = chosen.unflatten(2, (-1, tile)).unflatten(4, (-1, tile // c.block)).any(-1).any(3)
    pairs = pairs.repeat_interleave(group, 1)
    flags = chosen.to(torch.uint8)

    def mask(row, head, query, key):
        return (flags[row, head // group, query, key // c.block] > 0) & (key <= query)

    return flex(q, k, v, pairs, mask, "tiles")


def selection_loss(c, q, k, positions):
    """Cross entropy from the dense attention's mass over the freely selectable blocks to the softmax of their scores.

    Teaches the ranking to find what dense attention reads; positions [B, n] are the queries where that is asked for.
    """
    rows, heads, length, width = q.shape
    group, count, blocks = c.heads // c.kv_heads, positions.shape[1], length // c.block
    picked = q.gather(2, positions[:, None, :, None].expand(-1, heads, -1, width))
    forced, past = forced_blocks(c, positions, blocks)
    free = past & ~forced
    with torch.no_grad():
        scores = (picked.reshape(rows, c.kv_heads, group * count, width) @ k.transpose(-1, -2)).float() * width ** -0.5
        later = torch.arange(length, device=q.device) > positions[:, None, None, :, None]
        mass = scores.unflatten(2, (group, count)).masked_fill(later, float("-inf")).softmax(-1).mean(2)
        mass = mass.unflatten(-1, (blocks, c.block)).sum(-1) * free
    ranking = block_scores(c, picked, *pooled_keys(c, k), positions).masked_fill(~free, -1e4).log_softmax(-1)
    return -(mass * ranking.masked_fill(~free, 0.0)).sum(-1).mean()
