"""Scenes: everyday facts in the words of letters, notes, minutes, recipes and reports.

A line of scenes.txt is `kinds | statement ; statement | questions = SLOT | questions = SLOT ...`. A word in capitals is a slot (`PERSON`,
`TOWN2`), filled anew for every scene; HE, HIS and HIM follow the first person; {a|b} is a choice, {=a|b} in a question what the
statement chose. A statement may be several sentences, so that the answer stands next to the words of the question.
Kinds: l letter, n note, m minutes, c recipe, r report; a all but recipes. ME and YOU in a question are the writer and the reader.
"""

import os
import re

from facts import LANGUAGES
from phrases import COLOURS, CORPUS, DAYS, EVENTS, EVERYDAY, FOODS, JOBS, KIN, MONTHS, NUMBERS, PAPERS, ROOMS, STREETS, Phrase, an, first_upper, plural
from verbs import COMMON, GROUPS

CHOICE = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"\b[A-Z]{2,}\d?\b")
SCENES = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenes.txt")).read()
LIMBS = "arm leg wrist ankle finger toe shoulder elbow knee nose rib hip thumb collarbone tooth hand foot".split()
ADVERBS = """upstairs|next door|across the street|around the corner|on the second floor|on the top floor|abroad|two doors down|at the end of the road|opposite the church
|above the shop|in the house behind|at number 12|by the lake|over the bakery|outside the village|in the attic|on the left|in the corner house|near the pond""".replace("\n", "").split("|")
WORKS = """castle hospital bakery library zoo post_office brewery museum shipyard school theatre bank pharmacy airport garage nursery college hotel court sawmill
observatory town_hall radio_station printing_house vineyard fire_station garden_centre call_centre cheese_factory""".split()
GLASS = "glass paper plastic metal bottles cans tins batteries cardboard compost towels skis bikes shoes boots tools newspapers cushions blankets ashes leftovers parcels umbrellas helmets keys".split()
FRACTIONS = ["half", "a third", "a quarter", "two thirds", "most", "three quarters", "a fifth", "a tenth", "one in five", "the other half", "the rest"]
PEOPLE = "cyclists visitors passengers drivers students patients guests tourists walkers customers tenants members readers pupils workers travellers swimmers farmers voters residents applicants parents".split()
VERBS = "speak write talk listen drive go walk look apply pay build show sing send help clean paint wait wash vote stay check lend bake carry open close answer call visit move bring watch invite".split()
OFTEN = ["every day", "twice a day", "once a week", "every morning", "twice a week", "every other week", "three times a day", "daily", "every evening", "once a month", "every three days"]
INSTRUCTIONS = ["{push|pull|press|lift|slide|hold} the {COLOUR |small |big |left |right |}{lever|button|handle|switch|chain} {down|up|twice|for NUMBER seconds|gently|}", "{press|hold} {start|the star key|both buttons} {twice|for NUMBER seconds|until it beeps}", "{close|open} the {lid|door|tap|valve} {first|slowly|completely}", "{put|drop|insert} a {coin|token|card} in the {slot|box}"]


