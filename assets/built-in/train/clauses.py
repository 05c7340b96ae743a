"""Clauses: who does what to whom, when, where, why; as a statement in many wordings, and a question for each part of it.

A clause has a verb, a subject, perhaps an object, and roles (time, place, to, from, reason, duration, means). `Statement`
chooses tense, voice and order; `question` asks for one role in another tense, voice or verb and names only so many of the
other parts as are needed to mean this clause and no other clause of the document.
"""

from dataclasses import dataclass, field

from phrases import Phrase, first_upper
from verbs import COMMON, GROUPS, MEANING

# Tense -> (finite form or None, auxiliary of a question, plural auxiliary, form after the auxiliary)
AUXILIARY = {"future": "will", "must": "must", "should": "should", "can": "can", "may": "may"}
NEAR = {"past": ["past", "past", "past", "perfect"], "perfect": ["past", "perfect"], "future": ["future", "future", "going", "present", "progressive"],
        "present": ["present"], "progressive": ["progressive", "progressive", "future"], "going": ["going", "future", "progressive"],
        "must": ["must", "must", "need", "should"], "should": ["should", "must"], "need": ["need", "must", "should"], "can": ["can"],
        "may": ["may", "can"], "order": ["should", "must", "do", "need"], "do": ["do"], "planned": ["future", "going", "planned"]}
TENSES = ["past"] * 9 + ["future"] * 5 + ["present"] * 4 + ["perfect"] * 2 + ["progressive", "going", "must", "should", "need", "can", "planned"]
WHEN = {"on": ["When", "When", "On which day", "On what day", "What day", "Which day", "On what date"], "at": ["When", "At what time", "What time"],
        "in": ["When", "In which month or year", "When"], "by": ["By when", "When", "Until when"]}


OBJECTIVE = {"I": "me", "we": "us", "he": "him", "she": "her"}


@dataclass
class Clause:
    """One event of the document."""

    verb: object
    subject: Phrase
    object: Phrase | None
    roles: dict
    tense: str
    also: list = field(default_factory=list)
    kind: str = "-"

    @property
    def meaning(self):
        return MEANING[self.verb.base]

    def part(self, role):
        return self.subject if role == "subject" else self.object if role == "object" else self.roles.get(role)


def verb_group(verb, tense, many, passive=False):
    """(words of the statement, auxiliary of the question, words after the subject of the question)."""
    be = "be " + verb.participle if passive else verb.base
    if tense in AUXILIARY:
        return f"{AUXILIARY[tense]} {be}", AUXILIARY[tense], be
    is_, was, has, does = ("are", "were", "have", "do") if many else ("is", "was", "has", "does")
    if tense == "perfect":
        done = "been " + verb.participle if passive else verb.participle
        return f"{has} {done}", has, done
    if tense == "progressive":
        doing = "being " + verb.participle if passive else verb.gerund
        return f"{is_} {doing}", is_, doing
    if tense == "going":
        return f"{is_} going to {be}", is_, f"going to {be}"
    if tense == "planned":
        return f"{'plan' if many else 'plans'} to {be}", does, f"plan to {be}"
    if tense == "need":
        return f"{'need' if many else 'needs'} to {be}", does, f"need to {be}"
    if passive:
        auxiliary = was if tense == "past" else is_
        return f"{auxiliary} {verb.participle}", auxiliary, verb.participle
    if tense == "past":
        return verb.past, "did", verb.base
    return (verb.base if many else verb.third), does, verb.base


