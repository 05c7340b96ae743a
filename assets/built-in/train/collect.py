"""Word lists and prose for the corpus, from packages whose licence allows it, into corpus.json.gz.

    apt-get install wordnet-base sqlite3-doc ; pip install faker
    python3 collect.py

WordNet 3.0 (its own permissive licence): nouns by kind, adjectives, verbs with the sentence frames they take, example
sentences, definitions, synonyms. Faker (MIT): names of people. SQLite's documentation (public domain) and the Rust books
(MIT or Apache-2.0): prose to hide facts in. The result is kept in the repository, so that only who changes this file needs
the packages.
"""

import glob
import gzip
import html
import importlib
import json
import os
import re
import subprocess

WORDNET = "/usr/share/wordnet"
# Numbers of WordNet's lexicographer files.
NOUN_KINDS = {"animal": 5, "artifact": 6, "food": 13, "place": 15, "person": 18, "plant": 20, "group": 14, "event": 11,
              "act": 4, "communication": 10, "substance": 27, "attribute": 7}
OFFENSIVE = re.compile(r"\b(offensive|slur|obscene|vulgar|derogatory|disparaging|sexual|ethnic|racist|prostitut|genital)", re.I)


def counts():
    """How often each word was tagged in WordNet's own corpus, by (lemma, part of speech)."""
    table = {}
    for line in open(f"{WORDNET}/cntlist.rev"):
        key, _, count = line.split()
        lemma, rest = key.split("%")
        part = "nvarr"["12345".index(rest[0])]
        table[lemma, part] = table.get((lemma, part), 0) + int(count)
    return table


def synsets(part):
    """(words, lexicographer file, frames, gloss) of every synset."""
    for line in open(f"{WORDNET}/data.{part}"):
        if line.startswith("  "):
            continue
        data, gloss = line.rstrip("\n").split(" | ", 1)
        fields = data.split()
        number = int(fields[3], 16)
        words = [re.sub(r"\(.*\)", "", fields[4 + 2 * i]) for i in range(number)]
        frames = []
        if part == "verb":
            at = 4 + 2 * number
            at += 1 + 4 * int(fields[at])
            count = int(fields[at])
            frames = [int(fields[at + 2 + 3 * i]) for i in range(count) if fields[at + 3 + 3 * i] == "00"]
        yield words, int(fields[1]), frames, gloss.strip()


def plain(word):
    return re.fullmatch(r"[a-z]{3,14}(_[a-z]{3,12})?", word) is not None


def lexicon():
    count = counts()
    nouns = {kind: {} for kind in NOUN_KINDS}
    examples, definitions, synonyms = [], [], []
    offensive = set()
    for words, file, _, gloss in synsets("noun"):
        if OFFENSIVE.search(gloss):
            offensive.update(words)
            continue
        for kind, number in NOUN_KINDS.items():
            if file == number:
                for word in filter(plain, words):
                    nouns[kind][word] = max(nouns[kind].get(word, 0), count.get((word, "n"), 0))
        meaning = gloss.split('; "')[0]
        if file in NOUN_KINDS.values() and plain(words[0]) and 20 < len(meaning) < 90 and "(" not in meaning:
            definitions.append((words[0].replace("_", " "), meaning))
    verbs, forms = {}, {}
    for line in open(f"{WORDNET}/verb.exc"):
        form, lemma = line.split()[:2]
        forms.setdefault(lemma, []).append(form)
    for part in ("verb", "noun", "adj"):
        for words, file, frames, gloss in synsets(part):
            if OFFENSIVE.search(gloss):
                offensive.update(words)
                continue
            for sentence in re.findall(r'"([^"]{18,110})"', gloss):
                if sentence.isascii() and " " in sentence and not re.search(r"[<>\[\]|]", sentence):
                    examples.append(sentence[0].upper() + sentence[1:])
            if part == "verb":
                for word in filter(plain, words):
                    if "_" not in word:
                        verbs.setdefault(word, set()).update(frames)
                common = [w for w in words if plain(w) and "_" not in w and count.get((w, "v"), 0) > 4]
                if 2 <= len(common) <= 5 and {8, 9, 2} & set(frames):
                    synonyms.append(common)
    verbs = {w: sorted(f) for w, f in verbs.items() if count.get((w, "v"), 0) >= 2 and w not in offensive}
    for kind in nouns:
        ranked = sorted(nouns[kind], key=lambda w: (-nouns[kind][w], w))
        once = [w for w in ranked if w not in offensive]
        nouns[kind] = [w.replace("_", " ") for w in once[:1500]]
    adjectives = []
    for words, _, _, gloss in synsets("adj"):
        if not OFFENSIVE.search(gloss):
            adjectives += [w for w in words if plain(w) and "_" not in w and count.get((w, "a"), 0) + count.get((w, "r"), 0) >= 1]
    adjectives = sorted(set(adjectives) - offensive)
    irregular = {w: forms[w] for w in verbs if w in forms}
    return dict(nouns=nouns, adjectives=adjectives, verbs=verbs, irregular=irregular, synonyms=synonyms,
                examples=sorted(set(examples)), definitions=definitions)


def names():
    """First and last names of several countries, in plain letters."""
    first, last = set(), set()
    for locale in ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "sv_SE", "pl_PL", "fi_FI", "tr_TR", "en_IN",
                   "pt_BR", "cs_CZ", "hu_HU", "no_NO", "da_DK", "ro_RO", "hr_HR"):
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for attribute, target in (("first_names_male", first), ("first_names_female", first), ("first_names", first),
                                  ("last_names", last)):
            found = list(getattr(provider, attribute, None) or [])
            target.update(n for n in found[:250] if re.fullmatch(r"[A-Z][a-z]{2,10}", n))
    return dict(first=sorted(first), last=sorted(last))


def paragraphs(pattern, main):
    for path in sorted(glob.glob(pattern, recursive=True)):
        if os.path.basename(path) in ("print.html", "toc.html", "404.html"):
            continue
        text = re.search(main, open(path, encoding="utf8", errors="replace").read(), re.S)
        for part in re.findall(r"<p>(.*?)(?=</?p>|<ul|<ol|<h\d|<block|<div|<pre|<table)", text.group(1) if text else "", re.S):
            part = html.unescape(re.sub(r"<[^>]+>", "", part))
            for before, after in (("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u2014", " - ")):
                part = part.replace(before, after)
            part = re.sub(r"\s+", " ", part).strip()
            if 80 <= len(part) <= 900 and part.isascii() and part[-1] == "." and part[0].isupper():
                if sum(c.isalpha() or c in " .,'" for c in part) > 0.94 * len(part):
                    yield part


def main():
    books = subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip() + "/share/doc/rust/html"
    prose = []
    for book in ("book", "cargo", "nomicon", "embedded-book", "edition-guide", "reference"):
        prose += paragraphs(f"{books}/{book}/**/*.html", r"<main>(.*?)</main>")
    prose += paragraphs("/usr/share/doc/sqlite3/**/*.html", r"<body>(.*)</body>")
    prose = list(dict.fromkeys(prose))
    corpus = dict(lexicon(), prose=prose, **names())
    with gzip.GzipFile("corpus.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(corpus, separators=(",", ":")).encode())
    print({k: len(v) for k, v in corpus.items()}, {k: len(v) for k, v in corpus["nouns"].items()})
    print(os.path.getsize("corpus.json.gz") >> 10, "KiB;", sum(map(len, prose)) >> 10, "KiB of prose")


if __name__ == "__main__":
    main()
