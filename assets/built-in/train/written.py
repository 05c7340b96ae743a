"""Texts that were written, not generated (texts/*.txt), with questions about them.

A file holds texts in this form; the answer stands in the text letter for letter, once, or once within the words after @:

    === kind of text
    the text
    ---
    Q: question | the same question in other words = answer
    Q: question = answer @ words around it
    Q: question = NONE
    names: names that stand in the text, separated by commas

They are few, and would be learnt by heart if they always were the same: names and figures are exchanged for others, in text, questions
and answers alike.

    python3 written.py      # checks all files
"""

import glob
import os
import re
from dataclasses import dataclass

from phrases import CORPUS
from talk import NOT_FOUND

HERE = os.path.dirname(os.path.abspath(__file__))
# Sentences and lines end here, but not after these.
END = re.compile(r"(?<=[.!?])[\"')’”]?\s+|\s*\n\s*")
SHORTENED = re.compile(r"(?:\b(?:[A-Za-z]|\d+[sd]|Mag|Maj|Dept|ST|Mon|Wed|Thurs?|Fri|Sat|Sun|Mrs?|Ms|Mme|Dr|St|Prof|Rev|Fr|Lt|Col|Lt-Col|Capt|Cpt|Sgt|Sr|Jas|Fam|Ing|Messrs|Fig|Tues|Thos|Jos|Wm|Jan|Feb|Aug|Sept|Oct|Nov|Dec|[Nn]os?|approx|abt|bef|ca|est|incl|excl|ext|max|min|vol|pp|tel|e\.g|i\.e|[ap]\.m))\.$")
NAME = re.compile(r"[A-Z][\w'’]*\w")
FIGURE = re.compile(r"(?<![\w.,:/-])(\d{2,4})(?![\w:]|[.,/-]\d)")
FIRST = set(CORPUS["first"])
# Words of names that say what is named stay.
KEPT = {word for words in CORPUS["nouns"].values() for noun in words for word in noun.split()} | set(CORPUS["adjectives"]) | set(
    "mr mrs ms miss dr st sir lady old new saint north south east west upper lower great little royal the of and".split())


@dataclass
class Written:
    """One text: pieces with the gaps after them, and questions as (wordings, answer, piece); piece -1 where there is no answer."""
    pieces: list
    questions: list
    names: list


def parts_of(path):
    """(place, text, lines after it) of each text of a file."""
    with open(path, encoding="utf-8") as file:
        parts = re.split(r"(?m)^=== *", file.read())[1:]
    for number, part in enumerate(parts, 1):
        text, _, questions = part.partition("\n")[2].partition("\n---\n")
        yield f"{os.path.basename(path)} text {number}", text.strip("\n"), [line for line in questions.split("\n") if line.strip()]


def parsed(text, lines, complain):
    """The text's pieces and questions; what is wrong with it goes to `complain`."""
    pieces, begins, at = [], [], 0
    for end in [*END.finditer(text), None]:
        if end and "\n" not in end.group() and SHORTENED.search(text[at:end.start()]):
            continue
        piece, gap = text[at:end.start() if end else len(text)], end.group() if end else "\n\n"
        if piece:
            pieces.append((piece, gap))
            begins.append(at)
        at = end.end() if end else at
    questions, names = [], []
    for line in lines:
        if line.startswith("names:"):
            names = [name.strip() for name in line[6:].split(",") if name.strip()]
            for name in names:
                if name not in text:
                    complain(f"no such name: {name}")
            continue
        asked, equals, answer = line.removeprefix("Q: ").rpartition(" = ")
        answer, _, around = (part.strip() for part in answer.partition(" @ "))
        around = around or answer
        if not line.startswith("Q: ") or not equals or not answer:
            complain(f"not a question with an answer: {line}")
        elif answer == "NONE":
            questions.append((asked.split(" | "), NOT_FOUND, -1))
        elif text.count(around) != 1 or answer not in around:
            complain(f"the answer stands {text.count(around)} times in the text: {line}")
        else:
            place = text.index(around) + around.index(answer)
            questions.append((asked.split(" | "), answer, sum(begin <= place for begin in begins) - 1))
    return Written(pieces, questions, names)


def exchanged(w, text):
    """A function that replaces the text's names and figures by others, everywhere alike."""
    others = {}
    for name in {word for name in text.names for word in NAME.findall(name)}:
        base = name.removesuffix("'s").removesuffix("’s")
        if base.lower() not in KEPT and base.lower().rstrip("s") not in KEPT and not base.isupper():
            others[name] = (w.first_name() if base in FIRST else w.one([w.surname, w.surname, w.town])()) + name[len(base):]

    def figure(match):
        number = match.group(1)
        # First digits stay: a year remains one, a day of the month too, more or less.
        kept = 2 if len(number) == 4 and number[:2] in ("17", "18", "19", "20") else 1
        if number not in others:
            others[number] = number[:kept] + "".join(w.one("0123456789") for _ in number[kept:])
        return others[number]

    return lambda words: FIGURE.sub(figure, NAME.sub(lambda match: others.get(match.group(), match.group()), words))


class Texts:
    """All of them."""

    def __init__(self):
        self.all = [parsed(text, lines, lambda problem: None) for path in sorted(glob.glob(os.path.join(HERE, "texts", "*.txt"))) for _, text, lines in parts_of(path)]

    def one(self, w, alone=True):
        """(pieces, unanswerable questions): a piece is (text, gap, [(question, answer)]). A text that does not stand alone is asked only what
        names something of it."""
        text = w.one(self.all)
        change = exchanged(w, text) if w.chance(0.85) else lambda words: words
        pieces, missing = [(change(piece), gap, []) for piece, gap in text.pieces], []
        names = {word for name in text.names for word in NAME.findall(name)}
        for wordings, answer, piece in text.questions:
            wordings = [words for words in wordings if alone or names.intersection(NAME.findall(words))]
            if not wordings:
                continue
            w.random.shuffle(wordings)
            for question in wordings[:1 if w.chance(0.7) else 2]:
                if piece < 0:
                    missing.append(change(question))
                else:
                    pieces[piece][2].append((change(question), change(answer)))
        return pieces, missing


def main():
    faults = texts = questions = 0
    for path in sorted(glob.glob(os.path.join(HERE, "texts", "*.txt"))):
        for place, text, lines in parts_of(path):
            problems = []
            found = parsed(text, lines, problems.append)
            texts, questions = texts + 1, questions + sum(len(words) for words, _, _ in found.questions)
            for words, answer, piece in found.questions:
                if piece >= 0 and answer not in found.pieces[piece][0]:
                    problems.append(f"the answer is cut by the end of a line or sentence: {words[0]} = {answer}")
            faults += len(problems)
            for problem in problems:
                print(f"{place}: {problem}")
    print(f"{texts} texts, {questions} questions, {faults} faults")


if __name__ == "__main__":
    main()
