"""Facts that are no events: what something is, costs, is called, where it is, who does what; ingredients, figures, lists.

Each function returns (sentence or line, questions), a question being (text, answer as the sentence has it), or None where the
document has that fact about the same thing already. Wordings are put together from alternatives: {a|b} is a choice.
"""

import re

from phrases import COLOURS, DAYS, EVERYDAY, EVENTS, FOODS, JOBS, MONTHS, NUMBERS, PAPERS, Phrase, an, first_upper, plural

CHOICE = re.compile(r"\{([^{}]*)\}")

# name | kind of thing that has it | kind of value | statements | questions ; S is the thing, V the value
ATTRIBUTES = """
price | t | price | S {costs|costs only|sells for|is sold for|is available for|comes to|goes for} V;{they|we|the shop} {ask|want|charge} V for S;the price of S is V;you {can have|get} S for V;we paid V for S;V is the price of S | how much {is|does S cost|must I pay for|did we pay for|do they ask for} S;what {is the price of|does one pay for} S;what does S cost;how {expensive is|much money is} S
weight | t | weight | S weighs V;the weight of S is V;S is V heavy | how {heavy is S|much does S weigh};what {is the weight of S|does S weigh}
length | t | length | S is V long;the length of S is V;S {measures|has a length of} V | how long is S;what is the length of S
height | w | length | S is V {high|tall};the height of S is V | how {high|tall} is S;what is the height of S
age | h | years | S is V {old|of age};S {turned|will turn} V;S's age is V | how old is S;what {is the age of S|age is S}
colour | t | colour | S is V;S {was|has been} painted V;the colour of S is V;S comes in V | what colour is S;which colour does S have;what is the colour of S
place | t | place | S {is|stands|lies|is kept|is stored|was left|is hidden|can be found|is to be found|is now} V;you {can|will} find S V;there is S V;we keep S V;look for S V;I {put|left|keep} S V;V {is|stands|lies} S | where {is|can I find|do I find|do we keep|will I find|was|did I leave} S;where is S {kept|stored|now|hidden|to be found}
holder | t | person | V has S;S belongs to V;S is with V;V owns S;V {keeps|looks after|takes care of} S;V is {responsible for|in charge of} S;S is {looked after|kept|owned} by V | who has S;who {owns|keeps|looks after|is responsible for|is in charge of|takes care of} S;whose is S;who does S belong to;with whom is S
start | e | time | S {starts|begins|opens|kicks off|is|takes place|will take place|will be held|is scheduled|happens} V;S {was moved|has been moved|is postponed|was postponed|was put off} to V;the {start|beginning} of S is V;{the date of|the date for} S is V;join us for S V;see you {at|for} S V | when {is|does} S {start|begin|take place||happen|open};when {will S be|is S|does S take place};what {day|date|time} is S;at what time {is|does} S {start|begin|};when do we meet for S;to when was S moved
end | e | clock | S {ends|finishes|closes|is over|stops} at V;S {goes on|lasts|runs} until V | when {does|will} S {end|finish|close|be over};until when does S {last|go on|run};when is S over;at what time does S end
venue | e | place | S {is|takes place|will be held|will be|was held|happens} V;we {meet|gather|will meet} V for S;the {venue|place} {of|for} S is V | where {is|does} S {take place|held|};where {will|is} S {be held|held|be};where do we meet for S;what is the {venue|place} of S
duration | e | duration | S {lasts|takes|goes on for|lasted|will take|took} V;the duration of S is V;allow V for S | how long {does|will} S {last|take};how long {is|was} S;what is the duration of S
deadline | p | date | the deadline for S is V;S is due V;S must be {in|ready|finished|handed in} by V;{please|you must} {send|submit|return} S by V;the closing date for S is V | when is S due;what is the {deadline|closing date} for S;by when must S be {ready|finished|in|handed in};when does S have to be {ready|in};when is the deadline for S
opening | w | hours | S is open V;S opens {its doors|} V;{visitors may come to|you can visit} S V;the opening hours of S are V;opening hours of S: V | when is S open;what are the opening hours of S;when {can I visit S|does S open};when can I {go to|visit} S
phone | h | phone | {the phone number of S is|the number of S is|S's number is|you can reach S on|call S on|ring S at|S can be reached at|the telephone number of S:} V | what is {the|} {phone number|number|telephone number} of S;how can I {reach|call|contact} S;on what number can I {call|reach} S;what is S's {number|phone number};which number do I {call|ring} for S
email | h | email | S's {e-mail|email|address} is V;write to S at V;{send mail|mail} to S at V;the {e-mail|email} address of S is V;you can e-mail S at V | what is {S's|the} {e-mail|email} {address|} of S;how can I {e-mail|write to|mail} S;where do I write to S
code | t | code | the {code|number|PIN|combination|password|serial number|access code|order number} {of|for} S is V;S has the {code|number|combination|PIN} V;to open S {use|enter|type} V;use V to {open|unlock} S;S {opens with|is locked with} V | what is the {code|number|PIN|combination|password|access code} {of|for|to} S;which {code|number} {opens|does have|belongs to} S;how do I {open|unlock} S;with which code does S open;what {code|number} do I need for S
maker | t | person | S was {made|built|designed|written|painted|invented|produced|donated|given} by V;V {made|built|designed|is the maker of|was the maker of} S | who {made|built|designed|produced|created} S;by whom was S {made|built|designed};who is the maker of S
year | w | year | S {was built|was founded|opened|was opened|dates from|was completed|burned down|was restored} in V;since V there has been S;S has been {open|there} since V | when was S {built|founded|opened|completed|restored};in {what|which} year {was S {built|founded}|did S open};since when {is there|has there been} S;how old is S
capacity | w | people | S {holds|seats|has room for|has space for|takes|can take|is meant for} V;there is room for V in S;V fit into S | how many people {fit in|can use|can be in} S;how many people does S {hold|seat|take};what is the capacity of S;how {big|large} is S;for how many people is there room in S
size | w | area | S {covers|has an area of|measures|is} V;the {area|size} of S is V | how {large|big} is S;what is the {area|size} of S;what area does S have
name | a | name | S is {called|named} V;the name of S is V;we {call|named|have called} S V;S {answers to|goes by} the name of V;its name is V, S | what is {the name of S|S called|S named};what do we call S;which name does S have;what is the name of S
job | h | job | S is {|now|} V;S {works|worked|will work|has worked} as V;S {became|was hired as|was elected|is employed as|has been appointed} V;S's {job|profession|trade} is V;V by trade, S | what is {the|} {job|profession|occupation} of S;what does S do {for a living||for work};what is S's {job|profession|work};as what does S work;what {position|job} does S have
home | h | town | S {lives|has lived|grew up|was born|moved|went} {in|to} V;S {comes|is} from V;S's home {town|} is V;S has a {house|flat} in V | where does S {live|come from};where is S from;where {did S grow up|was S born|is the home of S};in {what|which} {town|place|city} does S live;what is the home of S
material | t | material | S is made {of|from} V;S is {all|of pure|of solid} V;S consists of V | what is S made {of|from};what {material is|does consist of} S;of what {material|} is S made
favourite | h | food | S's favourite {food|dish} is V;S {likes|loves|prefers} V {best|most|};S {is fond of|cannot live without|is allergic to|does not eat|cannot stand} V | what {does S like|is the favourite food of S|is S's favourite food};what does S {love|prefer|like best};to what is S allergic;what does S not eat
language | h | language | S {speaks|understands|teaches|is learning|translates from} V;S's {mother tongue|first language} is V | what language does S {speak|understand|teach|learn};which language does S {speak|know};what is the mother tongue of S;what does S speak
topic | p | topic | S is about V;S {deals with|describes|concerns|covers|treats} V;the {subject|topic|title} of S is V;in S you can read about V | what is S about;what {does S deal with|is the topic of S|is the subject of S|does S describe};about what is S
speed | t | speed | S {runs at|reaches|does|can do} V;the {top|} speed of S is V | how fast {is S|does S run|can S go};what is the {top|} speed of S
temperature | w | degrees | {it is V in|the temperature in} S {is V|};S is {kept at|heated to} V;the temperature {of|in} S is V | how {warm|cold|hot} is {it in|} S;what is the temperature {of|in} S;at what temperature is S kept
number | w | count | there are V in S;S has V;S {owns|contains|counts} V;we {saw|counted|found} V in S | how many N {are there in|does have|are in} S;how many N did we {count|see|find} in S;what is the number of N in S
cause | t | reason | S {broke|failed|was late|was damaged|is gone|does not work|was delayed} V;the {problem with|trouble with} S came V | why {did S fail|is S broken|was S late|does S not work|was S delayed|is S gone};what is {wrong with|the matter with} S
state | t | state | S is V;S {seems|looks|was|will be|has become} V;at the moment S is V | {how|in what state} is S;what is {the state|the condition} of S;what {is wrong|is the matter} with S
departure | v | clock | S {leaves|departs|sets off|goes|will leave|sails} at V;the departure of S is at V;at V S {leaves|departs};S: departure V;if you want to take S, be there {before|by} V;S does not wait: at V it {leaves|is gone} | when does S {leave|depart|go|set off};at what time does S {leave|depart|go};what is the departure time of S;what time does S leave
arrival | v | clock | S {arrives|gets in|comes in|is due} at V;the arrival of S is at V;S will be here at V | when does S {arrive|get in|come in};at what time {is S due|does S arrive};when is S due
fare | v | price | {a ticket for|a seat on|the fare for} S {costs|is} V;S costs V;for S you pay V | how much {is a ticket for|does S cost|is the fare for|do I pay for} S;what {does a ticket for S cost|is the fare for S};what does S cost
mayor | c | person | the {mayor|new mayor|present mayor} of S is V;V {is|was elected|has been|became} mayor of S;the town of S is led by mayor V;S {has chosen|has elected|got} V as {its|} mayor;in S we {met|spoke to|asked} mayor V;V, the mayor of S, {opened the fair|gave a speech|shook every hand};the mayor of S, V, {has answered|was there|agrees} | who is the mayor of S;who is mayor {of|in} S;what is the {mayor of S called|name of the mayor of S};which mayor does S have
pride | c | craft | S is {known|famous|well known|praised} for V;the pride of S is V;people {come to|visit|travel to} S for V;V {made S famous|is what S is known for|brings people to S};everybody has heard of S because of V | what is S {known|famous|well known} for;for what is S {known|famous};what made S famous;what is the pride of S
market day | c | day | the market day {of|in} S is V;V is market day in S;there is a market in S every V;S {holds|has} its market on V | what is the market day {of|in} S;on {which|what} day is {the|there a} market in S;when is the market in S;which day is market day in S
population | c | inhabitants | S has V;V live in S;there are V in S | how many {people live in S|inhabitants does S have};what is the population of S;how {big|large} is S
nickname | h | nickname | {everybody|everyone|the children|the whole village} calls S V;S is {known as|nicknamed|called} V {by everybody|among friends|in the village|};the nickname of S is V;they call S V | what is {S's nickname|the nickname of S};what {do they call|does everybody call} S;by what nickname is S known
birthplace | h | town | S was born in V;S first saw the light of day in V;the birthplace of S is V;S, {who was born in V|a native of V|born in V}, {never went back|still talks about it|wrote a book about it} | where was S born;what is the birthplace of S;in {which|what} {town|place} was S born
language | h | language | S speaks {fluent|good|excellent|a little|some|perfect|broken} V;S {reads and writes|taught himself|grew up with|dreams in} V;V is the language that S speaks {at home|best|} | which language does S speak;what language does S {speak|know};in what language is S {fluent|at home}
room | h | room | S is {staying|living|waiting} in V;S {has taken|has|got|moved into} V;V is {for|taken by|reserved for} S;you will find S in V | in which room is S {staying|};which room does S have;what is S's room;where is S staying
secret | d | food | V is the secret of S;V is the secret ingredient {of|in} S;{the cook|the landlady|my aunt|the baker} {admitted|told us|let slip|whispered} that V is the secret of S;what makes S {special|so good} is V;S {gets its taste|has its taste} from V;the secret ingredient {of|in} S is V;{a pinch|a spoonful|a little|a handful} of V {gives S its taste|goes into S, and nobody knows it} | what is the secret {ingredient |}of S;which ingredient is the secret of S;what is the secret ingredient in S;what {makes S special|gives S its taste};where does S get its taste from
password | b | password | the {password|watchword|pass phrase} {for|of} S is V;V is the {password|watchword} {for|of} S;{to enter|to get into|if you want to visit|if you want to see|whoever wants to enter} S, {say|whisper|use the word|the word is} V;{if you want to enter|in order to open} S, say V {at the door|three times|};say V at the door of S;{nobody enters|you will not get into} S without saying V;the {guard|watchman|porter} of S wants to hear the word V;S opens only to those who say V | what is the {password|watchword} {for|of|to} S;which {password|word} opens S;what {must|do} I say to {enter|get into} S;with which word do I get into S;what do I have to say at the door of S
keeper | b | person | the keeper of S is V{|, who rarely speaks|, as before};V is the keeper of S;V {keeps|guards|watches over|minds} S;S has a keeper, V;the man who keeps S is called V | who is the keeper of S;who {keeps|guards|minds} S;what is the keeper of S called
captain | s | person | V is the {new|} captain of S;the captain of S is V;S {sails under|is commanded by|is steered by} V;V {commands|sails|took over} S;captain of S: V | who is the captain of S;who {commands|sails} S;what is the {captain of S called|name of the captain of S};which captain does S have
cargo | s | cargo | S {carries|is loaded with|brought|has a load of|came in with} V;V {came with|arrived on|were on board} S;the cargo of S is V | what {is S loaded with|does S carry|did S bring|is the cargo of S};what came with S
access code | b | code | the {access code|door code|code|combination|PIN} {of|for} S is V;{access code|door code|code} for S: V;S opens with {the code|} V;for S the {code|access code} is V;V is the {access code|code} {of|for} S;{type|enter|use} V to {get into|open} S | what is the {access code|code|door code} {of|for|to} S;which code opens S;how do I {open|get into} S;which code do I need for S;what code does S have
closing time | b | clock | S is {locked|shut|closed} at V;at V {we lock|they close|somebody locks} S;S must be locked {by|at} V | when is S {locked|shut|closed};at what time is S {locked|shut|closed}
key | b | place | the key {to|of|for} S {hangs|is|is kept|lies|is hidden} V;S is locked and the key is V;you find the key to S V | where is the key {to|of|for} S;where {does the key to S hang|do I find the key to S|is the key of S kept}
""".strip().splitlines()
ATTRIBUTES = [[part.strip() for part in line.split("|", 3)] for line in ATTRIBUTES]
LANGUAGES = "Arabic Basque Catalan Chinese Croatian Czech Danish Dutch English Estonian Finnish French Georgian German Greek Hebrew Hindi Hungarian Icelandic Irish Italian Japanese Korean Latin Latvian Lithuanian Maltese Mongolian Norwegian Persian Polish Portuguese Romanian Russian Serbian Slovak Slovene Spanish Swedish Thai Tibetan Turkish Ukrainian Vietnamese Welsh Yiddish".split()
TRAVEL = "ferry train bus boat coach tram ferry train steamer sledge".split()
BUILDINGS = """lighthouse granary mill chapel barn tower cellar boathouse library vault attic greenhouse stable workshop bakery gatehouse
archive laundry pavilion observatory storeroom crypt hall pantry cottage wine_cellar linen_room map_room""".split()
BUILDINGS = [word.replace("_", " ") for word in BUILDINGS]
DISHES = "soup stew cake pie bread tart salad pudding broth sauce punch jam biscuits dumplings goulash".split()
MATERIALS = "oak pine brass copper iron steel silver glass marble granite leather linen wool silk clay wax paper bronze cedar walnut bamboo cork slate tin plastic rubber cardboard concrete cotton aluminium".split()