class Clauses:
    """Makes clauses from a pool of people and things that the whole document shares, so that they resemble each other."""

    def __init__(self, words, author=None, people=6, things=8, addressee=None):
        self.w, self.author, self.addressee = words, author, addressee
        self.people = [words.person() if words.chance(0.8) else words.group() for _ in range(people)]
        self.things = {}
        self.pool = things
        self.made = {}
        self.groups = [GROUPS[int(words.r() * COMMON)] if words.chance(0.78) else words.one(GROUPS) for _ in range(max(6, things))]
        self.speakers = ([Phrase("I", speaker=True), Phrase("I", speaker=True), Phrase("we", speaker=True, plural=True)] if author is not None else [])

    def thing(self, kind):
        w = self.w
        if kind == "h":
            if self.addressee and w.chance(0.2):
                return Phrase("you", speaker=True) if w.chance(0.5) else Phrase("me", speaker=True)
            return w.one(self.people)
        known = self.things.setdefault(kind, [])
        if known and w.chance(0.35):
            return w.one(known)
        if kind == "w" and w.crowd and w.chance(0.8):
            found = w.thing("place")
        elif kind == "w":
            room = w.one(["kitchen", "garage", "library", "office", "museum", "school", "church", "bridge", "village hall", "boathouse", "barn", "playground"])
            found = Phrase("the " + room) if w.chance(0.6) else Phrase(w.town())
        elif kind == "e":
            found = w.event()
        else:
            found = w.thing({"p": "paper", "f": "food"}.get(kind))
        known.append(found)
        return found

    def subject(self):
        w = self.w
        if self.speakers and w.chance(0.35):
            return w.one(self.speakers)
        return w.person() if w.crowd and w.chance(0.7) else w.one(self.people)

    def clause(self, before=None, about=""):
        """A new clause; `about` the subject or the object of the clause before it, if that can be."""
        w = self.w
        for _ in range(12 if about == "object" else 1):
            group = w.one(self.groups) if w.chance(0.7) else GROUPS[int(w.r() * COMMON)] if w.chance(0.7) else w.one(GROUPS)
            if about != "object" or before.kind in group[0].objects and group is not before.also:
                break
        else:
            about = ""
        verb, subject, tense = w.one(group), self.subject(), w.one(TENSES)
        if self.addressee and w.chance(0.08):
            subject = Phrase("you", speaker=True)
        if about:
            subject = before.subject if about == "subject" else subject
            tense = before.tense if w.chance(0.7) and before.tense != "order" else tense
        if not about and (self.author is not None and w.chance(0.12) or w.chance(0.02)):
            tense, subject = "order", Phrase("you", speaker=True)
        kind = w.one(verb.objects)
        thing = None if kind == "-" else self.thing(kind)
        if about == "object" and before.kind in verb.objects:
            kind, thing = before.kind, before.object
        if thing is subject or thing is not None and thing.speaker and subject.speaker:
            thing = w.thing()
        roles = {}
        if verb.role and w.chance(0.85):
            other = w.one(self.people)
            if other is not subject and other is not thing:
                roles[verb.role] = other
        if w.chance(0.5):
            roles["time"] = Phrase(w.time(tense))
        if w.chance(0.33 if thing else 0.7):
            roles["place"] = Phrase(w.place())
        if w.chance(0.12):
            roles["reason"] = Phrase(w.reason())
        if w.chance(0.08 if thing else 0.25):
            roles["duration"] = Phrase(w.duration())
        if w.chance(0.07):
            roles["means"] = Phrase(w.means())
        if w.chance(0.06) and verb.base in ("buy", "sell", "rent", "order", "get", "fix", "repair", "offer", "replace", "hire", "book", "pay"):
            roles["price"] = Phrase("for " + w.amount())
        if not thing and not roles:
            roles["place"] = Phrase(w.place())
        made = Clause(verb, subject, thing, roles, tense, group, kind)
        self.made.setdefault(made.meaning, []).append(made)
        return made

    # Statements

    def statement(self, c, continued=None, joined=False):
        """The sentence without its first capital and its full stop. `continued` is the clause before, for a pronoun; `joined` by
        "and", so that the subject may be left out."""
        w = self.w
        subject, thing = c.subject.text, c.object.text if c.object else ""
        same = continued is not None and continued.object is not None and continued.object is c.object
        if same and not c.object.person and w.chance(0.75):
            thing = "them" if c.object.plural else "it"
        if continued is not None and continued.subject is c.subject and c.subject.pronoun and w.chance(0.5):
            subject = c.subject.pronoun
        many = c.subject.plural or c.subject.text in ("I", "you")
        tail = {}
        for role, phrase in c.roles.items():
            tail[role] = f"{role} {phrase.text}" if role in ("to", "from") else phrase.text
        passive = c.object is not None and not c.object.speaker and thing != "them" and c.tense not in ("order", "planned") and w.chance(0.2)
        leave_out = joined and not passive and continued.subject is c.subject and continued.tense == c.tense and w.chance(0.6)
        if c.tense == "order":
            core = c.verb.base + (" " + thing if c.object else "")
            if w.chance(0.3):
                core = w.one(["please ", "do not forget to ", "remember to ", "don't forget to ", "make sure to ", "you have to "]) + core
        elif passive:
            core = f"{thing} {verb_group(c.verb, c.tense, c.object.plural or c.object.text == 'I', True)[0]}"
            if w.chance(0.75) or c.subject.speaker is False and w.chance(0.5):
                tail["by"] = "by " + OBJECTIVE.get(subject, subject)
        else:
            group = verb_group(c.verb, c.tense, many)[0]
            if subject == "I":
                group = group.replace("are ", "am ", 1) if group.startswith("are ") else group
            if c.object and "to" in c.roles and c.verb.base in ("send", "give", "lend", "show", "offer", "sell", "pass", "promise", "teach") and w.chance(0.4):
                core = f"{subject} {group} {c.roles['to'].text} {thing}"
                tail.pop("to")
            else:
                core = f"{subject} {group}" + (" " + thing if c.object else "")
            if leave_out:
                core = core[len(subject) + 1:]
        near = [r for r in ("by", "to", "from", "price") if r in tail]
        far = [r for r in tail if r not in near]
        if len(far) > 1:
            w.random.shuffle(far)
        front = ""
        if far and not leave_out and w.chance(0.22):
            role = far.pop()
            front = tail[role] + w.one([", ", ", ", ", ", " "]) if c.tense != "order" or role != "means" else ""
            if not front:
                far.append(role)
        return front + core + "".join(" " + tail[r] for r in near + far), ("by" in tail or not passive)

    # Questions

    def name(self, phrase):
        """What a question says for a part of the statement."""
        if phrase.speaker:
            if phrase.text in ("I", "me") and self.author:
                return self.w.one(self.author + ["the author", "the writer", phrase.text][:self.w.between(0, 3)])
            if phrase.text == "you" and self.addressee and self.w.chance(0.8):
                return self.w.one(self.addressee)
            return phrase.text
        if phrase.short:
            return self.w.one(phrase.short) if self.w.chance(0.75) else phrase.text
        text = phrase.text
        if text.startswith("my ") and self.author and self.w.chance(0.5):
            return f"{self.author[0]}'s {text[3:]}"
        if text.startswith(("my ", "our ")) and self.w.chance(0.4):
            return "the " + text.split(" ", 1)[1]
        return text

    def unique(self, c, role, given):
        for other in self.made.get(c.meaning, ()):
            if other is c or other.part(role) is None:
                continue
            if all(other.part(g) is not None and other.part(g).like(c.part(g)) for g in given):
                if other.part(role).text != c.part(role).text:
                    return False
        return True

    def question(self, c, role, shown_subject=True):
        """(question, answer) for one role, or None if no question names this clause alone."""
        w = self.w
        if c.part(role).speaker:
            return None
        parts = [r for r in ("subject", "object", "to", "from") if r != role and c.part(r) is not None]
        if not shown_subject and "subject" in parts:
            parts.remove("subject")
        given = [r for r in parts if r in ("subject", "object") and w.chance(0.95 if r == "object" else 0.85) or w.chance(0.3)]
        if not given:
            given = parts[:1] if role != "object" or len(parts) < 2 or w.chance(0.8) else parts[1:2]
        if "time" in c.roles and role != "time" and w.chance(0.15):
            given.append("time")
        if "place" in c.roles and role != "place" and w.chance(0.12):
            given.append("place")
        if not given:
            return None
        if not self.unique(c, role, given):
            given = parts + [r for r in ("time", "place") if r in c.roles and r != role and w.chance(0.5)]
            if not self.unique(c, role, given):
                return None
        tense = w.one(NEAR[c.tense])
        verb = w.one(c.also) if w.chance(0.4) else c.verb
        subject = self.name(c.subject)
        if c.subject.speaker and c.subject.text == "you" and not self.addressee:
            subject = w.one(["I", "we", "you", "I"])
        many = c.subject.plural or subject in ("I", "you", "we")
        thing = "" if c.object is None or "object" not in given else " " + self.name(c.object)
        tail = ""
        for r in ("to", "from"):
            if r in given:
                tail += f" {r} {self.name(c.roles[r])}"
        for r in ("place", "time"):
            if r in given:
                tail += " " + c.roles[r].text
        who = "Who" if c.object is not None and c.object.person else "What"
        if role == "subject":
            if c.subject.speaker:
                return None
            finite = verb_group(verb, tense if tense != "do" else "present", False)[0]
            if c.object is not None and "object" in given and w.chance(0.25) and tense not in ("do", "planned"):
                _, auxiliary, after = verb_group(verb, tense, c.object.plural, True)
                return w.one([f"Who {auxiliary}{thing} {after} by{tail}?", f"By whom {auxiliary}{thing} {after}{tail}?"]), c.subject.text
            return f"{'Who' if w.chance(0.9) else 'Which person'} {finite}{thing}{tail}?", c.subject.text
        passive = c.object is not None and tense not in ("do", "planned") and ("subject" not in given or w.chance(0.12))
        if passive and role != "object" and "object" not in given:
            return None
        if passive:
            named = self.name(c.object)
            _, auxiliary, after = verb_group(verb, tense, c.object.plural, True)
            by = f" by {OBJECTIVE.get(subject, subject)}" if "subject" in given else ""
            if role == "object":
                _, auxiliary, after = verb_group(verb, tense, False, True)
                return f"{who} {auxiliary} {after}{by}{tail}?", c.object.text
            middle = f"{auxiliary} {named} {after}{by}{tail}"
        else:
            if "subject" not in given and not c.subject.speaker and c.object is None:
                return None
            if tense == "do":
                auxiliary, after = "do", verb.base
            else:
                _, auxiliary, after = verb_group(verb, tense, many)
            if subject == "I" and auxiliary == "are":
                auxiliary = "am"
            if role == "object":
                words = c.object.text.split()
                if len(words) == 3 and words[0] == "the" and w.chance(0.25) and not c.object.person:
                    return f"Which {words[2]} {auxiliary} {subject} {after}{tail}?", c.object.text
                if c.object.count and w.chance(0.6):
                    return f"How many {c.object.count[1]} {auxiliary} {subject} {after}{tail}?", c.object.count[0]
                return f"{who} {auxiliary} {subject} {after}{tail}?", c.object.text
            middle = f"{auxiliary} {subject} {after}{thing}{tail}"
        answer = c.roles[role].text
        if role in ("to", "from"):
            return w.one([f"Who {middle} {role}?", f"{first_upper(role)} whom {middle}?", f"Who {middle} {role}?"]), answer
        if role == "time":
            if answer.startswith(("every ", "once ", "twice ")) and w.chance(0.5):
                return f"How often {middle}?", answer
            head = w.one(WHEN.get(answer.split(" ")[0], ["When"]))
            if head.startswith(("On", "What day", "Which day")) and not any(d in answer for d in ("day", "th", "st")):
                head = "When"
            if "time" in head and not any(ch.isdigit() for ch in answer):
                head = "When"
            return f"{head} {middle}?", answer
        heads = {"place": ["Where", "Where", "Where", "In which place"], "reason": ["Why", "Why", "For what reason"], "duration": ["How long", "For how long"],
                 "means": ["How", "How", "With what" if answer.startswith("with") else "How"], "price": ["For how much", "How much"]}[role]
        if role == "price":
            return f"{w.one(['At what price', 'For how much money', 'For how much'])} {middle}?", answer[4:]
        if role == "means" and answer.startswith("with") and w.chance(0.5):
            return f"What {middle} with?", answer[5:]
        return f"{w.one(heads)} {middle}?", answer
