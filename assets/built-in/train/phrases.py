"""Phrases with open vocabulary: people, things, places, times, amounts, reasons.

Everything is drawn from large lists or put together from parts, so that no phrase can be learnt by heart. A `Phrase` knows the
wordings that a question may use instead of its own (`short`), and whether it is a person.
"""

import gzip
import json
import os
import random
from dataclasses import dataclass, field

CORPUS = json.load(gzip.open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.json.gz")))

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBERS = ("two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty seventeen twenty-one twenty-four thirty-five forty-two eighty ninety-nine").split()
EVERYDAY = """box key folder ladder bicycle laptop printer phone charger lamp chair table desk window door coat bag suitcase umbrella
bottle cup bowl pan kettle oven fridge freezer boiler pump heater radiator fence gate shed roof gutter mower spade drill hammer saw
screwdriver camera projector microphone speaker cable screen monitor keyboard tent rope torch map passport ticket parcel letter
postcard book magazine newspaper poster sign flag banner carpet curtain blanket pillow towel shirt jacket scarf glove boot car van
bus truck trailer boat canoe engine tyre battery machine tool ring watch clock piano guitar violin drum painting vase mirror
cupboard drawer shelf basket bucket barrel crate trolley cart bench swing wardrobe sofa mattress dishwasher kiosk server router
sensor valve pipe tank filter belt motor sample tray bed stove toaster blender wallet purse notebook""".split()
PAPERS = """report budget contract invoice agenda proposal application form draft plan schedule timetable newsletter survey
questionnaire presentation brochure manual certificate permit licence receipt quote estimate offer order complaint letter memo
summary list article manuscript map design drawing protocol policy statement translation photo file spreadsheet password code
minutes leaflet poster menu recipe invitation programme record lease policy refund payment deposit subscription donation
grant bill fee budget""".split()
EVENTS = """meeting workshop concert party dinner lunch wedding lecture course class exam interview audit inspection review training
conference exhibition market fair auction race match tournament rehearsal performance festival tour trip excursion holiday picnic
ceremony funeral election hearing trial appointment visit delivery maintenance repair opening launch talk seminar webinar
call session demonstration barbecue reunion parade hike sale raffle retreat drill test vote service""".split()
FOODS = """flour sugar butter milk cream water salt pepper oil rice pasta onion garlic tomato potato carrot apple lemon orange banana
cheese yoghurt honey vinegar mustard cinnamon vanilla chocolate cocoa almond walnut raisin oat bean lentil chickpea spinach cabbage
mushroom leek celery parsley basil thyme rosemary ginger chicken beef pork bacon salmon tuna shrimp bread breadcrumb yeast
baking_powder cornflour stock wine egg pea corn cucumber aubergine courgette pumpkin pear plum cherry strawberry raspberry
blueberry coconut mint dill paprika cumin turmeric nutmeg clove sesame syrup jam dough""".split()
JOBS = """treasurer secretary chair manager director teacher nurse doctor dentist plumber electrician carpenter gardener caretaker
cleaner driver cook chef baker accountant lawyer architect engineer designer editor author reporter photographer librarian
receptionist assistant trainer coach captain guide pilot farmer vet butcher tailor hairdresser mechanic painter builder mayor
inspector consultant analyst developer researcher professor student intern volunteer neighbour landlord tenant owner
supplier customer guest""".split()
KIN = "sister brother mother father aunt uncle cousin daughter son wife husband grandmother grandfather niece nephew".split()
ROOMS = """kitchen hall garage cellar attic office library garden yard lobby canteen basement workshop classroom laboratory bathroom
bedroom dining_room living_room meeting_room waiting_room car_park town_hall station museum theatre church school hospital market
square park harbour airport post_office bakery supermarket pharmacy bank hotel restaurant café pub gym pool stadium village
warehouse greenhouse barn stable storeroom staff_room archive courtyard playground""".split()
RANGE = ["for {n} hours", "for {n} days", "for {n} weeks", "for {n} minutes", "for {n} months", "for {n} years", "for half an hour",
         "for about {n} minutes", "for almost {n} years", "for one night", "for a whole week", "for about an hour",
         "for the whole summer", "for {n} nights", "until {d}", "from {d} to {d}", "from {h} to {h}", "until {m}", "for at least {n} hours"]
FOODS, ROOMS = ([w.replace("_", " ") for w in words] for words in (FOODS, ROOMS))
PREPOSITIONS = """in on under over along through from opposite behind beside near inside above below beneath against around beyond past by
outside at in_front_of on_top_of next_to close_to at_the_back_of at_the_bottom_of underneath to_the_left_of on_the_other_side_of""".split()
PREPOSITIONS = [words.replace("_", " ") for words in PREPOSITIONS]
STREETS = "Street Road Lane Avenue Close Square Hill Way Court Terrace".split()
TOWN_A = """Ash Bar Birch Black Brad Bram Brook Burn Cal Carn Cold Crag Dal Dun Eb Elm Fair Fal Fern Ford Glen Gran Grim Hart Haw
Hazel Hol Iron Kel Kings Lang Lin Long Lor Mal Mar Mill Nor Oak Or Pel Pin Ran Red Rock Rose Rush Salt San Sel Shel Sil Stan
Stone Swan Tam Tarn Thorn Tor Ul Var Wal Wel West Whit Win Wood Yar""".split()
TOWN_B = """bay beck berg borough bridge burg burn bury by cliffe combe cross dale den don edge feld field ford gate ham haven hill hurst
keld land leigh ley low mere mont mouth ness pool port ridge shaw side stad stead stoke ton vale ville wick wold worth""".split()
CITIES = """London Paris Berlin Madrid Rome Vienna Oslo Stockholm Helsinki Copenhagen Dublin Lisbon Prague Warsaw Budapest Athens
Zurich Geneva Brussels Amsterdam Hamburg Munich Milan Naples Barcelona Porto Lyon Leeds Bristol Glasgow Boston Chicago Toronto
Sydney Tokyo Delhi Cairo Nairobi Lima Kyoto Seoul""".split()
COMPANY = "Ltd Inc GmbH & Sons & Co Group Partners Trust Foundation Institute Society Club Association Bank Insurance Foods Motors".split()
COLOURS = "red blue green yellow black white grey brown orange purple pink silver golden".split()
SYLLABLES = "ba be bi bo da de di do fa fe ga go ha he ja jo ka ke ki la le li lo ma me mi mo na ne no pa po ra re ri ro sa se si so ta te ti to va ve vi wa ya za zo an en in on ar er or al el il as es is".split()


@dataclass
class Phrase:
    """A noun phrase: what the text says, what a question may say, whether it is a person, plural, or the speaker."""

    text: str
    short: list = field(default_factory=list)
    person: bool = False
    plural: bool = False
    speaker: bool = False
    pronoun: str = ""
    count: tuple = ()

    def like(self, other):
        """Whether a question could name both by the same words."""
        return self.text == other.text or not {self.text, *self.short}.isdisjoint((other.text, *other.short))


def an(word):
    return ("an " if word[0].lower() in "aeiou" else "a ") + word


def plural(noun):
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def first_upper(text):
    return text[:1].upper() + text[1:]


def spliced(a, b):
    """The beginning of one word and the end of another: a word that nobody has seen."""
    return a[:max(2, len(a) * 3 // 5)] + b[len(b) // 2:].lower()


class Crowd:
    """Few first names, last names, adjectives and nouns, freely combined: people and things that differ in one word only.

    Ordinary documents have few such neighbours; looking at one word of the question is then enough, which is not reading.
    """

    def __init__(self, w, large=False):
        def some(make, low=3, high=26):
            low, high = (2 * low, high * 3 // 2) if large else (low, high)
            return [make() for _ in range(w.between(low, w.between(low + 2, high)))]
        self.first, self.last = some(w.first_name), some(w.surname)
        # Names that begin alike must be copied from their place, not from the first letters on.
        for names, share in ((self.first, 0.25), (self.last, 0.4)):
            if w.chance(share):
                stems = names[:w.between(1, 3)]
                names[:] = [spliced(w.one(stems), name) if w.chance(0.7) else name for name in names]
        self.adjectives = some(lambda: w.one(w.adjectives) if w.chance(0.7) else w.adjective(), 3, 16)
        self.nouns, self.some = {}, some
        begin, end = some(w.made_up, 3, 14), some(lambda: w.one(TOWN_B) if w.chance(0.3) else w.made_up().lower(), 3, 12)
        self.towns = (begin, end)

    def noun(self, w, kind):
        if kind not in self.nouns:
            self.nouns[kind] = self.some(lambda: w.thing_noun(kind), 3, 18)
        return w.one(self.nouns[kind])


class Words:
    """Random phrases. `held_out` chooses the nouns, adjectives and names that training never sees, or the others; while there
    is a `crowd`, most people, towns and things are of it."""

    def __init__(self, seed, held_out=False):
        self.random = random.Random(seed)
        self.r = self.random.random
        self.crowd = None

        def mine(words):
            return [w for w in words if (sum(map(ord, w)) % 12 == 0) == held_out]
        self.nouns = {kind: mine(words) for kind, words in CORPUS["nouns"].items()}
        self.adjectives, self.first, self.last = mine(CORPUS["adjectives"]), mine(CORPUS["first"]), mine(CORPUS["last"])

    def one(self, of):
        return of[int(self.r() * len(of))]

    def chance(self, p):
        return self.r() < p

    def between(self, low, high):
        return low + int(self.r() * (high - low + 1))

    def noun(self, kind):
        """A noun of WordNet, common ones more often."""
        words = self.nouns[kind]
        return words[int(self.r() ** 2 * len(words))]

    def made_up(self):
        return first_upper("".join(self.one(SYLLABLES) for _ in range(self.between(2, 3))))

    def rare(self):
        """A word that no list has."""
        return spliced(self.noun(self.one(list(self.nouns))).split()[0], self.noun("artifact").split()[-1])

    def linked(self, mark):
        """Two or three words in a row, as passwords and nicknames are: velvet-otter."""
        words = [self.one([self.one(self.adjectives), self.adjective(), self.one(COLOURS), self.noun("substance"), self.one(EVERYDAY)]),
                 self.one([self.noun("animal"), self.noun("animal"), self.noun("plant"), self.one(FOODS), self.noun("artifact"), self.rare()])]
        words += [self.one([self.noun("food"), self.one(NUMBERS), str(self.between(2, 99))])] if self.chance(0.2) else []
        return mark.join(words).replace(" ", mark)

    def first_name(self):
        """Mostly of the list; names must be copied letter by letter, so many are not."""
        x = self.r()
        return self.one(self.first) if x < 0.7 else spliced(self.one(self.first), self.one(self.first)) if x < 0.93 else self.made_up()

    def full_name(self):
        if self.crowd:
            return f"{self.one(self.crowd.first)} {self.one(self.crowd.last)}"
        return f"{self.first_name()} {self.surname()}"

    def town(self):
        x = self.r()
        if self.crowd and x < 0.8:
            begin, end = self.crowd.towns
            return self.one(begin) + self.one(end)
        if x > 0.97:
            return spliced(self.one(CITIES + self.last), self.one(TOWN_B))
        return self.one(TOWN_A) + self.one(TOWN_B) if x < 0.6 else self.one(CITIES) if x < 0.9 else self.made_up()

    def surname(self):
        x = self.r()
        if x < 0.65:
            return self.one(self.last)
        return spliced(self.one(self.last), self.one(self.last)) if x < 0.87 else self.made_up() if x < 0.93 else self.one(TOWN_A) + self.one(TOWN_B)

    def company(self):
        x = self.r()
        name = self.surname() if x < 0.4 else self.town() if x < 0.6 else first_upper(self.noun("artifact")) if x < 0.8 else self.made_up()
        return name + " " + self.one(COMPANY)

    def person(self):
        x = self.r()
        pronoun = self.one(["he", "she"])
        if self.crowd and x < 0.9:
            return Phrase(self.full_name(), [], True, pronoun=pronoun)
        if x < 0.62:
            first, last = self.first_name(), self.surname()
            if self.chance(0.45):
                return Phrase(first, [], True, pronoun=pronoun)
            title = "Mr" if pronoun == "he" else self.one(["Mrs", "Ms"])
            full = f"{first} {last}"
            return Phrase(full, [first, full, full, f"{title} {last}"], True, pronoun=pronoun)
        if x < 0.74:
            title = self.one(["Dr.", "Dr", "Professor", "Inspector"]) if self.chance(0.3) else "Mr" if pronoun == "he" else self.one(["Mrs", "Ms"])
            name = f"{title} {self.surname()}"
            return Phrase(name, [name, name.split(" ", 1)[1]] if title[0] == "D" else [], True, pronoun=pronoun)
        if x < 0.78:
            name = self.one(self.first) + ("" if self.chance(0.6) else " " + self.surname())
            who = self.one(["colleague", "neighbour", "friend", "boss", "assistant", self.one(JOBS), self.one(KIN)])
            owner = self.one(["my ", "our ", "the "])
            return Phrase(self.one([f"{owner}{who} {name}", f"{owner}{who} {name}", f"{name}, {owner}{who},"]), [name, name, f"{owner}{who}"], True, pronoun=pronoun)
        if x < 0.9:
            job = self.one(JOBS) if self.chance(0.7) else self.noun("person")
            job = self.one(["", "", "", "new ", "old ", "head ", "deputy "]) + job
            return Phrase(self.one(["the ", "the ", "our ", "my "]) + job, ["the " + job], True, pronoun=pronoun)
        kin = self.one(KIN)
        return Phrase(self.one(["my ", "our ", f"{self.one(self.first)}'s "]) + kin, [], True, pronoun=pronoun)

    def group(self):
        x = self.r()
        if x < 0.35:
            name = self.company()
            return Phrase(name, [name, name.split()[0]], True)
        if x < 0.5:
            a, b = self.one(self.first), self.one(self.first)
            return Phrase(f"{a} and {b}", [f"{a} and {b}", f"{b} and {a}"], True, plural=True)
        noun = self.one(["council", "committee", "board", "club", "team", "choir", "police", "company", "school", "city", "landlord's office",
                         "society", "museum", "government", "ministry", "hospital", "bank", "village", "union", "parish"])
        if self.chance(0.5):
            return Phrase("the " + noun, [], True)
        adjective = self.one(["finance", "marketing", "support", "sales", "local", "regional", "swimming", "gardening", "parish", self.noun("artifact"), self.noun("act")])
        return Phrase(f"the {adjective} {noun}", [f"the {adjective} {noun}", "the " + noun], True)

    def adjective(self):
        x = self.r()
        return self.one(COLOURS) if x < 0.25 else self.one(["new", "old", "small", "large", "broken", "spare", "heavy", "wooden", "first", "second", "last", "long", "short", "final", "annual", "big", "rusty", "main", "missing"]) if x < 0.6 else self.one(self.adjectives)

    def thing_noun(self, kind=None):
        if self.chance(0.04):
            return self.rare()
        kind = kind or self.one(["artifact"] * 7 + ["paper"] * 5 + ["food"] * 2 + ["event", "substance", "animal", "plant", "communication"])
        lists = {"artifact": EVERYDAY, "paper": PAPERS, "food": FOODS, "event": EVENTS}
        if kind in lists and (kind == "paper" or self.chance(0.55)):
            return self.one(lists[kind])
        return self.noun(kind)

    def thing(self, kind=None):
        x = self.r()
        if self.crowd and x < 0.85:
            return Phrase(f"the {self.one(self.crowd.adjectives)} {self.crowd.noun(self, kind or 'artifact')}")
        noun, x = self.thing_noun(kind), self.r()
        if x < 0.22:
            return Phrase("the " + noun)
        if x < 0.4:
            a = f"{self.adjective()} {noun}"
            return Phrase("the " + a, ["the " + a, "the " + a, "the " + noun])
        if x < 0.5:
            a = f"{self.adjective()} {noun}" if self.chance(0.5) else noun
            return Phrase(an(a), ["the " + a, "the " + a, an(a), "the " + noun])
        if x < 0.62:
            number = self.one(NUMBERS) if self.chance(0.6) else str(self.between(2, 400))
            nouns = plural(noun)
            if self.chance(0.35):
                box = self.one(["boxes", "bags", "bottles", "crates", "packs", "copies", "boxes", "litres", "kilos", "cartons", "rolls", "sheets"])
                nouns = f"{box} of {nouns}"
            elif self.chance(0.4):
                nouns = f"{self.adjective()} {nouns}"
            return Phrase(f"{number} {nouns}", ["the " + nouns, f"the {number} {nouns}"], plural=True, count=(number, nouns))
        if x < 0.72:
            nouns = plural(noun)
            nouns = f"{self.adjective()} {nouns}" if self.chance(0.4) else nouns
            return Phrase("the " + nouns, [], plural=True)
        if x < 0.8:
            owner = self.one(["my ", "our ", "his ", "her ", "their "])
            return Phrase(owner + noun, ["the " + noun])
        if x < 0.86:
            other = self.one(EVERYDAY + EVENTS + ROOMS)
            link = self.one(["for", "of", "about", "on", "from", "with"])
            return Phrase(f"the {noun} {link} the {other}", [f"the {noun} {link} the {other}", f"the {other} {noun}", "the " + noun])
        if x < 0.93:
            compound = f"{self.one(EVERYDAY + EVENTS + PAPERS)} {noun}"
            return Phrase("the " + compound, ["the " + compound, "the " + noun])
        owner = self.one(self.first)
        return Phrase(f"{owner}'s {noun}", [f"{owner}'s {noun}", f"the {noun} of {owner}"])

    def event(self):
        noun = self.one(EVENTS)
        x = self.r()
        if x < 0.3:
            return Phrase("the " + noun)
        if x < 0.5:
            a = f"{self.one(['annual', 'next', 'first', 'weekly', 'monthly', 'spring', 'summer', 'autumn', 'final', 'public', 'Christmas', 'school', 'staff', 'board', 'village'])} {noun}"
            return Phrase("the " + a, ["the " + a, "the " + a, "the " + noun])
        if x < 0.75:
            topic = self.one([self.noun("act"), self.noun("artifact"), plural(self.one(EVERYDAY)), self.noun("communication")])
            return Phrase(f"the {noun} on {topic}", [f"the {noun} on {topic}", f"the {topic} {noun}", f"the {noun} about {topic}", "the " + noun])
        a = f"{self.noun('artifact')} {noun}"
        return Phrase("the " + a, ["the " + a, "the " + a, "the " + noun])

    # Adverbials

    def clock(self):
        h, m = self.between(1, 12), self.one([0, 0, 15, 30, 30, 45, self.between(1, 59)])
        x = self.r()
        if x < 0.35:
            return f"{self.between(0, 23)}:{m if x < 0.2 else self.between(0, 59):02d}"
        half = self.one(["am", "pm", " am", " pm", " a.m.", " p.m.", " o'clock"])
        if m == 0 or "clock" in half:
            return f"{h}{half}"
        return f"{h}:{m:02d}{half}" if x < 0.9 else f"half past {self.one(NUMBERS[:10])}"

    def date(self):
        d, m, x = self.between(1, 28), self.one(MONTHS), self.r()
        year = f" {self.between(1950, 2035)}" if self.chance(0.2) else ""
        if x < 0.4:
            return f"{d} {m}{year}"
        if x < 0.6:
            suffix = {1: "st", 2: "nd", 3: "rd"}.get(d % 10 if d not in (11, 12, 13) else 0, "th")
            return self.one([f"{m} {d}{suffix}", f"the {d}{suffix} of {m}", f"{d}{suffix} {m}"]) + (year and "," + year if x > 0.55 else year)
        if x < 0.7:
            return f"{m} {d}" + (year and "," + year)
        if x < 0.85:
            return f"{self.one(DAYS)}{self.one([' ', ', '])}{d} {m}{year}"
        if x < 0.93:
            return f"{self.between(2018, 2032)}-{self.between(1, 12):02d}-{d:02d}"
        return f"{d:02d}.{self.between(1, 12):02d}.{self.between(2018, 2032)}"

    def time(self, tense):
        x, day = self.r(), self.one(DAYS)
        if x < 0.24:
            return f"on {day}" + self.one(["", "", "", f" at {self.clock()}", f" {self.one(['morning', 'afternoon', 'evening', 'night'])}"])
        if x < 0.36:
            return f"at {self.clock()}"
        if x < 0.5:
            date = self.date()
            return f"on {date}" + (f" at {self.clock()}" if self.chance(0.2) else "")
        if x < 0.58:
            return self.one([f"in {self.one(MONTHS)}", f"in {self.one(MONTHS)} {self.between(1990, 2032)}", f"in the {self.one(['morning', 'afternoon', 'evening', 'summer', 'spring', 'autumn', 'winter'])}", f"in {self.one(['spring', 'autumn', 'early', 'late'])} {self.between(1900, 2030)}" , f"at the {self.one(['beginning', 'end'])} of {self.one(MONTHS)}", f"at {self.one(['noon', 'midnight', 'Easter', 'Christmas', 'the weekend', 'night', 'dawn'])}"])
        if tense in ("past", "perfect"):
            return self.one([f"in {self.between(1780, 2026)}", "yesterday", f"last {self.one(DAYS + ['week', 'month', 'year', 'summer', 'winter', 'night'])}", f"{self.one(NUMBERS)} {self.one(['days', 'weeks', 'months', 'years'])} ago", f"yesterday at {self.clock()}", "this morning", "a week ago", f"after the {self.one(EVENTS)}", f"before the {self.one(EVENTS)}", f"during the {self.one(EVENTS)}"])
        if tense == "present":
            return self.one([f"every {day}", f"every {self.one(['day', 'week', 'morning', 'evening', 'month', 'year', 'summer'])}", "on weekdays", "twice a week", "once a month", f"on {day}s", f"every {day} at {self.clock()}", "at weekends", f"between {self.clock()} and {self.clock()}"])
        return self.one(["tomorrow", f"next {self.one(DAYS + ['week', 'month', 'year', 'summer'])}", f"by {day}", f"by the end of {self.one(MONTHS + ['the week', 'the month', 'the year'])}", f"in {self.one(NUMBERS)} {self.one(['days', 'weeks', 'months', 'minutes'])}", f"tomorrow {self.one(['morning', 'afternoon', 'evening'])}", f"tomorrow at {self.clock()}", f"this {self.one(DAYS + ['evening', 'afternoon'])}", f"next {day} at {self.clock()}", f"by {self.date()}", f"before {self.date()}", f"after the {self.one(EVENTS)}", f"before the {self.one(EVENTS)}"])

    def place(self):
        x = self.r()
        if x < 0.25:
            return f"{self.one(['in', 'at', 'in', 'outside', 'behind', 'near'])} the {self.one(ROOMS)}"
        if x < 0.4:
            return f"in {self.town()}"
        if x < 0.5:
            return self.one([f"in room {self.between(1, 499)}", f"in Room {self.one('ABCDEF')}{self.between(1, 30)}", f"on the {self.one(['ground', 'first', 'second', 'third', 'top'])} floor", f"at {self.between(1, 200)} {self.surname()} {self.one(STREETS)}", f"in building {self.between(1, 30)}", f"on platform {self.between(1, 14)}", f"on page {self.between(2, 300)}", f"in the {self.surname()} {self.one(['Room', 'Hall', 'Building', 'Centre'])}", f"at the {self.town()} {self.one(['Hotel', 'Hall', 'Inn', 'Arena', 'School'])}", "at home", "online", "at work", "upstairs", "outside"])
        where = self.one(PREPOSITIONS)
        if x < 0.56:
            many = plural(self.one(EVERYDAY) if self.chance(0.5) else self.noun("artifact"))
            return self.one([f"between {self.one(NUMBERS[:4])} {many}", f"between the {many}", f"among the {many}", f"under some {many}", f"behind {self.one(NUMBERS[:4])} {many}", f"{where} {an(self.one(EVERYDAY))}", f"{where} {self.first_name()}'s {self.one(EVERYDAY)}", f"{where} my {self.one(EVERYDAY)}"])
        if self.chance(0.15):
            return f"between the {self.one(EVERYDAY)} and the {self.one(EVERYDAY)}"
        if self.crowd and self.chance(0.5):
            return f"{where} the {self.one(self.crowd.adjectives)} {self.crowd.noun(self, 'place')}"
        noun = self.one(EVERYDAY + ROOMS) if self.chance(0.6) else self.noun(self.one(["artifact", "place", "plant"]))
        if self.chance(0.35):
            noun = f"{self.adjective()} {noun}"
        tail = f" in the {self.one(ROOMS)}" if self.chance(0.2) else ""
        return f"{where} the {noun}{tail}"

    def amount(self):
        x = self.r()
        if x < 0.35:
            n = self.one([str(self.between(2, 99)), str(self.between(100, 999)), f"{self.between(1, 99)},{self.between(0, 999):03d}", f"{self.between(1, 999)}.{self.between(0, 99):02d}", f"{self.between(0, 99)}.{self.between(1, 9)}"])
            return self.one([f"${n}", f"£{n}", f"€{n}", f"{n} euros", f"{n} dollars", f"{n} pounds", f"{n} crowns", f"{n} EUR", f"CHF {n}"])
        if x < 0.5:
            return f"{self.between(1, 99)}{self.one([' %', '%', ' percent', ' per cent'])}"
        if x < 0.6:
            return f"{self.between(1, 99)}.{self.between(0, 9)} {self.one(['million', 'billion', 'million euros', 'tonnes', 'km', 'litres', 'kg', 'percent', 'metres'])}"
        n = self.one([str(self.between(2, 999)), self.one(NUMBERS)])
        return f"{n} {self.one(['metres', 'kilometres', 'miles', 'kg', 'grams', 'g', 'litres', 'ml', 'tonnes', 'hours', 'minutes', 'days', 'pages', 'people', 'seats', 'square metres', 'degrees', 'tablespoons', 'cups', 'inches', 'feet', 'cm'])}"

    def duration(self):
        x = self.one(RANGE)
        return x.replace("{n}", self.one(NUMBERS) if self.chance(0.6) else str(self.between(2, 90))).replace("{d}", self.one([self.one(DAYS), self.date()]), 1).replace("{d}", self.one(DAYS)).replace("{h}", self.clock(), 1).replace("{h}", self.clock()).replace("{m}", self.one(["midnight", "next week", "the end of the month", self.clock()]))

    def code(self):
        x = self.r()
        if x < 0.35:
            return str(self.between(1000, 9999))
        if x < 0.5:
            return str(self.between(10000, 9999999))
        letters = "".join(self.one("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(self.between(1, 3)))
        if x < 0.7:
            return f"{letters}{self.one(['', '-', ' '])}{self.between(10, 9999)}"
        if x < 0.85:
            words = [self.one([self.one(EVERYDAY), self.one(FOODS), self.noun("animal"), self.noun("substance"), self.rare(), self.first_name()]).replace(" ", "") for _ in range(self.between(1, 3))]
            number = self.one(["", str(self.between(1, 9)), str(self.between(10, 9999))])
            link = self.one(["-", "-", "_", "", "."])
            words = [first_upper(word) for word in words] if link in ("", "_") or self.chance(0.3) else words
            return link.join(words + [number] if number else words if len(words) > 1 else [*words, str(self.between(2, 99))]) + self.one(["", "", "", "!", "?"])
        return f"0{self.between(100, 999)} {self.between(100, 999)} {self.between(100, 9999)}" if x < 0.93 else f"{self.between(100, 999)}-{self.between(1000, 9999)}"

    def reason(self):
        x = self.r()
        if x < 0.3:
            what = self.one(["rain", "snow", "illness", "a strike", "lack of money", "the storm", "bad weather", f"the {self.one(EVENTS)}", f"a broken {self.one(EVERYDAY)}", f"the {self.noun('event')}", f"a lack of {self.one(PAPERS + EVERYDAY)}s", "a power cut", "the heat", self.noun("attribute")])
            return self.one(["because of ", "due to ", "owing to "]) + what
        if x < 0.75:
            who = self.one(["the " + self.one(EVERYDAY + PAPERS + ROOMS), "it", "the " + self.one(JOBS), self.one(self.first)])
            state = self.one(["was too small", "was broken", "was ill", "was late", f"was too {self.adjective()}", "did not work", "had been stolen", "was full", "was closed", f"needed {an(self.one(EVERYDAY))}", "had no time", f"was {self.adjective()}", "leaked", "cost too much", f"had lost the {self.one(EVERYDAY)}", f"wanted {an(self.one(EVERYDAY + PAPERS))}"])
            return self.one(["because ", "because ", "since ", "as "]) + f"{who} {state}"
        return self.one(["to save ", "to check ", "in order to replace ", "to celebrate ", "to repair ", "to prepare ", "to pay for ", "to avoid ", "to find "]) + self.one([f"the {self.one(EVERYDAY + EVENTS + PAPERS)}", "money", "time", f"{self.noun('act')}", "energy"])

    def means(self):
        return self.one([f"by {self.one(['train', 'bus', 'car', 'post', 'phone', 'e-mail', 'ship', 'bicycle', 'courier', 'taxi', 'hand', 'plane', 'bank transfer'])}", f"with {an(self.one(EVERYDAY))}", f"with {an(self.adjective())} {self.one(EVERYDAY)}", f"with {self.noun('substance')}"])
