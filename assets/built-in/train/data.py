"""Rows of tokens: one chat each, the document in the first user turn, questions and answers after it, padded to the length.

    <s><|im_start|>user\\n{document}\\n\\n{question}<|im_end|>\\n<|im_start|>assistant\\n{answer}<|im_end|>\\n<|im_start|>user\\n...
"""

import os
from bisect import bisect_left, bisect_right

import numpy as np
import torch

import tokenizer
from documents import Documents
from talk import NOT_FOUND

# The workers are processes of their own.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
DOCUMENT, QUESTION, ANSWER, FIRST, OPENING = 0.06, 0.1, 1.0, 1.6, 3.0
# Saying that something is not there is the way out when a fact is hard to find: it must not be learnt as one.
REFUSAL = 0.6
# Tokens at the end of long rows for the questions; train.py's "tail" steps take the same.
ROOM = 6144


class Rows:
    """Makes rows from one random sequence; also tells where answers and their facts are."""

    def __init__(self, seed, held_out=False):
        self.made = Documents(seed, held_out)
        self.words = self.made.words
        self.tokenizer = tokenizer.load()

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def cut(self, text, turns, tokens):
        """The document's beginning of about so many tokens, and the questions that it answers. A tenth of the text tells how many
        characters make a token."""
        sample = text[len(text) // 2:][:max(2000, len(text) // 10)]
        end = int(tokens * 0.98 * len(sample) / len(self.encode(sample)))
        if len(text) <= end:
            return text, turns
        end = max(text.rfind(".", 0, end), text.rfind("\n", 0, end)) + 1
        return text[:end], [turn for turn in turns if turn[3] <= end]

    def row(self, length, questions=None, absent=0.04, chat=0.025):
        """(ids, weights, answers): an answer is (first token, end, fact's first token, its end); -1 where there is none."""
        w = self.words
        if length <= 2048 and w.chance(chat):
            turns, text, room = [], "", length
        else:
            # Short documents matter too, whatever the row's length; about 3.7 characters make a token. Long rows leave their end
            # to the questions, where "tail" steps train the selection.
            room = min(ROOM, length // 4)
            share = 0.15 + 0.55 * w.r() if length <= 2048 else 1 - room / length
            count = questions or max(3, int(length * (1 - share) / 22)) if length <= 2048 else questions or room // 24
            text, turns = self.made.make(int(length * share * (3.7 if length <= 2048 else 4.6)), min(count, 260), absent, 0.05 if length <= 2048 else 0.03)
            if not turns and w.chance(0.8):
                return self.row(length, questions, absent, chat)
            if length > 2048:
                text, turns = self.cut(text, turns, int(length * share))
        ids, weights, answers = [tokenizer.BOS], [0.0], []

        def put(tokens, weight):
            ids.extend(tokens)
            weights.extend([weight] * len(tokens))

        def turn(content, answer, begin, end, offset):
            put([tokenizer.IM_START], 0.0)
            encoded = self.tokenizer.encode("user\n" + content, add_special_tokens=False)
            base = len(ids)
            document = next((i for i, (_, e) in enumerate(encoded.offsets) if e > offset + 5), len(encoded.ids))
            # The words of a long document must not outweigh the answers about it.
            put(encoded.ids[:document], DOCUMENT * min(1.0, 2048 / length))
            put(encoded.ids[document:], QUESTION)
            if offset:
                turn.ends, turn.base = [b - 5 for _, b in encoded.offsets], base
            put([tokenizer.IM_END, *newline, tokenizer.IM_START, *assistant], 0.0)
            first = len(ids)
            # The question that stands with the document is what people ask; those after it are practice.
            weight = (ANSWER * OPENING if offset else ANSWER) * (REFUSAL if answer == NOT_FOUND else 1.0)
            put(self.encode(answer), weight)
            weights[first] = FIRST * weight
            put([tokenizer.IM_END], weight)
            fact = (turn.base + bisect_right(turn.ends, begin), turn.base + bisect_left(turn.ends, end) + 1) if begin >= 0 else (-1, -1)
            answers.append((first, len(ids), *fact))
            put(newline, 0.0)

        turn.ends, turn.base = [], 0
        newline, assistant = self.encode("\n"), self.encode("assistant\n")
        talk_at = w.between(1, 9) if w.chance(0.15) else 99
        if text and not turns:
            turns = [(w.one(["What is the password?", "Who is the president?"]), NOT_FOUND, -1, -1)]
        number = 0
        while len(ids) < length:
            if number == talk_at or not text:
                turns.insert(0, (*self.made.small_talk(not text), -1, -1))
            if not turns:
                break
            question, answer, begin, end = turns.pop(0)
            before = len(ids), len(answers)
            turn(text + "\n\n" + question if text and number == 0 else question, answer, begin, end, len(text) if number == 0 else 0)
            number += 1
            if len(ids) > length:
                del ids[before[0]:], weights[before[0]:], answers[before[1]:]
                break
            if not text and w.chance(0.12):
                break
        return ids, weights, answers


class Batches(torch.utils.data.IterableDataset):
    """(ids, weights, looked-up positions) for ever; a batch has `tokens` tokens in rows of `length`."""

    def __init__(self, length, tokens, looked_up, seed):
        self.length, self.rows, self.looked_up, self.seed = length, tokens // length, looked_up, seed

    def __iter__(self):
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        made = Rows(self.seed * 1009 + (worker.id if worker else 0))
        while True:
            yield batch(made, self.length, self.rows, self.looked_up)


def batch(made, length, rows, looked_up):
    ids = np.full((rows, length), tokenizer.EOS, np.int64)
    weights = np.zeros((rows, length), np.float16)
    positions = np.zeros((rows, looked_up), np.int64)
    for i in range(rows):
        answers = []
        while not answers:
            tokens, weight, answers = made.row(length)
        ids[i, :len(tokens)], weights[i, :len(tokens)] = tokens, weight
        found = [at - 1 for first, end, fact, _ in answers if fact >= 0 for at in range(first, min(end - 1, first + 4))]
        made.words.random.shuffle(found)
        found = found[:looked_up] or [len(tokens) - 1]
        positions[i] = (found * looked_up)[:looked_up]
    return torch.from_numpy(ids), torch.from_numpy(weights), torch.from_numpy(positions)
