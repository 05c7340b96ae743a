"""Whole documents of several kinds, with questions about them.

`Documents.make(characters)` gives (text, questions), a question being (text, answer, first and last character of the
sentence that states it; -1 where nothing does).
Kinds: mail, minutes, recipe, report, note, story, log, facts strewn into prose; and written texts. All share one pool of people and things, so
that a question has near misses in its document.
"""

from absent import Absent
from clauses import Clauses, Clause
from facts import Facts
from scenes import Scenes
from natural import natural
from phrases import CORPUS, Crowd, DAYS, EVENTS, FOODS, MONTHS, PAPERS, EVERYDAY, ROOMS, Phrase, Words, an, first_upper, plural
from pronouns import Pronouns
from talk import NO_DOCUMENT, NOT_FOUND, TALK, WORLD
from written import Texts

LEADS = ["Please note that ", "As agreed, ", "Unfortunately ", "Fortunately, ", "By the way, ", "In addition, ", "Then ", "I think ", "As you know, ", "We heard that ",
         "It turned out that ", "Finally, ", "First, ", "Also, ", "Meanwhile, ", "However, ", "As far as I know ", "For your information: ", "Good news: ", "It seems that ",
         "Later ", "So ", "And ", "But ", "To be honest, ", "As usual, ", "Remember that ", "It was decided that ", "It was noted that ", "The plan is clear: ",
         "P said that ", "P told me that ", "According to P, ", "P reported that ", "P thinks that ", "P confirmed that ", "P mentioned that ", "P wrote that "]
TAILS = [", as usual", ", as discussed", " again", ", I hope", ", if possible", ", of course", " as well", " after all", ", at last", ", as far as we know", ", which surprised everybody",
         ", which was a relief", ", although it was late", ", even if nobody noticed", " without any problem", ", and nobody complained", ", but that is another story"]
GREET = ["Hi", "Dear", "Hello", "Dear", "Hey", "Good morning"]
# Share of the short documents that are written texts, and of the long ones that hold some.
WRITTEN, STREWN = 0.6, 0.7
CLOSE = ["Best", "Best regards", "Kind regards", "Yours", "Cheers", "Thanks", "Many thanks", "See you", "Love", "Regards", "Best wishes", "Sincerely"]


