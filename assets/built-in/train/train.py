"""Training, in one leg of at most ten minutes that can go on from the checkpoint of another.

    python3 train.py --out DIR [--resume DIR] [--plan scratch|further|written|sparser|last|more|tiny] [--seconds 560] [--rate 0.3] [--no-selection-loss]

A plan is a list of phases: the lengths of the rows with their shares of the steps, seconds, and how the steps on rows longer than the
shortest are shared between dense, sparse ("every token selects"), tail ("only the questions select"), and for the longest rows local
and local tail ("the document's tokens see their neighbours only"), which costs a fifth. Time, not steps, ends a
phase, since time is what is given. The mean of the weights over the second half of the time is kept beside the last ones (OUT/mean):
it is often better. Matrices are trained with Muon, the rest with AdamW; linear decay over the second half.
"""

import argparse
import json
import math
import os
import time

import torch
from safetensors.torch import load_file, save_file

from data import ROOM, Batches
from model import Config, Model, initial_weights

TOKENS = 131072
PLANS = {
    "scratch": [
        dict(lengths={512: 1}, seconds=115),
        dict(lengths={1024: 1}, seconds=110, jumps=0.3),
        dict(lengths={2048: 1}, seconds=80, jumps=0.4, selection=0.1),
        dict(lengths={1024: 0.4, 8192: 0.6}, seconds=90, jumps=0.3, selection=0.1, sparse=0.2, tail=0.4),
        dict(lengths={1024: 0.3, 8192: 0.2, 32768: 0.5}, seconds=140, selection=0.1, sparse=0.25, tail=0.45),
    ],
    "further": [
        dict(lengths={1024: 0.8, 4096: 0.2}, seconds=60, jumps=0.3, selection=0.1, tail=0.3),
        dict(lengths={1024: 0.34, 4096: 0.12, 8192: 0.1, 16384: 0.19, 32768: 0.25}, seconds=240, jumps=0.3, selection=0.1,
             **{"sparse": 0.25, "tail": 0.25, "local": 0.1, "local tail": 0.05}),
    ],
    "written": [
        dict(lengths={1024: 0.8, 4096: 0.2}, seconds=100, jumps=0.3, selection=0.1, tail=0.3),
        dict(lengths={1024: 0.34, 4096: 0.12, 8192: 0.1, 16384: 0.19, 32768: 0.25}, seconds=430, jumps=0.3, selection=0.1,
             **{"sparse": 0.35, "tail": 0.25, "local": 0.05, "local tail": 0.05}),
    ],
    "sparser": [
        dict(lengths={1024: 0.8, 4096: 0.2}, seconds=100, jumps=0.3, selection=0.1, tail=0.3),
        dict(lengths={1024: 0.34, 4096: 0.1, 8192: 0.12, 16384: 0.2, 32768: 0.24}, seconds=430, jumps=0.3, selection=0.1, sparse=0.5, tail=0.2),
    ],
    "last": [
        dict(lengths={1024: 0.38, 4096: 0.1, 8192: 0.12, 16384: 0.18, 32768: 0.22}, seconds=530, jumps=0.3, selection=0.1, sparse=0.5, tail=0.2),
    ],
    "more": [
        dict(lengths={1024: 0.42, 4096: 0.1, 8192: 0.1, 16384: 0.16, 32768: 0.22}, seconds=250, jumps=0.3, selection=0.1, sparse=0.55, tail=0.2),
    ],
    "tiny": [
        dict(lengths={256: 1}, seconds=20, tokens=2048),
        dict(lengths={256: 0.2, 1024: 0.8}, seconds=20, tokens=2048, jumps=0.4, selection=0.1, sparse=0.3, tail=0.3),
    ],
}
# Shorter rows gain nothing from skipped tiles.
FAR = 16384
AGAIN = 0.3


