"""Whether foveal's greedy answers are PyTorch's, token for token, for the shipped folder, dense and sparse.

    python3 compare.py FOVEAL FOLDER [--questions 100] [--device cpu]

Foveal answers questions about the written texts (evaluation/*.json) and a long sample; PyTorch reads prompt and answer in f32
and must find every token of the answer the likeliest one, and the end where foveal ended.
"""

import argparse
import glob
import json
import os
import subprocess
import tempfile

import torch

import tokenizer
from evaluate import HERE, padded, prompt
from export import dequantised
from model import Config, Model


def cases(count):
    """(text, question): every eighth about a long sample, since only there sparse is not dense."""
    path = os.path.join(HERE, "..", "..", "samples", "hotel")
    text = open(path + ".txt").read()
    long = [(text, asked["question"]) for asked in json.load(open(path + ".json"))]
    short = []
    for path in sorted(glob.glob(os.path.join(HERE, "evaluation", "*.json"))):
        case = json.load(open(path))
        short += [(case["text"], question) for question, _ in case["questions"]]
    found = []
    for i, one in enumerate(long):
        found += short[7 * i:7 * i + 7] + [one]
    return (found + short[7 * len(long):])[:count]


def foveal(a, text, question, mode):
    """(tokens of the prompt, the answer's tokens)."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        out = subprocess.run([a.foveal, "generate", "--json", "--model", a.folder, "--device", a.device, "--attention", mode,
                              "--document", file.name, "--prompt", question], capture_output=True, text=True, check=True).stdout
    events = [json.loads(line) for line in out.splitlines()]
    length = next(e["total"] for e in events if e["event"] == "prefill")
    return length, [e["id"] for e in events if e["event"] == "token"]


@torch.no_grad()
def differs(model, ids, answer, mode):
    """The first token of the answer that PyTorch would not have chosen, or None."""
    answer = [token for token in answer if token not in (tokenizer.IM_END, tokenizer.EOS)]
    batch = padded([(ids + answer,)], 256, "cpu")
    x, _ = model.hidden(batch, mode=mode)
    chosen = model.logits(x[len(ids) - 1:len(ids) + len(answer)]).argmax(-1).tolist()
    return next((i for i, (a, b) in enumerate(zip(chosen, answer + [tokenizer.IM_END])) if a != b), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("foveal")
    parser.add_argument("folder")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    code, model = tokenizer.load(), Model(Config(), dequantised(a.folder), torch.float32)
    for mode in ("dense", "sparse"):
        same = asked = 0
        for text, question in cases(a.questions):
            ids = prompt(code, text + "\n\n" + question)
            length, answer = foveal(a, text, question, mode)
            assert length == len(ids), f"the prompt has {length} tokens in foveal, {len(ids)} here: {question}"
            at = differs(model, ids, answer, mode)
            same, asked = same + (at is None), asked + 1
            if at is not None:
                print(f"   {mode}: {question} -> {code.decode(answer)!r} differs from its token {at} on", flush=True)
        print(f"{mode}: {same} of {asked} answers are the same", flush=True)


if __name__ == "__main__":
    main()
