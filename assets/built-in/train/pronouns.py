"""Facts in two sentences: one names the thing, the next says "it": "Vera asked about the oak desk. It costs 90 euros."

The thing is the longest beginning of the statement that a question repeats; the statement then begins with the pronoun and keeps its
verb. People write so all the time; a program that makes one sentence a fact never does.
"""

import re

from phrases import first_upper

CHOICE = re.compile(r"\{([^{}]*)\}")
# E is the thing, P somebody else. The sentence must not answer any question about E.
BEFORE = """
P {asked about|told us about|spoke of|mentioned|is curious about|thinks of|reminded me of|dreams of} E; {everybody|half the town|the whole family} {talks about|knows|has heard of} E
let me tell you about E;you {may|will} {remember|know} E;{a word about|now to|back to|one more thing about|next:} E;E {is a long story|deserves a word|surprised everybody|needs some attention|is not forgotten|comes next}
{last week|yesterday|in the end|this morning} {we|P} {saw|talked about|came across|thought of} E;then there {is|was} E;{nobody|P never} forgets E;{as for|concerning|regarding} E, {here is the news|there is news|we can be brief};{do you remember|who knows|what about} E?
P {likes|does not like|is proud of|laughed about|is interested in|looked for|had {never |}heard of} E;E {is on the list|is on the agenda|was discussed|was mentioned again|came up too|has been in the news}
""".strip().replace("\n", ";").split(";")
# Between the two, now and then: still about the thing, still no answer.
BETWEEN = """{there is not much to say|this is quickly told|here is what I know|it is worth knowing|some people ask|I looked it up};that {is nothing new|was to be expected|is good news|took a while}""".split(";")
# What may come after the thing in a statement that is turned.
VERBS = set("""is was are were has had will can must should does costs weighs lives comes works speaks opens closes starts begins ends lasts takes holds covers carries sells
turned grew moved lost won found made wrote said came went plays likes loves hates keeps owns runs teaches married bought sold measures stands lies leaves arrives
departs belongs contains employs needs wants became got gave paid broke fell rose reached stayed answered called studied joined founded retired resigned""".split())


class Pronouns:
    """Turns facts of one random sequence."""

    def __init__(self, words):
        self.w = words

    def choose(self, text):
        while found := CHOICE.search(text):
            text = text[:found.start()] + self.w.one(found.group(1).split("|")) + text[found.end():]
        return re.sub(r" +", " ", text).strip()

    def thing(self, text, asked):
        """(the thing, the rest from its verb on, the questions that name it), or None."""
        words = text.split(" ")
        for count in range(min(6, len(words) - 2), 0, -1):
            thing, verb = " ".join(words[:count]), words[count]
            if verb not in VERBS or not (thing[0].isupper() or thing.split(" ")[0] in ("the", "our", "my") and count > 1):
                continue
            named = [q for q in asked if re.search(rf"\b{re.escape(thing)}\b", q[0], re.I) and q[1].lower() not in thing.lower()]
            return (thing, words[count:], named) if named else None
        return None

    def turned(self, text, asked, people):
        """(two or three sentences, their questions), or None where the fact does not lend itself to it."""
        w = self.w
        if any(len(q) != 2 for q in asked) or ". " in text:
            return None
        found = self.thing(text, asked)
        if found is None:
            return None
        thing, rest, named = found
        person = thing[0].isupper()
        if thing.endswith("s") and not person or rest[0] in ("are", "were") or " and " in thing:
            return None
        known = next((p.pronoun for p in people if thing in (p.text, *p.short) and p.pronoun), "")
        title = thing.split(" ")[0]
        # One capitalised word that is no first name is a town or a firm; "our" stands before bartenders and boats.
        he = known or {"Mrs": "she", "Ms": "she", "Mr": "he"}.get(title) or w.one(["she", "he"])
        it = w.one([he, "it"]) if title in ("our", "my") else he if person and (thing != title or thing in w.first) else "it"
        others = [p.text for p in people if not p.plural and thing not in (p.text, *p.short) and p.text not in text]
        before = self.choose(w.one(BEFORE).replace("P", "\1"))
        before = re.sub(r"\bE\b", lambda _: thing, before).replace("\1", w.one(others) if others else "the clerk")
        sentences = [before] + ([self.choose(w.one(BETWEEN))] if w.chance(0.12) else []) + [" ".join([it] + rest)]
        return " ".join(first_upper(s) + ("" if s[-1] in ".!?" else ".") for s in sentences), named
