"""Questions about sentences that people wrote: WordNet's examples, taken apart by a few rules.

"He hung the picture on the wall" has a subject, a verb that the word lists know, an object and what follows a preposition; each
can be asked for. The generator's own sentences put any verb to any noun; these go together as they do in the language.
A pronoun as the subject becomes a name, so that the question means this sentence and no other.
"""

import re

from phrases import CORPUS, JOBS, first_upper
from verbs import forms

PREPOSITIONS = "in on at under over with for from to into through near behind against across about after before during between by without around along inside outside".split()
NOT_BEGUN = {"a", "an", "any", "both", "but", "if", "it", "no", "not", "our", "some", "there", "these", "those", "what", "when", "why", "you", "your"}
FIRST_PERSON = re.compile(r"\b(I|my|me|our|us|we|myself)\b")
BE = {"is": "is", "was": "was", "are": "are", "were": "were"}
PLACES = set(CORPUS["nouns"]["artifact"]) | set(CORPUS["nouns"]["place"])
PEOPLE = set(CORPUS["nouns"]["person"]) | set(JOBS) | {"chef", "police", "crowd", "family", "team"}


def verb_forms():
    """From past forms, and from forms with -s, to the base; and the participles."""
    past, third, participles = {}, {}, set()
    for base in CORPUS["verbs"]:
        s, before, participle, _ = forms(base)
        past.setdefault(before, base)
        third.setdefault(s, base)
        participles.add(participle)
    return past, third, participles


PAST, THIRD, PARTICIPLES = verb_forms()


def taken_apart(sentence):
    """(kind, subject, verb, object, preposition, what follows it), or None. The subject is None where a name is to be put."""
    words = sentence.split()
    if not 4 <= len(words) <= 14 or FIRST_PERSON.search(sentence) or re.search(r"[;:()\"]|, ", sentence) or words[0].lower() in NOT_BEGUN:
        return None
    pronoun = words[0] in ("He", "She")
    for at in range(1, 2 if pronoun else min(5, len(words))):
        word = words[at]
        if word in PREPOSITIONS or word in ("who", "that", "which", "and", "or"):
            return None
        if word in BE or word in PAST or word in THIRD and pronoun:
            break
    else:
        return None
    if not pronoun and (at < 2 or words[0] not in ("The", "His", "Her", "This", "Their")):
        return None
    subject = None if pronoun else first_lower(" ".join(words[:at]))
    rest = words[at + 1:]
    if not rest:
        return None
    kind = "past" if word in PAST and word not in BE else "be" if word in BE else "third"
    if kind == "be" and rest[0] in PARTICIPLES and len(rest) > 1:
        kind, word, rest = "passive", f"{word} {rest[0]}", rest[1:]
    cut = next((i for i, w in enumerate(rest) if w in PREPOSITIONS), len(rest))
    return kind, subject, word, " ".join(rest[:cut]), rest[cut] if cut < len(rest) - 1 else "", " ".join(rest[cut + 1:])


def first_lower(text):
    return text[:1].lower() + text[1:]


NATURAL = [(sentence.rstrip(".!"), parts) for sentence in CORPUS["examples"] if (parts := taken_apart(sentence.rstrip(".!")))]


def asked(w, parts, subject):
    """Questions about one such sentence: [(question, answer)]."""
    kind, given, verb, thing, preposition, after = parts
    who = "Who" if given is None or {given.split()[-1], given.split()[-1].rstrip("s")} & PEOPLE else "What"
    tail = f" {preposition} {after}" if preposition else ""
    middle = f" {thing}" if thing else ""
    questions = []
    if kind in ("past", "third"):
        does, base = ("did", PAST[verb]) if kind == "past" else ("does", THIRD[verb])
        questions.append((f"{who} {verb}{middle}{tail if w.chance(0.6) or not thing else ''}?", subject))
        front, back = f"{does} {subject} {base}", ""
        if thing and not thing.endswith("ly") and thing.split()[0] not in ("of", "him", "her", "it", "them", "himself", "herself") + tuple(PREPOSITIONS):
            questions.append((f"What {front}{tail if w.chance(0.5) else ''}?", thing))
    elif kind == "passive":
        is_, participle = verb.split(" ", 1)
        front, back = f"{is_} {subject} {participle}", ""
    else:
        if thing and not preposition:
            head = "What" if thing.split()[0] in ("a", "an", "the", "his", "her") else "How"
            return [(f"{head} {verb} {subject}?", thing)]
        front, back = f"{verb} {subject}{middle}", ""
        middle = ""
    if preposition == "to" and after.split()[0] in CORPUS["verbs"]:
        questions.append((w.one([f"Why {front}{middle}?", f"For what {front}{middle}?"]), f"to {after}"))
    elif preposition:
        last = after.split()[-1].rstrip("s")
        if preposition in ("in", "on", "at", "under", "near", "behind", "into", "over", "through", "between", "around", "along", "inside", "outside") and (last in PLACES and w.chance(0.8) or after[0].isupper()):
            questions.append((f"Where {front}{middle}?", f"{preposition} {after}"))
        elif preposition in ("after", "before", "during") or after[:4].isdigit():
            questions.append((f"When {front}{middle}?", f"{preposition} {after}"))
        else:
            head = "Who" if last in PEOPLE else "What"
            questions.append((w.one([f"{head} {front}{middle} {preposition}?", f"{first_upper(preposition)} {'whom' if head == 'Who' else 'what'} {front}{middle}?"]), after))
    return questions


def natural(w):
    """(sentence, questions), the subject a person of the document if it was a pronoun."""
    sentence, parts = w.one(NATURAL)
    subject = parts[1]
    if subject is None:
        subject = w.person().text
        sentence = first_upper(subject) + " " + sentence.split(" ", 1)[1]
    return sentence, asked(w, parts, subject)