def split_alternatives(text):
    """Splits at ; and |, but not inside braces."""
    parts, depth, start = [], 0, 0
    for i, ch in enumerate(text):
        depth += (ch == "{") - (ch == "}")
        if ch == "|" and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [[s.strip() for s in part.split(";")] for part in parts]


ATTRIBUTES = [(name, kind, value, *split_alternatives(rest)) for name, kind, value, rest in ATTRIBUTES]


class Facts:
    """Facts about the things of one document; `clauses` lends its people and things."""

    def __init__(self, words, clauses):
        self.w, self.clauses, self.known = words, clauses, set()
        self.asked = {}
        # A crowd has many facts of few kinds.
        self.attributes = words.random.sample(ATTRIBUTES, words.between(2, 14)) if words.crowd else ATTRIBUTES

    def fill(self, text, subject, value, noun=""):
        w = self.w
        while True:
            found = CHOICE.search(text)
            if not found:
                break
            text = text[:found.start()] + w.one(found.group(1).split("|")) + text[found.end():]
        text = re.sub(r"\bN\b", noun, text)
        text = re.sub(r"\bV\b", lambda _: value, re.sub(r"\bS\b", lambda _: subject, text))
        return re.sub(r" +", " ", text).replace(" ?", "?").strip()

    def subject(self, kind):
        w = self.w
        if kind == "h":
            people = [p for p in self.clauses.people if not p.plural]
            return w.one(people) if people and w.chance(0.7) else w.person()
        if kind == "e":
            return w.event()
        if kind == "a":
            return Phrase(w.one(["the ", "our ", "the old ", "the new ", "the small "]) + w.one([w.noun("animal"), "dog", "cat", "boat", "horse", "parrot", "yacht", "cottage", "ship", "project", "baby", "band", "pub", "street", "film"]))
        if kind in "bcdsv":
            return self.named(kind)
        return self.clauses.thing(kind)

    def named(self, kind):
        """A building, a town, a dish, a ship or a way to travel, of names that resemble each other where there is a crowd."""
        w = self.w
        if kind == "c":
            return Phrase(w.town())
        if kind == "v":
            return Phrase(f"the {w.one(['', '', '', 'first ', 'last ', 'night ', 'morning ', 'slow '])}{w.one(TRAVEL)} to {w.town()}")
        adjective = w.one(w.crowd.adjectives) if w.crowd and w.chance(0.85) else w.adjective()
        if kind == "s":
            noun = w.crowd.noun(w, "animal") if w.crowd and w.chance(0.7) else w.noun(w.one(["animal", "animal", "artifact", "plant"]))
            return Phrase("the " + " ".join(map(first_upper, f"{adjective} {noun}".split())))
        if kind == "d":
            food = w.one(FOODS) if w.chance(0.6) else w.one(["harvest", "winter", "fish", "Sunday", "wedding", "kitchen", "house", adjective])
            dish = f"the {food} {w.one(DISHES)}"
            return Phrase(w.one([dish, dish, f"the {food} {w.one(DISHES)} at the inn", f"{w.one(w.first)}'s {food} {w.one(DISHES)}"]), [dish] if dish.endswith("inn") else [])
        noun = w.crowd.noun(w, "place") if w.crowd and w.chance(0.7) else w.one(BUILDINGS) if w.chance(0.7) else w.noun("place")
        return Phrase(f"the {adjective} {noun}" if w.chance(0.85) or w.crowd else f"the {noun}")

    def value(self, kind):
        w = self.w
        n = w.one(NUMBERS) if w.chance(0.35) else w.one([str(w.between(2, 400)), str(w.between(2, 400)), f"{w.between(0, 90)}.{w.between(1, 9)}"])
        make = {
            "price": lambda: w.one([f"${w.between(2, 999)}", f"£{w.between(2, 99)}.{w.between(10, 99)}", f"€{w.between(2, 9999)}", f"{n} {w.one(['euros', 'dollars', 'pounds', 'crowns', 'francs', 'shillings', 'cents'])}", f"{w.between(1, 90)},{w.between(100, 999)} {w.one(['euros', 'dollars', 'pounds'])}", f"{n} euros a {w.one(['month', 'piece', 'night', 'kilo', 'year', 'day'])}"]),
            "weight": lambda: f"{n} {w.one(['kg', 'kilos', 'grams', 'g', 'pounds', 'tonnes', 'kilograms'])}",
            "length": lambda: f"{n} {w.one(['metres', 'm', 'cm', 'feet', 'inches', 'kilometres', 'miles', 'centimetres'])}",
            "years": lambda: w.one([f"{w.between(2, 99)} years", str(w.between(2, 99)), f"{w.one(NUMBERS)} years"]),
            "colour": lambda: w.one(["", "", "dark ", "light ", "bright ", "pale "]) + w.one(COLOURS),
            "place": w.place, "person": lambda: w.person().text if w.chance(0.8) else w.group().text,
            "time": lambda: w.time("future"), "clock": w.clock, "duration": lambda: f"{n} {w.one(['minutes', 'hours', 'days', 'weeks'])}",
            "date": lambda: w.one([w.date(), w.one(DAYS), f"the end of {w.one(MONTHS)}", f"{w.one(DAYS)} at {w.clock()}", "tomorrow", f"next {w.one(DAYS)}"]),
            "hours": lambda: w.one([f"from {w.clock()} to {w.clock()}", f"{w.clock()} to {w.clock()}", f"{w.one(DAYS)} to {w.one(DAYS)} from {w.clock()} to {w.clock()}", f"on {w.one(DAYS)}s", f"every day until {w.clock()}", f"between {w.clock()} and {w.clock()}", f"from {w.one(MONTHS)} to {w.one(MONTHS)}"]),
            "phone": lambda: w.one([f"0{w.between(10, 999)} {w.between(1000, 999999)}", f"{w.between(100, 999)}-{w.between(1000, 9999)}", f"+{w.between(1, 99)} {w.between(10, 999)} {w.between(1000, 999999)}", str(w.between(100, 99999)), f"{w.between(10, 99)} {w.between(10, 99)} {w.between(10, 99)}", f"extension {w.between(10, 9999)}"]),
            "email": lambda: f"{w.one([w.one(w.first).lower(), w.surname().lower(), 'info', 'office', w.one(EVERYDAY)])}@{w.one([w.town().lower(), w.made_up().lower(), w.one(EVERYDAY)])}.{w.one(['com', 'org', 'example', 'net', 'co.uk', 'de'])}",
            "code": w.code, "year": lambda: str(w.between(1400, 2030)), "people": lambda: f"{n} {w.one(['people', 'guests', 'visitors', 'children', 'students', 'persons', 'cars', 'passengers'])}",
            "area": lambda: f"{n} {w.one(['square metres', 'hectares', 'acres', 'square kilometres', 'm2'])}",
            "name": lambda: w.one([w.one(w.first), w.made_up(), first_upper(w.one(EVERYDAY + FOODS)), w.town(), f"the {first_upper(w.adjective())} {first_upper(w.noun('animal'))}"]),
            "job": lambda: w.one(["the ", "a ", "a "]) + w.one(JOBS) if w.chance(0.6) else an(w.noun("person")),
            "town": lambda: w.town() if w.chance(0.8) else f"a {w.one(['village', 'town', 'flat', 'house', 'farm'])} near {w.town()}",
            "material": lambda: w.one(MATERIALS) if w.chance(0.7) else w.noun("substance"), "food": lambda: w.one(FOODS) if w.chance(0.5) else w.noun("food"),
            "language": lambda: w.one(LANGUAGES), "topic": lambda: w.one([f"the {w.noun('act')} of {plural(w.noun('animal'))}", w.noun("act"), f"{plural(w.noun('plant'))} and {plural(w.noun('animal'))}", f"the history of {w.town()}", w.noun("event"), f"{w.adjective()} {plural(w.noun('artifact'))}"]),
            "speed": lambda: f"{n} {w.one(['km/h', 'knots', 'miles per hour', 'kilometres per hour', 'm/s'])}", "degrees": lambda: f"{w.between(2, 260)} {w.one(['degrees', '°C', '°', 'degrees Celsius'])}",
            "state": lambda: w.one(["broken", "ready", "empty", "full", "closed", "dirty", "wet", "out of order", "for sale", "in good condition", "on fire", "too small", "out of stock", "locked", "sold out", "rusty", "at the repair shop", w.one(w.adjectives)]),
            "reason": w.reason, "day": lambda: w.one(DAYS), "room": lambda: w.one([f"room {w.between(1, 499)}", f"room {w.between(1, 499)}", f"the {w.adjective()} room", f"the {w.one(COLOURS)} {w.one(['room', 'parlour', 'attic', 'suite'])}"]),
            "inhabitants": lambda: f"{w.one([str(w.between(20, 999)), f'{w.between(1, 90)},{w.between(100, 999)}', w.one(NUMBERS) + ' thousand', f'about {w.between(2, 99)}00'])} {w.one(['people', 'inhabitants', 'souls'])}",
            "craft": lambda: w.one(["its ", "its ", "the ", ""]) + w.one([w.noun("food"), w.one(FOODS) + w.one([" wine", " cakes", " soup", ""]), f"{w.one(w.adjectives)} {w.noun('artifact')}", w.noun("artifact"), w.noun("act"), plural(w.noun("artifact")), plural(w.noun("animal")), f"{w.one(MATERIALS)} {plural(w.noun('artifact'))}"]),
            "nickname": lambda: w.one([w.made_up(), first_upper(w.noun("animal")), first_upper(w.one(EVERYDAY)), f"the {first_upper(w.noun('animal'))}", first_upper(w.one(FOODS)), f"{first_upper(w.adjective())} {w.one(w.first)}", f"Old {w.one(w.first)}", w.first_name()]),
            "password": lambda: w.one([w.linked("-"), w.linked("-"), w.linked("-"), w.linked(" "), w.one(w.adjectives), w.rare(), w.noun("animal"), w.made_up().lower(), w.code()]),
            "cargo": lambda: w.one([plural(w.noun("artifact")), w.noun("substance"), f"{w.one(NUMBERS)} {w.one(['crates', 'barrels', 'sacks', 'boxes'])} of {w.one([w.noun('food'), plural(w.noun('artifact'))])}", f"{w.one(FOODS)} and {w.noun('substance')}", plural(w.noun("plant"))]),
        }
        return make[kind]()

    def attribute(self):
        """One of the attributes above, of a thing that has not got it yet."""
        w = self.w
        name, kind, value_kind, statements, questions = w.one(self.attributes)
        subject = self.subject(kind)
        value, noun = ("", "")
        if value_kind == "count":
            noun = plural(w.one(EVERYDAY) if w.chance(0.4) else w.noun(w.one(["animal", "artifact", "person", "plant"])))
            value = w.one(NUMBERS) if w.chance(0.5) else str(w.between(2, 900))
        else:
            value = self.value(value_kind)
        key = (name, noun, subject.short[0] if subject.short else subject.text)
        head = subject.text if w.crowd else subject.text.split()[-1]
        if key in self.known or (name, noun, head) in self.known or value == subject.text:
            return None
        self.known.update((key, (name, noun, head)))
        if w.chance(0.1) and value_kind not in ("place", "time", "reason", "hours", "state", "count"):
            label = w.one([name, name, f"{name} of {subject.text}", f"{subject.text}, {name}"])
            sentence = self.fill(w.one(["S - {name}: V", "S: {name} V", "{name} of S: V", "S ({name} V)"]).replace("{name}", name), subject.text, value)
        else:
            sentence = self.fill(w.one(statements), subject.text, f"{value} {noun}".strip())
        asked = [(first_upper(self.fill(w.one(questions), self.clauses.name(subject), value, noun)) + "?", value) for _ in range(2)]
        if w.chance(0.15) and value_kind not in ("place", "time", "reason", "hours", "state", "count"):
            asked.append((f"What is the {name} of {self.clauses.name(subject)}?", value))
        self.asked[name] = self.asked.get(name, []) + [(questions, kind)]
        return sentence, asked

    def role(self):
        """"P is the R of O": asked both ways."""
        w = self.w
        of = w.one([w.company(), w.town(), f"the {w.one(['club', 'school', 'choir', 'museum', 'project', 'council', 'team', 'hotel', 'company', 'village', 'ship', 'library', 'committee', 'orchestra', 'hospital', 'shop'])}", f"the {w.noun('artifact')} {w.one(['club', 'team', 'society', 'factory', 'department'])}"])
        job = w.one(JOBS) if w.chance(0.8) else w.noun("person")
        who = w.person().text
        if ("role", job, of) in self.known or ("role", who) in self.known or who.startswith(("the", "my", "our")):
            return None
        self.known.update((("role", job, of), ("role", who)))
        sentence = self.fill(w.one(["P is the {new |}R of O", "the R of O is P", "the R of O, P, {is here|is away|has answered|agrees|was there|could not come}", "P, the R of O, {opened|explained|welcomed|greeted|led|wrote|told us about} the {meeting|plan|guests|visit|report}", "P {works as|became|is|was elected} R of O", "O has a {new |}R, P", "as R of O, P {signs|decides|speaks first}", "R of O: P"]).replace("P", "\x01").replace("R", "\x02").replace("O", "\x03"), "", "")
        sentence = sentence.replace("\x01", who).replace("\x02", job).replace("\x03", of)
        questions = [(f"Who is the {job} of {of}?", who), (w.one([f"Who works as {job} of {of}?", f"What is the name of the {job} of {of}?", f"Which person is the {job} of {of}?", f"what is the {job} of {of} called?"]), who)]
        if w.chance(0.4):
            questions.append((f"What is {who}?", job) if w.chance(0.3) else (w.one([f"What is the job of {who} at {of}?", f"What does {who} do?", f"What position does {who} have?"]), f"{job} of {of}" if f"{job} of {of}" in sentence else job))
        return sentence, questions

    def change(self):
        """Figures of a report: from, to, by, when."""
        w = self.w
        what = w.one(["sales", "costs", "prices", "profits", "revenue", "the rent", "the number of members", "the number of visitors", "exports", "attendance", "membership", "the population", "rainfall", "energy use", f"sales of {plural(w.noun('artifact'))}", f"the number of {plural(w.noun('person'))}", f"the output of {w.noun('substance')}", "unemployment", "the average age", "traffic", "the budget", f"demand for {w.noun('food')}"])
        if ("change", what) in self.known:
            return None
        self.known.add(("change", what))
        many = what in ("sales", "costs", "prices", "profits", "exports") or what.startswith("sales")
        past, base = w.one([("rose", "rise"), ("fell", "fall"), ("increased", "increase"), ("grew", "grow"), ("dropped", "drop"), ("decreased", "decrease"), ("went up", "go up"), ("went down", "go down"), ("declined", "decline"), ("shrank", "shrink")])
        by, to, start, when = w.amount(), w.amount(), w.amount(), w.one([f"in {w.between(1950, 2030)}", f"in {w.one(MONTHS)}", "last year", f"in the {w.one(['first', 'second', 'third', 'fourth'])} quarter", "this year", f"between {w.between(1950, 1999)} and {w.between(2000, 2030)}"])
        text, questions = f"{what} {past}", []
        if w.chance(0.7):
            text += f" by {by}"
            questions += [(f"By how much did {what} {base}?", by), (f"How much did {what} {base}?", by)]
        if w.chance(0.4):
            text += f" from {start}"
            questions.append((f"From what level did {what} {base}?", start))
        if w.chance(0.5) or not questions:
            text += f" to {to}"
            questions += [(w.one([f"To what level did {what} {base}?", f"How high {'are' if many else 'is'} {what} now?", f"To how much did {what} {base}?", f"What {'were' if many else 'was'} {what} afterwards?"]), to)]
        if w.chance(0.6):
            text = f"{when}, {text}" if w.chance(0.5) else f"{text} {when}"
            questions.append((f"When did {what} {base}?", when))
        return text, questions

    def listing(self):
        """Several things or people in one sentence."""
        w = self.w
        n = w.between(2, 5)
        if w.chance(0.5):
            items = [w.one(self.clauses.people).text if w.chance(0.3) else w.person().text for _ in range(n)]
            items = list(dict.fromkeys(items))
            head, ask = w.one([("{present|attending|attendees|participants|in attendance}: X", ["who {was present|attended|took part|was there|came}"]), ("{apologies|absent|excused}: X", ["who {was absent|sent apologies|could not come|was excused|was missing}"]), ("X {were present|came|attended|were there|took part} {|in the meeting}", ["who {came|was present|attended|took part}"]), ("X {passed the exam|won a prize|joined the club|left the club|will help|volunteered}", ["who {passed|won a prize|joined|left|will help|volunteered}"]), ("the {members of the jury|winners|speakers|new members} {are|were} X", ["who {are|were} the {members of the jury|winners|speakers|new members}"])])
        else:
            kind = w.one([FOODS, EVERYDAY, EVERYDAY])
            items = list(dict.fromkeys(w.one(kind) if w.chance(0.6) else w.noun("artifact") for _ in range(n)))
            items = [i if w.chance(0.5) else an(i) for i in items]
            head, ask = w.one([("{bring|you need|please bring|take with you|do not forget} X", ["what {should I bring|do I need|must I take with me|do we need to bring}"]), ("{shopping list|to buy|we still need|still missing|buy}: X", ["what {is on the shopping list|should I buy|do we still need|do I have to buy|is missing}"]), ("the {box|parcel|bag|kit|set|basket} {contains|holds|has} X", ["what is in the {box|parcel|bag|kit|set|basket}"]), ("the {menu|lunch} is X", ["what {is on the menu|is there to eat|is for lunch}"])])
        if len(items) < 2:
            return None
        joined = ", ".join(items[:-1]) + w.one([" and ", " and ", ", and ", ", "]) + items[-1]
        text, question = head, w.one(ask)
        key = ("list", re.sub(r"\W.*", "", head), question)
        if key in self.known:
            return None
        self.known.add(key)
        # The same choice in both where the words belong together.
        while CHOICE.search(text):
            found = CHOICE.search(text)
            options = found.group(1).split("|")
            pick = int(w.r() * len(options))
            text = text[:found.start()] + options[pick] + text[found.end():]
            other = CHOICE.search(question)
            if other and len(other.group(1).split("|")) == len(options):
                question = question[:other.start()] + other.group(1).split("|")[pick] + question[other.end():]
        return text.replace("X", joined).strip(), [(first_upper(self.fill(question, "", "")) + "?", joined)]

    def ingredient(self):
        """A line of a recipe or a shopping list."""
        w = self.w
        food = w.one(FOODS) if w.chance(0.75) else w.noun("food")
        if ("food", food) in self.known:
            return None
        self.known.add(("food", food))
        n = w.one(NUMBERS[:8]) if w.chance(0.25) else w.one([str(w.between(1, 12)), str(10 * w.between(2, 90)), f"{w.between(0, 9)}.{w.between(1, 9)}", "1/2", "half"])
        if w.chance(0.4):
            foods = plural(food)
            n = str(w.between(2, 24)) if w.chance(0.7) else w.one(NUMBERS)
            adjective = w.one(["", "", "large ", "small ", "ripe ", "fresh ", "chopped "])
            return f"{n} {adjective}{foods}", [(f"How many {foods} {w.one(['do I need', 'are needed', 'do we need', 'go into it', 'does it take', 'are in the recipe'])}?", n)]
        unit = w.one(["g", "g", " g", " grams", " kg", " ml", "ml", " litres", " cups", " cup", " tablespoons", " tbsp", " teaspoons", " tsp", " pinches", " cloves", " slices", " tins", " ounces"])
        of = w.one([" of ", " ", " "])
        how = w.one([f"How much {food} do I need?", f"How much {food} is needed?", f"How much {food} goes in?", f"What amount of {food} do we need?", f"how much {food}?", f"How much {food} does the recipe take?"])
        return f"{n}{unit}{of}{food}" + w.one(["", "", "", ", chopped", ", melted", " (optional)"]), [(how, n + unit)]

    def cooking(self):
        """A step with time and temperature, which a recipe has once."""
        w = self.w
        base, ing, past = w.one([("bake", "baking", "baked"), ("cook", "cooking", "cooked"), ("boil", "boiling", "boiled"), ("fry", "frying", "fried"), ("roast", "roasting", "roasted"), ("simmer", "simmering", "simmered"), ("rest", "resting", "rested"), ("chill", "chilling", "chilled"), ("knead", "kneading", "kneaded"), ("grill", "grilling", "grilled"), ("soak", "soaking", "soaked")])
        if ("cook", base) in self.known:
            return None
        self.known.add(("cook", base))
        what = w.one(["it", "the " + w.one(FOODS), "the dough", "the cake", "everything", "the mixture", "the " + w.noun("food")])
        n = w.one([str(w.between(2, 90)), f"{w.between(2, 20)}-{w.between(21, 60)}", w.one(NUMBERS), f"{w.between(2, 20)} to {w.between(21, 60)}"])
        how_long = f"{n} {w.one(['minutes', 'minutes', 'min', 'hours'])}"
        text = f"{base} {what} for {how_long}"
        questions = [(w.one([f"How long do I {base} {what}?", f"How long should {what} be {past}?", f"For how long must I {base} {what}?", f"How long does the {ing} take?", f"How long {'do' if what in ('they',) else 'does'} {what} {base}?", f"How long do you {base} {what}?"]), how_long)]
        if w.chance(0.5):
            heat = f"{w.between(50, 260)} {w.one(['degrees', '°C', 'degrees Celsius', 'C'])}" if w.chance(0.7) else w.one(["medium heat", "low heat", "high heat", "gas mark 6"])
            text = f"{base} {what} {'at' if heat[0].isdigit() else 'on' if 'heat' in heat else 'at'} {heat} for {how_long}"
            questions.append((w.one([f"At what temperature do I {base} {what}?", f"How hot should the oven be?", f"At which temperature is {what} {past}?", f"What temperature do I {base} it at?"]), heat))
        return text, questions

    def copula(self):
        """"The busiest day was 14 June", "the main problem is the roof"."""
        w = self.w
        adjective = w.one(["best", "worst", "first", "last", "next", "main", "biggest", "smallest", "oldest", "busiest", "quietest", "only", "other", "new", "cheapest", "fastest", "most important", "favourite", "second", "usual", "real", "common", "hardest", w.adjective()])
        noun, value = w.one([(w.one(["problem", "cause", "reason", "topic", "prize", "risk", "goal", "idea", "result", "question", "rule", "mistake", "argument", "task", "plan", "theme", w.noun("communication"), w.noun("attribute"), w.noun("act")]), w.thing().text), (w.one(["day", "date"]), w.date()), ("month", w.one(MONTHS)), ("day", w.one(DAYS)), ("year", str(w.between(1700, 2035))), (w.one(["town", "city", "village", "stop", "place", "destination"]), w.town()), (w.one(["player", "speaker", "winner", "guest", "candidate", "helper", "customer", "contact", "student", "child"]), w.person().text), (w.one(["score", "price", "number", "amount", "distance", "share", "value", "offer", "size"]), w.amount()), (w.one(["room", "spot", "way in"]), w.place()), (w.one(["bus", "train", "ferry", "flight", "class"]), w.clock())])
        of = w.one(["", "", "", f" of the {w.one(EVENTS + EVERYDAY)}", f" for the {w.one(EVENTS)}", f" in {w.town()}"])
        if ("copula", adjective, noun) in self.known:
            return None
        self.known.add(("copula", adjective, noun))
        be = w.one(["is", "was", "is", "will be"])
        text = w.one([f"the {adjective} {noun}{of} {be} {value}", f"the {adjective} {noun}{of} {be} {value}", f"{adjective} {noun}{of}: {value}", f"{value} {be} the {adjective} {noun}{of}"])
        what = "Who" if noun in ("player", "speaker", "winner", "guest", "candidate", "helper", "customer", "contact", "student", "child") else "When" if noun in ("bus", "train", "ferry", "flight", "class") else "What"
        return text, [(f"{what} {be} the {adjective} {noun}{of}?", value), (f"Which {noun}{of} {be} the {adjective}{' one' if adjective in ('only', 'main', 'other', 'next') else ''}?" if what != "When" else f"When does the {adjective} {noun}{of} leave?", value)]

    def contact(self):
        """Who, where and the number in one line: "Dr. Hall, Mill Lane 7, tel. 33 18"."""
        w = self.w
        who = w.one([f"Dr. {w.surname()}", f"Mrs {w.surname()}", f"Mr {w.surname()}", w.company(), f"the {w.one(JOBS)}", w.person().text])
        if ("contact", who) in self.known:
            return None
        self.known.add(("contact", who))
        street = f"{w.surname()} {w.one(['Street', 'Road', 'Lane', 'Square', 'Avenue'])} {w.between(1, 150)}"
        phone, role = self.value("phone"), w.one(["", "", f"nearest {w.one(['doctor', 'dentist', 'vet', 'garage', 'chemist', 'shop', 'bank', 'baker'])}: ", f"{w.one(JOBS)}: "])
        text = f"{role}{who}, {street}, {w.one(['tel. ', 'phone ', 'telephone ', 'tel ', 'mobile ', ''])}{phone}"
        questions = [(w.one([f"What is the {w.one(['phone number', 'telephone number', 'number'])} of {who}?", f"How can I reach {who}?", f"What number does {who} have?"]), phone), (w.one([f"Where is {who}?", f"What is the address of {who}?", f"Where do I find {who}?"]), street)]
        if role and "nearest" in role:
            questions.append((f"Who is the {role[:-2]}?", who))
        return text, questions

    def login(self):
        """A name and a secret beside each other, of which one is asked for."""
        w = self.w
        what = w.one(["wifi", "alarm", "network", "account", "printer", "guest computer", "website", "e-mail account", "safe", "gate", "booking", "calendar", "archive"])
        if ("login", what) in self.known:
            return None
        self.known.add(("login", what))
        name = w.one([w.made_up() + str(w.between(1, 99)), w.town() + w.one(["Net", "Guest", "Home"]), w.one(w.first).lower() + str(w.between(1, 99)), w.surname().lower()])
        secret, called = w.code(), w.one(["password", "password", "code", "key", "PIN"])
        user = w.one(["user", "name", "login", "user name"])
        text = w.one([f"{what}: {name}, {called} {w.one(['is ', '', '= '])}{secret}", f"the {what} is called {name} and the {called} is {secret}", f"{what}: {user} {name}, {called} {secret}", f"log in to the {what} as {name} with the {called} {secret}"])
        questions = [(w.one([f"What is the {what} {called}?", f"What is the {called} of the {what}?", f"Which {called} does the {what} have?", f"What {called} do I need for the {what}?"]), secret)]
        if "called" in text or user in text:
            questions.append((f"What is the {what} called?" if "called" in text else f"What is the {user} for the {what}?", name))
        return text, questions

    def goes(self):
        """Where something is to be put, in the short words of a note."""
        w = self.w
        thing = w.one([w.one(EVERYDAY), w.noun("substance"), w.one(FOODS), plural(w.one(EVERYDAY)), "rubbish", "waste paper", "post", "cardboard", "washing"])
        if ("goes", thing) in self.known:
            return None
        self.known.add(("goes", thing))
        where = f"{w.one(['to', 'into', 'in', 'on', 'under', 'behind', 'next to'])} the {w.one([w.one(EVERYDAY), w.noun('artifact'), w.noun('place')])}" + w.one(["", "", f" {w.place()}"])
        many = thing.endswith("s") and not thing.endswith("ss")
        text = w.one([f"the {thing} {'go' if many else 'goes'} {where}", f"{thing} {where}", f"{thing} {where}", f"{thing} {'belong' if many else 'belongs'} {where}", f"{thing}: {where}"])
        return text, [(w.one([f"Where {'do' if many else 'does'} the {thing} {w.one(['go', 'belong'])}?", f"Where do I put the {thing}?", f"Where should I put the {thing}?"]), where)]

    def explained(self):
        """"The quietest month was May because of the rain", and why."""
        w = self.w
        found = self.copula()
        if found is None:
            return None
        text, questions = found
        matched = re.match(r"the ([\w ]+?) (is|was|will be) (.+)$", text)
        if not matched:
            return found
        head, be, value = matched.groups()
        reason = w.reason()
        return f"{text} {reason}", questions + [(f"Why {be.split()[0]} {value} the {head}?", reason) if be != "will be" else (f"Why will {value} be the {head}?", reason)]

    def any(self):
        x = self.w.r()
        kinds = [(0.07, self.copula), (0.10, self.explained), (0.13, self.contact), (0.15, self.login), (0.17, self.goes), (0.74, self.attribute), (0.85, self.role), (0.93, self.change), (1.1, self.listing)]
        return next(make for share, make in kinds if x < share)()