def orthogonalised(gradient, steps=5):
    """The nearest orthogonal matrix, roughly (Newton-Schulz, Muon's coefficients)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient.bfloat16()
    turned = x.size(-2) > x.size(-1)
    x = x.mT if turned else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if turned else x).float()


class Optimizer:
    """Muon for the layers' matrices, stacked by shape; AdamW for embedding and norms."""

    def __init__(self, weights, matrix_rate=0.02, other_rate=4e-3):
        self.matrix_rate, self.other_rate, self.stacks = matrix_rate, other_rate, {}
        others = []
        for name, weight in weights.items():
            if weight.dim() == 2 and "embed" not in name:
                self.stacks.setdefault(tuple(weight.shape), []).append(weight)
            else:
                others.append(weight)
        self.momentum = {shape: torch.zeros(len(stack), *shape, device=stack[0].device) for shape, stack in self.stacks.items()}
        self.adam = torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)

    @torch.no_grad()
    def step(self, factor, momentum=0.95):
        for shape, stack in self.stacks.items():
            gradient, mean = torch.stack([w.grad for w in stack]), self.momentum[shape]
            mean.lerp_(gradient, 1 - momentum)
            change = orthogonalised(gradient.lerp(mean, momentum)) * max(1.0, shape[0] / shape[1]) ** 0.5
            rate = self.matrix_rate * factor
            torch._foreach_mul_(stack, 1 - rate * 0.02)
            torch._foreach_add_(stack, list(change.unbind(0)), alpha=-rate)
            for w in stack:
                w.grad = None
        for group in self.adam.param_groups:
            group["lr"] = self.other_rate * factor
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)


