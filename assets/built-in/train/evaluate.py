"""Evaluation: held-out documents by length, dense and sparse; texts that the generator did not write; the samples; small talk.

    python3 evaluate.py WEIGHTS[+WEIGHTS ..] [--lengths 1024,4096] [--rows 16] [--modes dense,sparse] [--out FILE]

Held-out documents use nouns, adjectives and names that training never saw. For them the answer is right if every token of it is
the likeliest one, which is the same as a right greedy answer. The written texts (evaluation/*.json) are answered by greedy
generation, and are right if the answer contains what is expected.
"""

import argparse
import glob
import json
import os
import time

import torch

import tokenizer
from data import Rows
from model import Config, Model
from talk import NOT_FOUND, TALK
from train import load

HERE = os.path.dirname(os.path.abspath(__file__))


def padded(rows, multiple, device):
    length = -(-max(len(ids) for ids, *_ in rows) // multiple) * multiple
    batch = torch.full((len(rows), length), tokenizer.EOS, dtype=torch.long)
    for i, (ids, *_) in enumerate(rows):
        batch[i, :len(ids)] = torch.tensor(ids)
    return batch.to(device)


@torch.no_grad()
def held_out(model, length, count, mode, device):
    """Right answers, right refusals, and how often a freely selected block held the fact."""
    made = Rows(90000 + length, held_out=True)
    rows = [made.row(length, chat=0.0) for _ in range(count)]
    result = dict(correct=0, asked=0, refused=0, unanswerable=0, free=0, fact_block_selected=0)
    size = max(1, 65536 // length)
    for begin in range(0, count, size):
        part = rows[begin:begin + size]
        ids, probe = padded(part, 256, device), []
        x, _ = model.hidden(ids, mode=mode, probe=probe)
        for i, (tokens, _, answers) in enumerate(part):
            for first, end, fact, fact_end in answers:
                at = torch.arange(i * ids.shape[1] + first - 1, i * ids.shape[1] + end - 1, device=device)
                right = model.logits(x[at]).argmax(-1).tolist() == tokens[first:end]
                if fact < 0:
                    result["unanswerable"] += 1
                    result["refused"] += right
                    continue
                result["asked"] += 1
                result["correct"] += right
                low, high, own = fact // 64, (fact_end - 1) // 64, (first - 1) // 64
                if mode == "sparse" and low >= 1 and high < own - 4:
                    result["free"] += 1
                    result["fact_block_selected"] += any(bool(layer[i, :, first - 1:end - 1, low:high + 1].any()) for layer in probe)
    return result


@torch.no_grad()
def answer(model, code, prompts, device, mode="dense", most=32):
    """Greedy answers to prompts (token lists), without a cache: the plainest loop."""
    prompts, done = [list(p) for p in prompts], [False] * len(prompts)
    starts = [len(p) for p in prompts]
    for _ in range(most):
        # Room for a few answers' tokens, so that the compiled pieces see few shapes.
        ids = padded([(p,) for p in prompts], 256, device)
        x, _ = model.hidden(ids, mode=mode)
        last = torch.tensor([i * ids.shape[1] + len(p) - 1 for i, p in enumerate(prompts)], device=device)
        for i, token in enumerate(model.logits(x[last]).argmax(-1).tolist()):
            if not done[i]:
                done[i] = token in (tokenizer.IM_END, tokenizer.EOS)
                prompts[i] += [] if done[i] else [token]
        if all(done):
            break
    return [code.decode(p[s:]) for p, s in zip(prompts, starts)]


def prompt(code, content):
    return [tokenizer.BOS] + code.encode(f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False).ids


def written(model, mode, device, show, folder=""):
    code, right, asked = tokenizer.load(), 0, 0
    for path in sorted(glob.glob(os.path.join(HERE, "evaluation", folder, "*.json"))):
        case = json.load(open(path))
        questions = case["questions"]
        answers = answer(model, code, [prompt(code, case["text"] + "\n\n" + q) for q, _ in questions], device, mode)
        for (question, expected), given in zip(questions, answers):
            ok = (given == NOT_FOUND) if expected is None else any(e.lower() in given.lower() for e in expected.split("|"))
            right, asked = right + ok, asked + 1
            if show and not ok:
                print(f"   {os.path.basename(path)}: {question} -> {given!r}, expected {expected!r}", flush=True)
    return right, asked


def samples(model, device, longest=12000):
    """The samples' suggested questions, dense."""
    code = tokenizer.load()
    for path in sorted(glob.glob(os.path.join(HERE, "..", "..", "samples", "*.json"))):
        text, right = open(path[:-4] + "txt").read(), 0
        questions = json.load(open(path))
        prompts = [prompt(code, text + "\n\n" + q["question"]) for q in questions]
        if len(prompts[0]) > longest:
            continue
        step = max(1, 65536 // len(prompts[0]))
        given = [a for i in range(0, len(prompts), step) for a in answer(model, code, prompts[i:i + step], device)]
        for question, said in zip(questions, given):
            ok = question["expected"].lower() in said.lower()
            right += ok
            if not ok:
                print(f"   {question['question']} -> {said!r}, expected {question['expected']!r}", flush=True)
        print(f"sample {os.path.basename(path)[:-5]}: {right} of {len(questions)}", flush=True)


def talk(model, device):
    code = tokenizer.load()
    questions = [asked[i] for asked, _ in TALK for i in (0, 1)] + ["What is the capital of France?", "When does the train leave?"]
    for question, given in zip(questions, answer(model, code, [prompt(code, q) for q in questions], device)):
        print(f"   {question} -> {given}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights")
    parser.add_argument("--lengths", default="512,1024,2048,4096,8192,16384,32768")
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--modes", default="dense,sparse")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--out")
    a = parser.parse_args()
    start = time.time()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = Config(hidden=128, layers=2, heads=4, head_dim=32, intermediate=128) if a.tiny else Config()
    weights = {name: w.detach() for name, w in load(a.weights, device).items()}
    model = Model(config, weights, torch.bfloat16 if device == "cuda" else torch.float32)
    results = {}
    modes = a.modes.split(",")
    for mode in modes:
        for folder in ("", "unseen", "fresh", "blind"):
            right, asked = written(model, mode, device, mode == "dense", folder)
            results[f"written {folder} {mode}"] = dict(correct=right, asked=asked)
            print(f"written texts, {folder or 'known'}, {mode}: {right} of {asked}", flush=True)
    samples(model, device)
    talk(model, device)
    for length in map(int, a.lengths.split(",")):
        for mode in modes:
            if time.time() - start > a.seconds:
                break
            r = results[f"{length} {mode}"] = held_out(model, length, a.rows if length > 1024 else 4 * a.rows, mode, device)
            print(f"{length:6d} {mode:6s} {r['correct']}/{r['asked']} = {100 * r['correct'] / max(1, r['asked']):.1f} %  refused "
                  f"{r['refused']}/{r['unanswerable']}  fact selected {r['fact_block_selected']}/{r['free']}  {time.time() - start:.0f} s", flush=True)
    if a.out:
        json.dump(results, open(a.out, "w"), indent=1)


if __name__ == "__main__":
    main()
