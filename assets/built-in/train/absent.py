"""Questions that a document nearly answers: those of a fact with one word changed.

"What is the code of the white lighthouse?", where the amber one's and the grey one's are told. The word that is changed stands in
the fact's sentence and says which thing, person, town or office is meant; the new one is of the same kind and is often one
that the document uses for something else, so that neither a missing word nor a fact of the kind asked for tells what to answer.
"""

import re

from phrases import COLOURS, DAYS, EVENTS, EVERYDAY, FOODS, JOBS, MONTHS, ROOMS, first_upper

WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
# A name, not the first word of a sentence.
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
DATES = {*DAYS, *MONTHS}
# Words of questions that tell what is asked for, not of what.
COMMON = set("""the and for was were are has have had does did who what when where which why how much many long with from that this they you
person time day date name number price code place open start end first last new old other only main next best worst about into""".split())

# One of the two words before a noun or its adjective is one of these; verbs are left alone.
DETERMINERS = set("the a an our my his her their your this of".split())


class Absent:
    """Changes questions about one document."""

    def __init__(self, words, text):
        self.w, self.text, self.low = words, text, text.lower()
        if not hasattr(words, "kinds"):
            words.kinds = [set(COLOURS) | set(words.adjectives), set(JOBS), set(words.first), set(EVERYDAY) | set(FOODS) | set(EVENTS) | set(ROOMS),
                           set(words.nouns["artifact"]) | set(words.nouns["place"]), set(words.nouns["animal"])]
        self.kinds = words.kinds
        self.named = sorted(set(NAME.findall(text)) - DATES)
        self.common = sorted({word for word in WORD.findall(self.low) if len(word) > 3})

    def other(self, word):
        """Another word of the same kind; every second time one of the document."""
        w = self.w
        if word[0].isupper():
            first = word in self.kinds[2]
            if first_upper(word.lower()) == word and word.lower() in self.kinds[0]:
                return first_upper(w.adjective())
            found = [n for n in self.named if (n in self.kinds[2]) == first] if w.chance(0.5) else []
            return w.one(found) if found else w.first_name() if first else w.one([w.surname, w.town])()
        for kind in self.kinds:
            if word in kind:
                here = [c for c in self.common if c in kind and c != word] if w.chance(0.5) else []
                if here:
                    return w.one(here)
                if kind is self.kinds[0]:
                    return w.one(COLOURS) if word in COLOURS or w.chance(0.3) else w.adjective()
                return w.one(JOBS) if kind is self.kinds[1] else w.noun("animal") if kind is self.kinds[5] else w.one(EVERYDAY) if kind is self.kinds[3] else w.noun(w.one(["artifact", "place"]))
        return None

    def twisted(self, question, answer, begin, end):
        """The question with one word changed so that the document does not answer it, or None."""
        sentence = self.text[begin:end]
        own = set(WORD.findall(sentence.lower()))
        spans = [m for m in WORD.finditer(question) if m.start() and m.group().lower() in own and m.group().lower() not in COMMON and len(m.group()) > 2
                 and (m.group()[0].isupper() or not DETERMINERS.isdisjoint(WORD.findall(question[:m.start()].lower())[-2:]))]
        self.w.random.shuffle(spans)
        for span in spans[:3]:
            word, new = span.group(), self.other(span.group())
            if new is None or new.lower() == word.lower() or new.lower() in question.lower() or new.lower() in answer.lower():
                continue
            before = WORD.findall(question[:span.start()].lower())[-1:]
            after = WORD.findall(question[span.end():].lower())[:1]
            beside = [b for b in before + after if b in own and b not in COMMON]
            if self.low.find(new.lower()) >= 0 and self.told(new.lower(), beside, own - {word.lower()} - set(WORD.findall(answer.lower()))):
                continue
            return question[:span.start()] + new + question[span.end():]
        return None

    def told(self, new, beside, own):
        """Whether a sentence with the new word, or the two after it that may say "it" for it, may answer: they have a word that stands
        beside it in the question, or, where none stands there, any other of the fact's."""
        for found in re.finditer(re.escape(new), self.low):
            start = max(self.low.rfind(".", 0, found.start()), self.low.rfind("\n", 0, found.start())) + 1
            stop = found.end()
            for _ in range(3):
                stop = min(i + 1 if i >= 0 else len(self.low) for i in (self.low.find(".", stop), self.low.find("\n", stop)))
            here = set(WORD.findall(self.low[start:stop])) - {new}
            if not here.isdisjoint(beside) if beside else any(len(o) > 3 and o not in COMMON for o in own & here):
                return True
        return False