class Documents:
    """Documents from one random sequence."""

    def __init__(self, seed, held_out=False):
        self.words = Words(seed, held_out)
        self.pronouns = Pronouns(self.words)
        self.prose, self.examples = CORPUS["prose"], CORPUS["examples"]
        # Held-out documents are of held-out words only, and the same for all runs.
        self.texts = None if held_out else Texts()
        self.size = 0

    def fresh(self, author=None, size=1, addressee=None, kind="a"):
        w = self.words
        size += self.size
        self.clauses = Clauses(w, author, w.between(2 + size // 2, 5 + 2 * size), w.between(4 + size, 8 + 3 * size), addressee)
        self.facts = Facts(w, self.clauses)
        self.scenes, self.kind = Scenes(w, self.clauses, self.facts), kind
        self.stated, self.last = [], None

    # Pieces: (text, [(question, answer)])

    def finish(self, text):
        return first_upper(text) + ("" if text[-1] in ".!?" else ".")

    def event(self):
        """A clause as a sentence, perhaps with another one or a lead-in."""
        w = self.words
        x = w.r()
        about = "" if self.last is None else "object" if x < 0.12 and self.last.object else "subject" if x < 0.32 else ""
        c = self.clauses.clause(self.last, about)
        self.stated.append(c)
        text, shown = self.clauses.statement(c, self.last)
        asked = self.ask(c, shown)
        self.last = c
        if w.chance(0.16) and c.tense != "order":
            other = self.clauses.clause(c, w.one(["", "subject", "object"]) if c.object else w.one(["", "subject"]))
            self.stated.append(other)
            joined = w.chance(0.5)
            more, visible = self.clauses.statement(other, c, joined)
            text += (w.one([", and ", " and ", " and "]) if joined else w.one([", and ", ", but ", ", while ", "; ", ", so ", " before "])) + more
            asked += self.ask(other, visible)
            self.last = other
        if w.chance(0.18) and c.tense != "order":
            lead = w.one(LEADS)
            if "P " in lead or "P," in lead:
                person = w.one(self.clauses.people).text
                lead = lead.replace("P", first_upper(person) if lead[0] == "P" else person, 1)
            text = lead + text
        if w.chance(0.12):
            text += w.one(TAILS)
        return self.finish(text), asked

    def ask(self, c, shown):
        w = self.words
        roles = (["subject"] if shown else []) + (["object"] if c.object else []) + list(c.roles)
        w.random.shuffle(roles)
        return [(self.clauses, c, role, shown) for role in roles[:3]]

    def fact(self):
        w = self.words
        if w.crowd and w.chance(0.6):
            found = self.facts.attribute()
        else:
            found = self.scenes.any(self.kind) if w.chance(0.55) else self.facts.any()
        if found is None:
            return self.event()
        text, asked = found
        if w.chance(0.22):
            turned = self.pronouns.turned(text, asked, self.clauses.people)
            if turned:
                return turned
        if w.chance(0.15):
            lead = w.one(LEADS)
            if "P " in lead or "P," in lead:
                person = w.one(self.clauses.people).text
                lead = lead.replace("P", first_upper(person) if lead[0] == "P" else person, 1)
            text = lead + text
        if w.chance(0.1):
            text += w.one(TAILS)
        return self.finish(text), asked

    def filler(self):
        """Other people's words; nothing is asked about most of them."""
        w = self.words
        if w.chance(0.3):
            text, asked = natural(w)
            return self.finish(text), asked
        if w.chance(0.75):
            return self.finish(self.examples[int(w.r() * len(self.examples))]), []
        return self.prose[int(w.r() * len(self.prose))], []

    def sentence(self, filler=0.2):
        w = self.words
        x = w.r()
        if x < filler:
            return self.filler()
        if x < filler + 0.08:
            text, asked = natural(w)
            return self.finish(text), asked
        return self.event() if x < filler + (1 - filler) * 0.5 else self.fact()

    def about(self):
        """A definition of WordNet as a fact."""
        w = self.words
        word, meaning = CORPUS["definitions"][int(w.r() * len(CORPUS["definitions"]))]
        return f"{first_upper(an(word))} is {meaning}.", [(w.one([f"What is {an(word)}?", f"What does {word} mean?", f"What do we call {an(word)}?"][:2]), meaning), (f"What is the word for {meaning}?", word)]

    def body(self, out, characters, filler, breaks=0.2, bullets=""):
        """Sentences until the text is long enough."""
        w = self.words
        size = sum(len(t) + len(s) for t, s, _ in out)
        while size < characters:
            text, asked = self.sentence(filler) if w.chance(0.97) else self.about()
            gap = "\n" if bullets else w.one(["\n\n", "\n\n", "\n"]) if w.chance(breaks) else " "
            mark = bullets if bullets != "1" else f"{len(out)}. "
            text = mark + (text[:-1] if bullets and w.chance(0.4) else text)
            out.append((text, gap, asked))
            size += len(text) + len(gap)

    # Kinds

    def mail(self, characters):
        w = self.words
        sender, receiver = Phrase(f"{w.one(w.first)} {w.surname()}"), w.person()
        first = sender.text.split()[0]
        to = receiver.text if receiver.text[0].isupper() else w.one(w.first)
        self.fresh([first, first, sender.text], 1, [to.split()[0] if w.chance(0.6) else to] if w.chance(0.7) else None, "l")
        subject = w.one([w.thing("paper").text, w.event().text, f"{w.one(EVENTS)} on {w.one(DAYS)}", f"{w.noun('act')} {w.one(EVENTS)}"])
        out, date = [], w.one([w.date(), f"{w.one(DAYS)}, {w.date()}"])
        called = w.one(["mail", "mail", "letter", "e-mail", "message", "note", "text"])
        if w.chance(0.5):
            lines = [("From", sender.text, [f"Who wrote the {called}?", f"Who is the {called} from?", "Who sent this?", "Who is the author?", "who wrote this", "Who is the sender?", f"From whom is the {called}?"]),
                     ("To", to, [f"Who is the {called} to?", "Who is it addressed to?", f"Who got the {called}?", f"Who receives this {called}?", "To whom was it sent?"]),
                     ("Date", date, [f"When was the {called} sent?", f"What is the date of the {called}?", "When was it written?"]),
                     ("Subject", first_upper(subject), ["What is the subject?", f"What is the {called} about?", f"What is the subject of the {called}?", "What is it about?"])]
            if w.chance(0.3):
                w.random.shuffle(lines)
            for label, value, ask in lines:
                if w.chance(0.85):
                    out.append((f"{label}: {value}", "\n", [(w.one(ask), value)]))
            out[-1:] = [(out[-1][0], "\n\n", out[-1][2])] if out else []
        if w.chance(0.85):
            out.append((f"{w.one(GREET)} {to}{w.one([',', ',', '!'])}", "\n\n", []))
        self.body(out, characters, 0.12, 0.15)
        out[-1] = (out[-1][0], "\n\n", out[-1][2])
        signed = w.one([first, sender.text])
        out.append((w.one(CLOSE) + w.one([",", ""]), w.one(["\n", " "]), []))
        out.append((signed, "\n", [(w.one([f"Who signed the {called}?", "Who wrote this?", f"Who wrote the {called}?"]), signed)] if signed == sender.text or not any("From" in t for t, _, _ in out) else []))
        return out

    def minutes(self, characters):
        w = self.words
        self.fresh([], 2, kind="m")
        self.clauses.speakers = [Phrase("we", speaker=True, plural=True)]
        group = w.group().text.replace("the ", "")
        out = [(w.one([f"Minutes of the {group} {w.one(['meeting', 'session', 'call'])}", f"{first_upper(group)}: minutes", f"Minutes, {group}", f"Meeting notes - {group}"]), "\n", [])]
        chair, clerk = w.person(), w.person()
        lines = [("Date", w.date(), ["When was the meeting?", "When did the meeting take place?", "What is the date of the meeting?"]),
                 ("Time", w.clock(), ["At what time was the meeting?", "What time was the meeting?", "When did the meeting start?"]),
                 (w.one(["Place", "Venue", "Location"]), first_upper(w.place()), ["Where was the meeting?", "Where did they meet?", "Where did the meeting take place?"]),
                 (w.one(["Chair", "Chairman", "Chaired by"]), chair.text, ["Who was in the chair?", "Who chaired the meeting?", "Who led the meeting?"]),
                 (w.one(["Minutes", "Secretary", "Minutes taken by", "Minute taker"]), clerk.text, ["Who took the minutes?", "Who wrote the minutes?"]),
                 ("Present", ", ".join(w.person().text for _ in range(w.between(2, 5))), ["Who was present?", "Who attended the meeting?", "Who took part?", "Who was there?"]),
                 (w.one(["Apologies", "Absent", "Excused"]), w.one([w.person().text, w.person().text + " and " + w.person().text]), ["Who was absent?", "Who could not come?", "Who sent apologies?", "Who was missing?"]),
                 ("Next meeting", w.date() + w.one(["", ", " + w.clock()]), ["When is the next meeting?", "When will the next meeting be?", "What is the date of the next meeting?", "When do they meet again?"])]
        for label, value, ask in lines:
            if w.chance(0.6):
                out.append((f"{label}: {value}", "\n", [(w.one(ask), value)]))
        out[-1] = (out[-1][0], "\n\n", out[-1][2])
        number, size = 0, 0
        while size < characters:
            x = w.r()
            if x < 0.3:
                number += 1
                title = w.one([first_upper(w.noun("act")), first_upper(w.one(EVENTS + PAPERS)), "Finances", "Any other business", "Budget", "Events", first_upper(w.adjective()) + " " + w.one(EVERYDAY), first_upper(w.one(ROOMS))])
                out.append((f"{w.one([str(number) + '. ', '## ', '', str(number) + ') '])}{title}", "\n", []))
            elif x < 0.5:
                c = self.clauses.clause()
                if c.subject.speaker or c.tense == "order" or not c.object:
                    continue
                c.tense = "future"
                self.stated.append(c)
                due = f" by {w.one([w.one(DAYS), w.date(), 'the end of ' + w.one(MONTHS), 'next week'])}" if w.chance(0.7) else ""
                c.roles = {"time": Phrase(due.strip())} if due else {}
                who = c.subject.text
                task = f"{c.verb.base} {c.object.text}"
                out.append((w.one([f"{w.one(['Action', 'ACTION', 'To do', 'Action point', 'Task'])}: {who} to {task}{due}.", f"{first_upper(who)} {w.one(['agreed', 'promised', 'offered', 'volunteered', 'has'])} to {task}{due}.", f"{first_upper(who)}: {task}{due}", f"{w.one(['Action', 'AP', 'Task'])} {who}: {task}{due}."]), "\n",
                            self.ask(c, True) + [(w.one([f"What {w.one(['should', 'will', 'must', 'did'])} {self.clauses.name(c.subject)} {w.one(['do', 'agree to do', 'promise to do'])}?", f"What is the task of {self.clauses.name(c.subject)}?"]), task)] * w.chance(0.15)))
            else:
                text, asked = self.sentence(0.08)
                out.append((w.one(["- ", "", "", "* "]) + text, w.one(["\n", " ", "\n"]), asked))
            size += len(out[-1][0])
        return out

    def recipe(self, characters):
        w = self.words
        self.fresh([], 1, kind="c")
        self.clauses.speakers = [Phrase("you", speaker=True)]
        dish = w.one([w.noun("food"), f"{w.one(FOODS)} {w.one(['soup', 'cake', 'bread', 'pie', 'stew', 'salad', 'biscuits', 'curry', 'tart', 'pancakes', 'muffins'])}", f"{w.surname()}'s {w.one(FOODS)} {w.one(['soup', 'cake', 'pie'])}"])
        out = [(first_upper(dish), "\n\n", [(w.one(["What is the recipe for?", "What do we cook?", "What is the name of the dish?"]), first_upper(dish))])]
        n, minutes = w.one([str(w.between(2, 12)), w.one(NUMBERS_SMALL)]), w.between(5, 120)
        heads = [(w.one(["Serves {n}", "Serves: {n}", "For {n} people", "Makes {n} portions", "Portions: {n}"]).replace("{n}", n), [(w.one(["How many people does it serve?", "For how many people is it?", "How many portions does it make?", "How many does it serve?", "How many people is the recipe for?"]), n)]),
                 (f"{w.one(['Preparation', 'Prep time', 'Preparation time'])}: {minutes} minutes", [(w.one(["How long does the preparation take?", "What is the preparation time?", "How long does it take to prepare?"]), f"{minutes} minutes")]),
                 (f"{w.one(['Oven', 'Temperature', 'Oven temperature'])}: {w.between(120, 250)} °C", [])]
        heads[2][1].append((w.one(["What is the oven temperature?", "How hot must the oven be?", "At what temperature is it baked?"]), heads[2][0].split(": ")[1]))
        for text, asked in heads:
            if w.chance(0.5):
                out.append((text, "\n", asked))
        inline = w.chance(0.2)
        mark = w.one(["- ", "", "* ", "• "])
        if not inline:
            out.append((w.one(["Ingredients:", "Ingredients", "You need:", "What you need"]), "\n", []))
        found = [f for f in (self.facts.ingredient() for _ in range(w.between(3, 10))) if f]
        for i, (text, asked) in enumerate(found):
            if inline:
                out.append((("You need " if i == 0 else "and " if i == len(found) - 1 else "") + text + ("." if i == len(found) - 1 else ","), " ", asked))
            else:
                out.append((mark + text, "\n", asked))
        out[-1] = (out[-1][0], "\n\n", out[-1][2])
        size, step = 0, 0
        while size < characters * 0.7:
            step += 1
            x = w.r()
            made = self.facts.cooking() if x < 0.25 else self.scenes.any("c") if x < 0.5 else None
            if made:
                text, asked = self.finish(made[0]), made[1]
            elif x < 0.75:
                a, b = w.one(FOODS), w.one(FOODS)
                base, past, link = w.one([("mix", "mixed", "with"), ("combine", "combined", "with"), ("add", "added", "to"), ("stir", "stirred", "into"), ("pour", "poured", "over"), ("fold", "folded", "into"), ("spread", "spread", "on"), ("sprinkle", "sprinkled", "over"), ("serve", "served", "with"), ("whisk", "whisked", "with"), ("melt", "melted", "with"), ("rub", "rubbed", "into"), ("brush", "brushed", "with"), ("fill", "filled", "with"), ("cover", "covered", "with")])
                if a == b or ("mix", base, link) in self.facts.known or ("mix", a) in self.facts.known or ("mix", b) in self.facts.known:
                    continue
                self.facts.known.update({("mix", base, link), ("mix", a), ("mix", b)})
                text = f"{first_upper(base)} the {a} {link} the {b}."
                asked = [(f"What {w.one(['do I', 'should I', 'do you', 'must I'])} {base} {link} the {b}?", "the " + a), (f"What {w.one(['do I', 'should I', 'do we'])} {base} the {a} {link}?", "the " + b), (f"What is {past} {link} the {b}?", "the " + a), (f"With what is the {a} {past}?" if link == "with" else f"What is the {a} {past} {link}?", "the " + b)]
            else:
                text, asked = self.event() if x < 0.9 else self.filler()
            out.append((w.one([f"{step}. ", ""]) + text, w.one([" ", "\n"]), asked))
            size += len(text)
        return out

    def report(self, characters):
        w = self.words
        self.fresh([], 2, kind="r")
        self.clauses.speakers = [Phrase("we", speaker=True, plural=True)] if w.chance(0.4) else []
        out = [(w.one([f"Report on {w.thing().text}", f"{first_upper(w.noun('act'))} report {w.between(1990, 2030)}", f"Annual report, {w.group().text}", f"{w.town()}: a {w.one(['survey', 'summary', 'review', 'short report'])}"]), "\n\n", [])]
        size = 0
        while size < characters:
            if w.chance(0.12):
                out.append((w.one(["", "## ", f"{len(out)}. "]) + w.one(["Summary", "Results", "Staff", "Finances", "Outlook", "Background", "Methods", "Findings", "Recommendations", first_upper(w.noun("act")), first_upper(plural(w.one(EVERYDAY)))]), "\n", []))
            made = self.facts.change() if w.chance(0.25) else None
            text, asked = (self.finish(made[0]), made[1]) if made else self.sentence(0.15)
            out.append((text, w.one([" ", " ", " ", "\n\n"]), asked))
            size += len(text)
        return out

    def note(self, characters):
        w = self.words
        self.fresh([], 1, kind="n")
        out = []
        if w.chance(0.5):
            out.append((w.one(["Notes", "To do", "Reminder", f"{w.one(DAYS)}", f"Notes, {w.date()}", first_upper(w.event().text), f"Packing for {w.town()}", "Don't forget", f"House notes: {w.surname()}"]), "\n", []))
        mark, size = w.one(["- ", "* ", "", "", "[ ] ", "• "]), 0
        while size < characters:
            x = w.r()
            if x < 0.3:
                name, clock = w.one([w.one(EVENTS), w.noun("person"), w.one(EVERYDAY), f"{w.one(w.first)}'s {w.one(EVENTS)}", w.one(["dentist", "doctor", "vet", "hairdresser", "plumber", "choir", "yoga", "swimming", "football", "guitar lesson", "train", "flight", "bus"])]), ""
                if ("note", name) in self.facts.known or ("note", name.split()[-1]) in self.facts.known:
                    continue
                self.facts.known.update((("note", name), ("note", name.split()[-1])))
                clock = w.one([f"{w.one(DAYS)} {w.clock()}", f"{w.one(DAYS)[:3]} {w.clock()}", w.clock(), w.date(), w.one(DAYS), f"{w.date()}, {w.clock()}"])
                form = w.one(["N: V", "N V", "N on V", "N - V", "V N", "V: N"])
                text = form.replace("N", "\x01").replace("V", clock).replace("\x01", name)
                asked = [(w.one([f"When is the {name}?", f"When is {name}?", f"At what time is the {name}?", f"what time {name}?", f"When do I have {name}?"]) if "'s" not in name else f"When is {name}?", clock)]
            elif x < 0.45:
                name = w.one([w.one(EVERYDAY), w.company(), w.one(w.first), f"{w.one(EVERYDAY)} {w.one(['shop', 'repair', 'service'])}", w.one(["wifi", "bank", "bike lock", "safe", "alarm", "locker", "garage", "school", "landlord", "plumber"])])
                if ("note", name) in self.facts.known:
                    continue
                self.facts.known.add(("note", name))
                label = w.one(["code", "password", "number", "pin", "phone", "tel", "room", "account"])
                value = self.facts.value("phone" if label in ("phone", "tel") else "code")
                long = {"tel": "phone number", "phone": "phone number", "pin": "PIN"}.get(label, label)
                text = w.one([f"{name} {label}: {value}", f"{name} {label} {value}", f"{label} {name}: {value}", f"{name}: {label} {value}", f"{label} for {name} is {value}", f"{name}'s {label} = {value}"])
                asked = [(w.one([f"What is the {long} of {name}?", f"What is the {name} {label}?", f"What is {name}'s {long}?", f"What {long} does {name} have?", f"which {long} for {name}?", f"What is the {long} for the {name}?"]), value)]
            else:
                made = self.scenes.any("n") if x < 0.75 else None
                text, asked = made or self.sentence(0.06)
                if not made and w.chance(0.4):
                    text = text[:-1]
                if w.chance(0.2) and text.startswith("The "):
                    text = first_upper(text[4:])
            out.append((mark + first_upper(text) if w.chance(0.8) else mark + text, "\n" if mark or w.chance(0.6) else " ", asked))
            size += len(text) + len(mark)
        return out

    def story(self, characters):
        w = self.words
        self.fresh(w.one([None, None, []]), 1)
        out = []
        if w.chance(0.4):
            out.append((first_upper(w.thing().text), "\n\n", []))
        self.body(out, characters, w.one([0.1, 0.3, 0.5]), w.one([0, 0.1, 0.25]))
        return out

    def log(self, characters):
        w = self.words
        self.fresh([] if w.chance(0.6) else None, 1)
        out, size = [(f"{w.one(['Log', 'Diary', 'Journal', 'Logbook'])} of {w.one([w.person().text, 'the ' + w.noun('artifact'), w.town()])}", "\n\n", [])], 0
        while size < characters:
            head = w.one([f"{w.date()}, {w.clock()}.", f"{w.one(DAYS)}.", f"{w.date()}:", f"{w.clock()}"])
            out.append((head, w.one([" ", "\n"]), []))
            for _ in range(w.between(1, 5)):
                text, asked = self.sentence(0.3)
                out.append((text, " ", asked))
                size += len(text)
            out[-1] = (out[-1][0], "\n\n", out[-1][2])
        return out

    def mixed(self, characters):
        """Facts strewn into prose of other people."""
        w = self.words
        self.fresh(None, 1)
        out, size = [], 0
        prose = w.one([0.15, 0.5, 0.8])
        at = int(w.r() * len(self.prose))
        while size < characters:
            if w.chance(prose):
                if w.chance(0.4):
                    at += 1
                    text, asked = self.prose[at % len(self.prose)], []
                else:
                    several = [self.filler() for _ in range(w.between(1, 4))]
                    text, asked = " ".join(text for text, _ in several), [q for _, more in several for q in more]
            else:
                text, asked = self.sentence(0.1)
            out.append((text, w.one([" ", " ", "\n\n"]), asked))
            size += len(text)
        return out

    # Together

    def written(self, characters):
        """Written texts, one or several, and questions that they do not answer."""
        w = self.words
        self.fresh()
        out, missing, alone = [], [], characters < 3000
        while not out or sum(len(text) for text, _, _ in out) < characters - 800 and not alone:
            pieces, unanswered = self.texts.one(w, alone)
            out += pieces
            missing += unanswered
        return out, missing

    def strewn(self, pieces):
        """Some written texts between the paragraphs of a long document, and questions that they do not answer."""
        w, missing = self.words, []
        for _ in range(w.between(1, 5)):
            at = next((i + 1 for i in range(int(w.r() * len(pieces)), len(pieces)) if "\n" in pieces[i][1]), len(pieces))
            text, unanswered = self.texts.one(w, alone=False)
            pieces[at:at] = text
            missing += unanswered
        return missing

    def make(self, characters, count, absent=0.05, near=0.06):
        """A document of about so many characters with up to `count` questions."""
        w = self.words
        self.size = characters // 2000
        w.crowd = None
        large = characters > 6000
        w.crowd = Crowd(w, large and w.chance(0.5)) if w.chance(0.6 if large else 0.3) else None
        x = w.r()
        if characters > 6000:
            kind = self.mixed if x < 0.5 else self.log if x < 0.7 else self.story if x < 0.85 else self.report
        else:
            kind = self.mail if x < 0.2 else self.minutes if x < 0.33 else self.recipe if x < 0.45 else self.report if x < 0.57 else self.note if x < 0.71 else self.story if x < 0.83 else self.log if x < 0.89 else self.mixed
        text, asked, missing, written = "", [], [], self.texts and not large and w.chance(WRITTEN)
        if written:
            pieces, missing = self.written(characters)
        else:
            pieces = kind(characters)
            if self.texts and large and w.chance(STREWN):
                missing = self.strewn(pieces)
        for piece, gap, questions in pieces:
            asked += [(q, len(text), len(text) + len(piece)) for q in questions]
            text += piece + gap
        text = text.rstrip()
        w.random.shuffle(asked)
        questions, seen, low = [], set(), text.lower()
        for q, begin, end in asked:
            if len(questions) >= count:
                break
            if len(q) == 4:
                q = q[0].question(*q[1:])
                if q is None:
                    continue
            question, answer = q
            if question.lower() in seen or answer.lower() not in text[begin:end].lower():
                continue
            # One question, one answer: the same words are asked once in a document.
            seen.add(question.lower())
            questions.append((self.reword(question), self.as_written(answer, text, begin, end), begin, end))
        for question in missing:
            if w.chance(0.5) and question.lower() not in seen:
                seen.add(question.lower())
                questions.insert(int(w.r() * (len(questions) + 1)), (self.reword(question), NOT_FOUND, -1, -1))
        # Of written texts nobody knows what else they answer.
        changer = Absent(w, text) if near and questions and not written else None
        for question, answer, begin, end in list(questions) if changer else []:
            changed = changer.twisted(question, answer, begin, end) if w.chance(near) else None
            if changed and changed.lower() not in seen:
                seen.add(changed.lower())
                questions.insert(int(w.r() * (len(questions) + 1)), (changed, NOT_FOUND, -1, -1))
        # A crowd has a near miss for everything that could be asked: there the right answer is often that it is not said.
        absent = 2 * absent if w.crowd else absent / 2 if written else absent
        missing = sum(w.chance(absent) for _ in range(max(1, len(questions))))
        for _ in range(missing):
            question = self.unanswerable(low)
            if question and question.lower() not in seen:
                questions.insert(int(w.r() * (len(questions) + 1)), (self.reword(question), NOT_FOUND, -1, -1))
        return text, questions[:count]

    def as_written(self, answer, text, begin, end):
        """As the text has it, but for a capital that only the beginning of a sentence gives."""
        return answer

    def reword(self, question):
        """Politeness, lower case, no question mark: how people type."""
        w = self.words
        x = w.r()
        question = first_upper(question)
        if x < 0.62:
            return question
        low = question[0].lower() + question[1:]
        if x < 0.72:
            return low
        if x < 0.82:
            return low[:-1]
        if x < 0.88:
            return w.one(["Please tell me: ", "Tell me, ", "I would like to know: ", "Question: ", "And ", "So, ", "Do you know: ", "From the text: ", "One question: "]) + low
        if x < 0.92:
            return question[:-1] + w.one([", please?", " according to the text?", " in the document?", "??", " ?", " here?"])
        return question

    def unanswerable(self, low):
        """A question of the same kind that this document does not answer."""
        w, clauses = self.words, self.clauses
        x = w.r()
        if w.crowd and w.chance(0.7) or x > 0.9:
            facts = Facts(w, clauses)
            facts.attributes, facts.known = self.facts.attributes, self.facts.known
            found = facts.role() if w.chance(0.25) else facts.attribute()
            return found[1][0][0] if found else None
        if x < 0.1:
            return w.one(WORLD)
        if x < 0.3:
            scenes = Scenes(w, clauses, self.facts)
            found = scenes.any(self.kind)
            return found[1][0][0] if found else None
        if x < 0.55:
            facts = Facts(w, clauses)
            facts.known = self.facts.known
            found = facts.any()
            return found[1][0][0] if found else None
        if x < 0.67 and self.stated:
            c = w.one(self.stated)
            role = w.one(["time", "place", "reason", "duration"])
            if role in c.roles or any(o is not c and o.meaning == c.meaning for o in self.stated):
                return None
            ghost = Clause(c.verb, c.subject, c.object, dict(c.roles, **{role: Phrase("on Monday")}), c.tense, c.also)
            found = clauses.question(ghost, role)
            return found[0] if found else None
        c = clauses.clause()
        same = [o for o in self.stated if o.meaning == c.meaning]
        if any(o.subject is c.subject or o.object is c.object for o in same):
            return None
        roles = (["object"] if c.object else []) + list(c.roles) + (["subject"] if c.object else [])
        found = clauses.question(c, w.one(roles)) if roles else None
        return found[0] if found else None

    def small_talk(self, without_document=True):
        w = self.words
        if w.chance(0.45) and without_document:
            if w.chance(0.5):
                return w.one(WORLD), NO_DOCUMENT
            self.fresh(None)
            found = self.facts.any()
            if found and not isinstance(found[1][0][0], Clauses):
                return self.reword(found[1][0][0]), NO_DOCUMENT
            return w.one(WORLD), NO_DOCUMENT
        asked, answer = w.one(TALK)
        return w.one(asked), answer


NUMBERS_SMALL = ["two", "three", "four", "five", "six", "eight", "ten"]