def jumping_positions(rows, length, context, share, device):
    """Positions with two random jumps in a share of the rows, so that short rows see long distances too."""
    positions = torch.arange(length, device=device).expand(rows, length).clone()
    for _ in range(2):
        at = torch.randint(8, length, (rows, 1), device=device)
        far = torch.exp(torch.rand(rows, 1, device=device) * math.log(max(2, (context - length) // 2))).long()
        far = far * (torch.rand(rows, 1, device=device) < share)
        positions += far * (torch.arange(length, device=device) >= at)
    return positions


def save(weights, folder, parts=3):
    """bfloat16, in parts that are small enough to be carried about."""
    os.makedirs(folder, exist_ok=True)
    names = list(weights)
    size = -(-sum(w.numel() for w in weights.values()) // parts)
    share, count, part = {}, 0, 0
    for name in names:
        share[name] = weights[name].detach().to(torch.bfloat16).cpu().contiguous()
        count += share[name].numel()
        if count >= size or name == names[-1]:
            save_file(share, os.path.join(folder, f"weights-{part}.safetensors"))
            share, count, part = {}, 0, part + 1


def load(folder, device):
    """The weights of a folder; of several, joined by +, their mean."""
    if "+" in folder:
        legs = [load(one, device) for one in folder.split("+")]
        return {name: (sum(leg[name].detach() for leg in legs) / len(legs)).requires_grad_(True) for name in legs[0]}
    weights = {}
    for part in sorted(name for name in os.listdir(folder) if name.startswith("weights-")):
        weights.update(load_file(os.path.join(folder, part)))
    return {name: w.float().to(device).requires_grad_(True) for name, w in weights.items()}


def batches(length, tokens, looked_up, seed, workers):
    made = Batches(length, tokens, looked_up, seed)
    extra = dict(prefetch_factor=4 if length <= 2048 else 2, pin_memory=torch.cuda.is_available()) if workers else {}
    return iter(torch.utils.data.DataLoader(made, batch_size=None, num_workers=workers, **extra))


class Mean:
    """The mean of the weights over the second half of the planned time, one of them every few seconds."""

    def __init__(self, weights):
        self.sums = {name: torch.zeros_like(w) for name, w in weights.items()}
        self.count, self.last = 0, 0.0

    @torch.no_grad()
    def see(self, weights, done, now):
        if done > 0.5 and now - self.last > 3:
            self.count, self.last = self.count + 1, now
            torch._foreach_add_(list(self.sums.values()), [w.detach() for w in weights.values()])

    def weights(self):
        return {name: total / max(1, self.count) for name, total in self.sums.items()}


class Leg:
    """One run: the clock, the plan, the log."""

    def __init__(self, arguments):
        self.a = arguments
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(arguments.seed)
        torch.set_float32_matmul_precision("high")
        self.start = time.time()
        config = Config() if arguments.plan != "tiny" else Config(hidden=128, layers=2, heads=4, head_dim=32, intermediate=128)
        weights = load(arguments.resume, self.device) if arguments.resume else initial_weights(config, arguments.seed, self.device)
        kind = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.model = Model(config, weights, kind, compiled=self.device == "cuda")
        scale = arguments.rate or (0.6 if arguments.resume else 1.0)
        self.optimizer = Optimizer(weights, 0.02 * scale, 4e-3 * scale)
        self.mean = Mean(weights)
        self.plan = PLANS[arguments.plan]
        self.total = sum(phase["seconds"] for phase in self.plan)
        self.tiles_work, self.parts = True, {}
        self.steps = self.tokens = self.waited = 0

    def factor(self, planned):
        """Of the learning rate: a short warm-up, then linear decay over the second half of the planned time."""
        done = planned / self.total
        return min(1.0, (self.steps + 1) / 150) * (1.0 if done < 0.5 else 0.03 + 0.97 * max(0.0, 1 - done) / 0.5)

    def mode(self, phase, length, generator):
        """How a step attends. The cheap reading of the document ("local", see sparse.py) is for the longest rows."""
        x = torch.rand((), generator=generator).item()
        for mode in ("sparse", "tail", "local", "local tail"):
            x -= phase.get(mode, 0)
            if x < 0:
                break
        else:
            return "dense"
        if mode in ("sparse", "local", "local tail") and (length < FAR or not self.tiles_work):
            return {"sparse": "tail", "local": "dense", "local tail": "tail"}[mode]
        return mode

    def step(self, batch, mode, phase, factor):
        """One change of the weights; a batch that the card has no memory for is halved, and so are those after it."""
        length = batch[0].shape[1]
        while True:
            parts = self.parts.get(length, 1)
            try:
                result = sum(self.gradient(*part, mode, phase, parts) for part in zip(*(t.chunk(parts) for t in batch)))
                break
            except torch.cuda.OutOfMemoryError:
                self.forget()
                if parts >= len(batch[0]):
                    raise
                self.parts[length] = 2 * parts
                torch.cuda.empty_cache()
        self.optimizer.step(factor)
        return result

    def forget(self):
        for w in self.model.weights.values():
            w.grad = None

    def gradient(self, ids, loss_weights, looked_up, mode, phase, parts):
        rows, length = ids.shape
        selection = 0.0 if self.a.no_selection_loss else phase.get("selection", 0.0)
        how = dict(mode=mode, tail=min(ROOM, length // 4))
        # Jumps would spoil the local window, which counts tokens, not positions.
        if mode == "dense" and phase.get("jumps"):
            how["positions"] = jumping_positions(rows, length, self.model.c.context, phase["jumps"], self.device)
        if selection:
            how["looked_up"] = looked_up
        loss, right, total, ranking = self.model.loss(ids, loss_weights, **how)
        ((loss + selection * ranking) / parts).backward()
        return torch.stack([loss.detach() / parts, right.float(), total.float(), ranking.detach() / parts])

    def run(self):
        before = 0.0
        for number, phase in enumerate(self.plan):
            self.phase(number, phase, before)
            before += phase["seconds"]
            save(self.model.weights, self.a.out)
        if self.mean.count:
            save(self.mean.weights(), os.path.join(self.a.out, "mean"))
        print(f"{self.steps} steps, {self.tokens / 1e6:.0f} M tokens, {time.time() - self.start:.0f} s", flush=True)

    def phase(self, number, phase, before):
        seed, lengths = self.a.seed * 100 + number, phase["lengths"]
        loaders = self.loaders(phase, seed)
        generator = torch.Generator().manual_seed(seed)
        begun = logged = time.time()
        sums, steps, done, kept = {}, 0, 0, {}
        while (spent := time.time() - begun) < phase["seconds"] and time.time() - self.start < self.a.seconds:
            x = torch.rand((), generator=generator).item()
            length = next((n for i, n in enumerate(lengths) if x < sum(list(lengths.values())[:i + 1])), max(lengths))
            mode = self.mode(phase, length, generator) if length > min(lengths) or len(lengths) == 1 else "dense"
            batch = self.batch(loaders[length], kept.setdefault(length, []), length > min(lengths), generator)
            try:
                result = self.step(batch, mode, phase, self.factor(before + spent))
            except Exception as problem:  # noqa: BLE001 - a leg must not end because one way of attention does not run here
                if mode not in ("sparse", "local", "local tail"):
                    raise
                print(f"{mode} attention over tiles fails here ({type(problem).__name__}: {str(problem)[:300]}); tail or dense instead", flush=True)
                self.tiles_work = False
                self.forget()
                continue
            tokens = batch[0].numel()
            self.mean.see(self.model.weights, (before + spent) / self.total, time.time())
            self.steps, self.tokens, steps, done = self.steps + 1, self.tokens + tokens, steps + 1, done + tokens
            total, count = sums.get((length, mode), (0.0, 0))
            sums[length, mode] = total + result, count + 1
            if time.time() - logged > 10:
                self.log(sums, steps, done / (time.time() - logged), before + spent)
                sums, steps, done, logged = {}, 0, 0, time.time()
        if sums:
            self.log(sums, steps, done / (time.time() - logged), before + time.time() - begun)

    def batch(self, loader, kept, again, generator):
        """The next batch. Long rows take longer to write than to learn from: some are learnt from twice, long after each other."""
        if again and len(kept) > 8 and torch.rand((), generator=generator).item() < AGAIN:
            return kept.pop(int(torch.rand((), generator=generator).item() * len(kept)))
        begun = time.time()
        batch = [t.to(self.device, non_blocking=True) for t in next(loader)]
        self.waited += time.time() - begun
        if again and len(kept) < 16:
            kept.append(batch)
        return batch

    def loaders(self, phase, seed):
        """One for each length; the workers are shared by tokens, longer rows cost more time for each."""
        batch = {n: phase.get("tokens", TOKENS if n <= 4096 else TOKENS // 2) for n in phase["lengths"]}
        work = {n: share * batch[n] * (1 if n <= 2048 else 3) for n, share in phase["lengths"].items()}
        shares = {n: max(1, round(self.a.workers * work[n] / sum(work.values()))) if self.a.workers else 0 for n in work}
        return {n: batches(n, batch[n], 48, seed + 50 * i, shares[n]) for i, n in enumerate(batch)}

    def log(self, sums, steps, speed, planned):
        parts = []
        for (length, mode), (total, n) in sorted(sums.items()):
            loss, right, answers, ranking = total.tolist()
            parts.append(f"{length} {mode} x{n}: loss {loss / n:.3f} right {right / max(1, answers):.4f} ranking {ranking / n:.2f}")
        memory = torch.cuda.max_memory_allocated() / 2 ** 30 if self.device == "cuda" else 0
        print(f"{time.time() - self.start:6.1f} s, waited {self.waited:.1f} s  {'  '.join(parts)}  rate {self.factor(planned):.2f}  "
              f"{speed / 1e6:.3f} Mtok/s  {memory:.0f} GiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume")
    parser.add_argument("--plan", default="scratch", choices=PLANS)
    parser.add_argument("--seconds", type=float, default=520)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="of the learning rate: 1 from scratch, 0.6 for a leg that goes on, unless given")
    parser.add_argument("--no-selection-loss", action="store_true")
    leg = Leg(parser.parse_args())
    leg.run()
    with open(os.path.join(leg.a.out, "run.json"), "w") as file:
        json.dump(dict(vars(leg.a), steps=leg.steps, tokens=leg.tokens), file)


if __name__ == "__main__":
    main()