class Scenes:
    """Scenes of one document; `facts` lends its list of what the document has already."""

    def __init__(self, words, clauses, facts):
        self.w, self.clauses, self.facts, self.known = words, clauses, facts, facts.known

    def choose(self, text, stated=""):
        """One of each {a|b}; of {=a|b} one that was stated, or None."""
        while found := CHOICE.search(text):
            options = found.group(1).split("|")
            if options[0][:1] == "=":
                options[0] = options[0][1:]
                options = [o for o in options if re.search(rf"\b{o}\b", stated, re.I)]
                if not options:
                    return None
            text = text[:found.start()] + self.w.one(options) + text[found.end():]
        return text

    def value(self, slot):
        """A phrase or a text for a slot's name."""
        w = self.w
        slot = slot.rstrip("0123456789")
        if slot in ("PERSON", "GROUP"):
            people = [p for p in self.clauses.people if not p.plural]
            if slot == "GROUP":
                return w.group() if w.chance(0.5) else Phrase(w.one(["the state", "the city", "the council", "the county", "the church", "the school", "the club", "the bank"]))
            return w.one(people) if people and w.chance(0.5) else w.person()
        if slot in ("BUILDING", "SHIP"):
            return self.facts.named(slot[0].lower())
        if slot == "THING" and w.crowd and w.chance(0.6):
            return w.thing("artifact")
        if slot in ("THING", "PAPER", "EVENT", "THINGS"):
            kind = {"PAPER": "paper", "EVENT": "event"}.get(slot, "artifact" if w.chance(0.7) else None)
            if slot == "EVENT":
                return w.event()
            return Phrase("the " + plural(w.thing_noun(kind)), plural=True) if slot == "THINGS" else Phrase(f"the {w.adjective() + ' ' if w.chance(0.3) else ''}{w.thing_noun(kind)}")
        n = w.one(NUMBERS) if w.chance(0.5) else str(w.between(2, 90))
        food = w.one(FOODS) if w.chance(0.7) else w.noun("food")
        make = {
            "WORK": lambda: "the " + (w.one(WORKS).replace("_", " ") if w.chance(0.6) else w.noun("place") if w.chance(0.5) else f"{w.noun('artifact')} {w.one(['factory', 'shop', 'museum', 'works'])}") if w.chance(0.85) else w.company(),
            "ANIMALS": lambda: "the " + plural(w.noun(w.one(["animal", "animal", "plant"]))), "MONTH": lambda: w.one(MONTHS), "DAY": lambda: w.one(DAYS),
            "AGE": lambda: w.one([str(w.between(18, 99)), w.one(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]) + w.one(["", "", "-" + w.one(NUMBERS[:8])]), w.one(NUMBERS), "a hundred"]),
            "ORDINAL": lambda: w.one(["last", "round", "big", "first"]), "LIMB": lambda: w.one(LIMBS), "ROOM": lambda: "the " + w.one(ROOMS), "TOWN": w.town,
            "WHERE": lambda: w.one(ADVERBS) if w.chance(0.6) else w.place(), "JOB": lambda: w.one(JOBS) if w.chance(0.8) else w.noun("person"),
            "YEAR": lambda: str(w.between(1950, 2035)), "NUMBER": lambda: n, "ADJ": lambda: w.one(["tiny", "small", "lovely", "old", "cosy", w.adjective()]),
            "HOUSE": lambda: w.one(["cottage", "hut", "cabin", "hotel", "flat", "farmhouse", "tent", "caravan", "castle", "hostel", "houseboat", "chalet", "lighthouse"]),
            "PRICE": lambda: w.one([f"{w.between(2, 99) * 10} {w.one(['pounds', 'euros', 'dollars', 'crowns', 'francs'])}", f"{n} {w.one(['pounds', 'euros', 'dollars'])}", w.one("£€$") + str(w.between(2, 900)), f"{w.between(1, 9)},{w.between(100, 999)} euros"]),
            "ATHING": lambda: an((w.adjective() + " " if w.chance(0.4) else "") + w.thing_noun("artifact")), "MATERIAL": lambda: w.noun("substance"),
            "DURATION": lambda: w.one([f"{n} {w.one(['minutes', 'hours', 'days', 'weeks'])}", f"{n} {w.one(['minutes', 'hours'])}", "an hour", "half an hour", "an hour and a half", "one day", f"{w.between(1, 4)} hours {w.between(5, 55)} minutes"]),
            "CLOCK": w.clock, "DATE": w.date, "PHONE": lambda: w.one([f"0{w.between(10, 999)} {w.between(100, 999)} {w.between(1000, 9999)}", f"{w.between(10, 99)} {w.between(10, 99)} {w.between(10, 99)}", f"{w.between(100, 999)}-{w.between(1000, 9999)}", f"0{w.between(100, 999)} {w.between(10000, 999999)}", f"+{w.between(1, 99)} {w.between(10, 999)} {w.between(1000, 999999)}"]),
            "DUE": lambda: w.one([f"by {w.one(DAYS)}", f"by the end of {w.one(MONTHS + ['the week', 'the month'])}", "next week", "tomorrow", f"before {w.date()}", f"on {w.one(DAYS)}", f"in {w.one(NUMBERS)} days", "this afternoon", f"next {w.one(DAYS)}", f"by {w.date()}"]),
            "FOOD": lambda: food, "ADJFOOD": lambda: f"{w.one(['fresh', 'goat', 'barley', 'wild', 'warm', 'sour', 'chicken', 'ground', 'red', 'green', 'toasted', 'olive', 'brown', w.adjective()])} {food}",
            "MEDIUM": lambda: w.one(["butter", "oil", "olive oil", "lard", "water", "milk", "wine", "broth", "stock", "coconut oil", "vinegar", "salt water", "juice", food]),
            "AMOUNT": lambda: f"{w.one([str(w.between(1, 900)), f'{w.between(0, 9)}.{w.between(1, 9)}', '1/2', n])}{w.one([' g', ' ml', ' litres', ' kg', 'g', ' cups', ' l', ' tbsp', ' teaspoons', ' litre'])}",
            "KIN": lambda: w.one(KIN), "PEOPLE": lambda: w.one(PEOPLE) if w.chance(0.6) else plural(w.noun("person")), "LISTNAME": lambda: w.one(["waiting", "guest", "mailing", "reserve", "reading", w.one(EVENTS)]),
            "EVENTNAME": lambda: w.one(EVENTS), "PLACE": lambda: w.place() if w.chance(0.5) else w.one([f"at {w.one(w.first)}'s {w.one(['place', 'flat', 'farm'])}", f"in the {w.one(EVERYDAY)}", f"{w.one(['to', 'into', 'in', 'behind', 'next to'])} the {w.one(['', 'blue ', 'green ', 'big ', 'old '])}{w.one(['bin', 'bag', 'crate', 'tent', 'drawer', 'basket', 'hook', 'shelf', 'cellar'])}" + w.one(["", f" in the {w.one(ROOMS)}"])]),
            "NETWORK": lambda: w.one(["wifi", "wi-fi", "router", "laptop", "network", "guest wifi", "computer", "printer", "TV", "internet"]), "SECRET": lambda: w.one([w.code(), w.one(w.first).lower() + str(w.between(1, 9999)), f"{first_upper(w.one(FOODS)).replace(' ', '')}{w.between(10, 99)}{w.one('!?#_')}"]),
            "CODE": lambda: w.one([w.code(), first_upper(w.one(EVERYDAY)) + first_upper(w.one(FOODS)).replace(" ", "") + str(w.between(1, 99))]),
            "WEIGHT": lambda: f"{n} {w.one(['kg', 'kilos', 'grams', 'g', 'pounds', 'tonnes'])}", "LENGTH": lambda: f"{n} {w.one(['cm', 'centimetres', 'mm', 'metres', 'inches', 'feet'])}",
            "MEASURE": lambda: w.one([f"{n} {w.one(['km/h', 'years', 'metres', 'degrees', 'euros', 'kilos', 'percent'])}", w.amount()]),
            "ADDRESS": lambda: w.one([f"{w.surname()} {w.one(['Street', 'Road', 'Lane', 'Square'])} {w.between(1, 99)}", f"{w.between(1, 150)} {w.surname()} {w.one(['Street', 'Road', 'Avenue'])}", f"{w.one(['Market', 'Station', 'Church', 'Mill', 'High', 'Bridge'])} Street {w.between(1, 90)}"]),
            "THINGSNAME": lambda: w.one(GLASS) if w.chance(0.6) else plural(w.one(EVERYDAY)), "HOWOFTEN": lambda: w.one(OFTEN), "NAME": lambda: w.one(w.first) if w.chance(0.6) else w.made_up(),
            "SYSTEM": lambda: w.one(["oven", "dishwasher", "alarm", "washing machine", "pump", "stove", "coffee machine", "garage door", "radio", w.one(EVERYDAY)]), "COLOUR": lambda: w.one(["red", "blue", "green", "black", "white", "yellow"]),
            "COUNT": lambda: str(w.between(2, 400)), "BADEVENTS": lambda: w.one(["accidents", "fires", "complaints", "thefts", "floods", "power cuts", "delays", "injuries", "collisions", "breakdowns", "cases", "alarms"]),
            "FRACTION": lambda: w.one(FRACTIONS), "BIGNUM": lambda: w.one([f"{w.between(1, 99)}.{w.between(1, 99)} million", f"{w.between(1, 999)},{w.between(0, 999):03d}", f"{w.between(2, 90)} thousand", f"{w.between(1, 9)}.{w.between(1, 9)} billion"]),
            "PERCENT": lambda: f"{w.between(1, 99)}{w.one([' percent', '%', ' per cent', ' %'])}", "TARGET": lambda: "the " + w.one(WORKS + ROOMS).replace("_", " ") if w.chance(0.7) else w.town(),
            "VIA": lambda: f"{w.one(['over', 'along', 'through', 'to', 'across', 'past', 'around', 'via'])} the {w.one(['old', 'stone', 'market', 'north', 'new', w.adjective()])} {w.one(['bridge', 'road', 'tunnel', 'square', 'station', 'path', 'car park', 'gate', 'entrance', 'street'])}",
            "CAUSE": lambda: f"the {w.one(['old', 'bad', 'lack of', w.adjective(), w.adjective()])} {w.noun(w.one(['artifact', 'phenomenon', 'act', 'substance']) if 'phenomenon' in w.nouns else w.one(['artifact', 'act', 'substance']))}" + w.one(["", "", f" in {w.town()}"]),
            "INSTRUMENT": lambda: w.one("piano violin cello flute oboe trumpet horn drums guitar harp organ accordion trombone clarinet viola banjo".split()) if w.chance(0.7) else w.noun("artifact"),
            "SUBJECT": lambda: w.one("law medicine physics history music chemistry biology maths philosophy economics engineering geography nursing".split()) if w.chance(0.6) else w.noun("act"),
            "SCORE": lambda: f"{w.between(0, 99)}{w.one([':', '-', ' to '])}{w.between(0, 99)}", "WEATHER": lambda: w.one(["rain", "fog", "snow", "a storm", "hail", "frost", "heavy rain", "thunder", "strong wind", "a flood", "sleet", "a heat wave", "drizzle"]),
            "AJOB": lambda: an(w.one(JOBS) if w.chance(0.6) else w.noun("person")), "KINDSHOP": lambda: f"{w.one(EVERYDAY + FOODS) if w.chance(0.6) else w.noun('artifact')} {w.one(['shop', 'factory', 'school', 'museum', 'workshop'])}",
            "EVERY": lambda: w.one(OFTEN + [f"every {w.one(NUMBERS)} {w.one(['days', 'weeks', 'months', 'years', 'hours'])}", f"every {w.one(DAYS)}", f"{w.one(NUMBERS)} times a {w.one(['day', 'week', 'month', 'year'])}", "every second day", "once a year", "twice a month"]),
            "DOTHIS": lambda: self.task(0) if w.chance(0.4) else f"{w.one(VERBS)} {w.one(['the ', 'the ', 'a ', 'to the ', 'with the ', 'for the '])}{w.one([self.item(), w.noun('person'), w.one(PAPERS), w.one(JOBS)])}", "OLDHOUSE": lambda: w.one(["", "old ", "new ", "wooden "]) + w.one("barn mill shed workshop warehouse hotel cottage bakery stable factory".split()),
            "WHYIS": lambda: f"{w.one(['it is', 'it was', 'the ' + self.item() + ' is', 'it had become'])} {w.one(['rotten', 'too old', 'dangerous', 'broken', 'ugly', w.one(w.adjectives), 'too ' + w.adjective(), 'in the way', 'full of holes'])}", "PLANT": lambda: w.noun("plant"), "PLANTS": lambda: plural(w.noun("plant")), "FLOORNAME": lambda: w.one(["first", "second", "third", "fourth", "top", "ground"]),
            "ENTRY": lambda: f"{w.one(['through', 'by', 'over', 'across', 'along'])} the {w.one(['', '', w.adjective() + ' '])}{w.one(['window', 'roof', 'cellar', 'back door', 'garden', 'gate', 'balcony', self.item()])}{w.one(['', '', ' at the back', ' on the left'])}", "ORDER": lambda: w.one(["first", "second", "third", "fourth", "fifth", "tenth", "last"]),
            "TARGETNAME": lambda: f"{w.one(['', w.adjective() + ' ', w.one(w.adjectives) + ' '])}{w.one(ROOMS + WORKS).replace('_', ' ') if w.chance(0.6) else w.noun('place')}",
            "DAYS": lambda: w.one(DAYS) + "s", "SPAN": lambda: w.one([f"from {w.one(DAYS)} to {w.one(DAYS)}", f"from {w.date()} to {w.date()}", f"from {w.between(1, 15)} to {w.between(16, 30)} {w.one(MONTHS)}", f"until {w.date()}", f"for {n} {w.one(['days', 'weeks', 'months'])}", f"in {w.one(MONTHS)}"]),
            "TASK": lambda: self.task(0), "GERUND": lambda: self.task(1), "VOTES": lambda: w.one([f"{w.between(2, 90)} votes to {w.between(0, 40)}", f"{w.between(2, 90)} to {w.between(0, 40)}", f"{w.between(2, 90)} votes against {w.between(1, 40)}", f"{w.between(2, 90)} in favour, {w.between(1, 40)} against"]),
            "TOPIC": lambda: w.one([w.thing("artifact").text, w.thing("paper").text, f"the {w.noun('act')} of {plural(w.noun('artifact'))}", "the " + w.noun("attribute"), self.task(1), w.thing("food").text]), "QUOTE": lambda: self.quote(), "FIRM": w.company,
            "WHERETO": w.place, "QUANTITY": lambda: f"{w.one(NUMBERS[:5] + ['one', 'half a'])} {w.one(['tablets', 'tablet', 'spoons', 'drops', 'capsules', 'teaspoons', 'pills'])}", "OFTENS": lambda: w.one(OFTEN), "SHADE": lambda: w.one(["", "", "dark ", "light "]) + w.one(COLOURS),
            "ITEM": lambda: self.item(), "ITEMS": lambda: plural(self.item()), "WORKNAME": lambda: w.one(WORKS).replace("_", " ") if w.chance(0.7) else w.noun("place"), "ROOMNAME": lambda: w.one(ROOMS) if w.chance(0.7) else w.noun("place"), "ROADNAME": lambda: f"{w.surname()} {w.one(STREETS)}",
            "ANIMAL": lambda: w.one(["cat", "dog", "parrot", "tortoise", "rabbit"]) if w.chance(0.5) else w.noun("animal"), "BEAST": lambda: w.noun("animal"), "BEASTS": lambda: plural(w.noun("animal")), "ENERGY": lambda: w.one(["gas", "diesel", "mains power", "petrol", "batteries", "wood", "steam", f"{n} batteries", f"{w.between(5, 230)} volts", "solar power", w.noun("substance")]),
            "DURATION2": lambda: f"{n} {w.one(['years', 'months', 'weeks', 'days'])}", "VEHICLE": lambda: w.one(["by ", "the ", "a ", "an old "]) + w.one("train ferry bus tram boat ship taxi car plane bicycle coach lorry sledge helicopter tractor".split()), "DISH": lambda: f"{w.one(FOODS)} {w.one(['soup', 'cake', 'pie', 'stew', 'salad', 'curry', 'tart', 'pancakes', 'ice cream', 'risotto', 'omelette', 'dumplings'])}",
            "TEMP": lambda: f"{w.one(['', '', '', 'minus '])}{w.between(2, 260)}{w.one([' degrees', '°C', '°', ' °C', ' degrees Celsius', ' C'])}", "DISTANCE": lambda: f"{w.one([n, f'{w.between(1, 90)}.{w.between(1, 9)}', str(w.between(50, 9000)), f'{w.between(1, 9)},{w.between(100, 999)}'])} {w.one(['metres', 'm', 'km', 'kilometres', 'miles', 'feet', 'steps'])}",
            "SENTENCE": lambda: f"the {self.item()} {w.one(['was too ' + w.adjective(), 'had been forgotten', 'was ' + w.one(w.adjectives), 'broke', 'got wet', 'was stuck', 'did not fit', 'was too hot', 'had run out', 'leaked', 'was upside down', 'was missing'])}", "SMALLS": lambda: w.one(["", "thin ", "small ", "thick ", "large ", "long "]) + w.one(["cubes", "slices", "strips", "pieces", "rings", "quarters", "sticks", "wedges", "circles", "squares"]),
            "HOURSPAN": lambda: w.one([f"from {w.clock()} to {w.clock()}", f"{w.one(DAYS)} to {w.one(DAYS)}, {w.clock()} to {w.clock()}", f"from {w.clock()} until {w.clock()}", f"daily {w.between(7, 11)} to {w.between(12, 22)}", f"{w.one(DAYS)} and {w.one(DAYS)} {w.clock()}-{w.clock()}"]), "LANG": lambda: w.one(LANGUAGES),
            "TITLE": lambda: w.one([f"The {first_upper(w.adjective())} {first_upper(w.noun('artifact'))}", f"{first_upper(plural(w.noun('animal')))} and {first_upper(plural(w.noun('plant')))}", f"{w.first_name()}'s {first_upper(w.noun('act'))}", f"The {first_upper(w.noun('person'))} of {w.town()}", first_upper(w.rare())]),
            "INSTRUCTION": lambda: self.filled(self.choose(w.one(INSTRUCTIONS)), {}),
        }
        return make[slot]()

    def filled(self, text, values, question=False):
        """The text with its slots filled; a question names people and things in other words."""
        he = next((v.pronoun for v in values.values() if isinstance(v, Phrase) and v.pronoun), "") or "he"
        fixed = {"HE": he, "HIS": {"he": "his", "she": "her"}[he], "HIM": {"he": "him", "she": "her"}[he]}

        def put(match):
            name = match.group(0)
            if name in fixed:
                return fixed[name]
            if name in ("ME", "YOU"):
                return self.clauses.name(Phrase("I" if name == "ME" else "you", speaker=True))
            if name == "FOODHEAD":
                return values["ADJFOOD"].split(" ", 1)[1]
            if not question:
                values.setdefault(name, self.value(name)) if name != "PIN" else None
            value = values.get(name, name)
            return value if isinstance(value, str) else self.clauses.name(value) if question else value.text
        text = re.sub(r"\ba (?=[aeiou])", "an ", re.sub(r"\ban (?=[b-df-gj-np-tv-z])", "a ", SLOT.sub(put, text)))
        text = re.sub(r" +", " ", text).replace(" ,", ",").replace(" ?", "?").strip()
        return re.sub(r"((?<!\b[ap]\.m)(?<!Dr)[.!?] )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)

    def item(self):
        w = self.w
        return w.one(EVERYDAY) if w.chance(0.5) else w.thing_noun("artifact")

    def task(self, form):
        """"paint the fence" or "painting the fence"."""
        w = self.w
        verb = w.one(w.one([group for group in GROUPS[:COMMON] if {"t", "p", "f"} & set(group[0].objects)]))
        kind = w.one([kind for kind in verb.objects if kind in "tpf"])
        noun = w.thing({"t": "artifact", "p": "paper", "f": "food"}[kind]).text
        return f"{verb.gerund if form else verb.base} {noun}" + w.one(["", "", "", f" {w.place()}"])

    def quote(self):
        """What somebody says: a short sentence of WordNet's."""
        while len(said := self.w.one(CORPUS["examples"])) > 60:
            pass
        return said.rstrip(".!")

    def key(self, text):
        """What a question must not have in common with another: in a crowd the whole name differs, elsewhere the last word."""
        return text if self.w.crowd else text.split()[-1]

    def any(self, kind):
        """(text, questions) of one scene of a kind, or None."""
        w = self.w
        statements, asked = w.one(BY_KIND[kind])
        values = {}
        template = self.choose(w.one(statements))
        text = self.filled(template, values)
        questions, keys = [], []
        for wordings, answer in asked:
            options = CHOICE.fullmatch(answer)
            given = next((given for one in (options.group(1).split("|") if options else [answer]) if all(slot in values for slot in SLOT.findall(one))
                          and (given := self.filled(one, values)).lower() in text.lower()), None)
            if given is None:
                continue
            for _ in range(4):
                wording = self.choose(w.one(wordings), text)
                if wording is None:
                    continue
                slots = [s for s in SLOT.findall(wording) if s not in ("HE", "HIS", "HIM", "ME", "YOU", "PIN")]
                if not all(s in values or s == "FOODHEAD" and "ADJFOOD" in values for s in slots) or any(s in answer.split() for s in slots):
                    continue
                if ("ME" in SLOT.findall(wording) or "YOU" in SLOT.findall(wording)) and not (self.clauses.author and self.clauses.addressee):
                    continue
                named = [values[s] for s in slots if s in values]
                keys.append(("scene", asked[0][1], *[self.key(v if isinstance(v, str) else v.text) for v in named]))
                questions.append((first_upper(self.filled(wording, values, True)) + "?", given))
                break
        if any(key in self.known for key in keys) or not questions:
            return None
        self.known.update(keys)
        return text, questions


def read_scenes():
    by_kind = {kind: [] for kind in "alnmcr"}
    for line in SCENES.strip().splitlines():
        parts, depth, start = [], 0, 0
        for i, character in enumerate(line + "|"):
            depth += (character == "{") - (character == "}")
            if character == "|" and depth == 0:
                parts.append(line[start:i].strip())
                start = i + 1
        asked = []
        for part in parts[2:]:
            wordings, answer = part.rsplit("=", 1)
            asked.append(([s.strip() for s in wordings.split(";")], answer.strip()))
        scene = ([s.strip() for s in parts[1].split(";")], asked)
        for kind in set(parts[0].replace(" ", "").replace(",", "").replace("a", "alnmr")):
            by_kind[kind].append(scene)
    return by_kind


BY_KIND = read_scenes()
