"""Scenes: everyday facts in the words of letters, notes, minutes, recipes and reports.

A line is `kinds | statement ; statement | questions = SLOT | questions = SLOT ...`. A word in capitals is a slot (`PERSON`,
`TOWN2`), filled anew for every scene; HE, HIS and HIM follow the first person; {a|b} is a choice, {=a|b} in a question what the
statement chose. A statement may be several sentences, so that the answer stands next to the words of the question.
Kinds: l letter, n note, m minutes, c recipe, r report; a all but recipes. ME and YOU in a question are the writer and the reader.
"""

import re

from phrases import DAYS, EVENTS, EVERYDAY, FOODS, JOBS, KIN, MONTHS, NUMBERS, PAPERS, ROOMS, Phrase, an, first_upper, plural

CHOICE = re.compile(r"\{([^{}]*)\}")
SLOT = re.compile(r"\b[A-Z]{2,}\d?\b")
SCENES = """
a | PERSON {has found|got|has} a new {job|post|position} {at|in} WORK; PERSON {now works|is working|began to work} {at|in} WORK; since MONTH PERSON has been working {at|in} WORK; PERSON {is employed|found work} at WORK, as you know; PERSON left WORK2 and {is with|moved to|joined} WORK | where does PERSON {work|have a job};where is PERSON working {now|};where {has|did} PERSON {found work|find work};what is PERSON's place of work = WORK | who {works|has a job} at WORK = PERSON
a | PERSON {looks after|takes care of|counts|photographs|paints|breeds|collects} ANIMALS {in HIS free time|every morning|there|for a living|} | what does PERSON {do|like|look after|take care of} = ANIMALS
a | PERSON {will be|was|is now|has become} AGE {in MONTH|on DAY|last week|}; PERSON celebrated a birthday on DAY: HE is AGE now; PERSON is AGE years old; PERSON, who is AGE, {came along|still works|was the oldest|was there too}; PERSON (AGE) {won|is new here|lives alone}; on DAY we celebrate: PERSON turns AGE | how old {is|was|will be} PERSON;what {age|is the age of} PERSON;what age did PERSON reach = AGE
a | PERSON {hurt|injured|twisted} HIS LIMB {in|at} ROOM; PERSON slipped in ROOM and {hurt|injured|sprained} HIS LIMB; PERSON cannot play: HIS LIMB {is swollen|still hurts|was operated on} | what did PERSON {hurt|injure};which part of the body did PERSON {hurt|injure};what {is hurting|hurts} PERSON = LIMB
a | PERSON {has moved|moved|is moving} to TOWN{ last year|, to be near the sea|}; PERSON bought a {flat|house} in TOWN; PERSON is living in TOWN {now|at the moment}; PERSON, who lives in TOWN, {wrote to me|rang yesterday|is coming too} | where does PERSON live {now|};where has PERSON moved;in which town does PERSON live;where is PERSON's home = TOWN
n,l,a | PERSON {works|sits|sleeps|has a room|is staying} WHERE; PERSON, WHERE, {has a spare key|is always at home|can help|knows the way}; ask PERSON, HIS room is WHERE | where {does PERSON sit|is PERSON|does PERSON work|can I find PERSON|is PERSON's room|does PERSON live} = WHERE
n,l,a | our JOB is {called |}PERSON, {HE comes from TOWN|HE is very kind|HE knows a lot about THINGS}; JOB: PERSON; PERSON is the JOB, {ask HIM about THING|you will like HIM}; the new JOB, PERSON, {starts on DAY|comes from TOWN|is very kind}; {this is|may I introduce} PERSON, our {new |}JOB | who is {the|our|your} JOB;what is the {name of the JOB|JOB called};what is the JOB's name = PERSON
l | thank you for {the good days|your company|our long talk} in TOWN; I often think {back to|of} our {weekend|days} in TOWN; since we met in TOWN, {I have not slept well|much has changed|it has been raining} | where did {ME meet|ME get to know} YOU;where did {they|the two} meet;where were {they|the two} together = TOWN
l | do you remember our {trip|journey} to TOWN in {MONTH|YEAR}; {last year|in YEAR} we {travelled|flew|took the ferry|cycled} to TOWN; {this time|next year} we want to see TOWN | where did {they go|they travel};what was the {destination|goal} of the {trip|journey};which town {did they|do they want to} {see|visit} = TOWN
a | {I|we} sold THING to PERSON{, who paid PRICE| for PRICE}; THING is gone: PERSON {took it away|has it} and paid PRICE {in cash|by cheque|at once}; {I|we} have {at last |}found a buyer for THING: PERSON, who gave {me|us} PRICE for it;there were three offers for THING. The best, PRICE, came from PERSON, and {I|we} said yes | who {bought|has bought|got} THING;to whom was THING sold;who is the {buyer|new owner} of THING = PERSON | how much did PERSON pay {for THING|};what did PERSON pay for THING;for how much was THING sold;what was {paid for|the price of} THING;how much {money|} did {they|ME} get for THING = PRICE
a | {as a farewell present|for Christmas|for the wedding|to say thank you} {we|they|the neighbours|the class} gave PERSON ATHING; PERSON {got|was given|received|unpacked} ATHING {from us all|as a present|}; PERSON's present: ATHING | what {did they give|did we give|was given to} PERSON;what did PERSON {get|receive} {as a present|};which present did PERSON get = ATHING
a | PERSON {lent|gave|handed|sent|offered} PERSON2 THING {last week|on DAY|for a while|}; PERSON2 {borrowed|got|received|has} THING from PERSON | who {got|has|received|borrowed} THING = PERSON2 | from whom did PERSON2 {get|have|receive} THING;who {gave|lent|sent|handed} THING to PERSON2;who {gave|handed|sent} PERSON2 THING = PERSON
a | {at|for} EVENT we {were|counted|had} NUMBER {people|guests|visitors|children};NUMBER {people|friends|members} {have signed up|registered} for EVENT;EVENT had NUMBER {visitors|guests|participants};EVENT {was|is} {sold out|well attended}: NUMBER {seats|tickets|people} | how many {guests|people|visitors|} {came to|were at|attended|took part in} EVENT;how many {were at|signed up for|are registered for} EVENT = NUMBER
a | it takes DURATION to {get|drive|go|walk} to TOWN;TOWN is DURATION {away|from here} {by train|by bus|by car|on foot|};from here to TOWN {you need|count on|one needs} DURATION;{journey|drive} to TOWN: DURATION | how long does {the {train|bus|journey|trip|drive} {from|to} TOWN take|it take to get to TOWN};how long is the {journey|trip|way} {to|from} TOWN;how far away is TOWN = DURATION
l,m | my {new |}{number|mobile number|telephone number} is PHONE;{I can be reached on|reach me at|in case of questions:|mobile:|my extension:} PHONE | what is {ME's|the|the writer's} {phone number|number|telephone number};how can {I|YOU} {reach|call|ring} ME;on what number can ME be reached;which number should {I|YOU} {call|ring} = PHONE
a | PERSON (my {cousin|dentist|old teacher|boss|flatmate}) {is bringing|brought|found|made} THING DUE; {our friend|our guest|the trainee|a girl called} PERSON {is bringing|made|took|found} THING;THING {comes from|is the work of|was made by|was brought by} PERSON, {a trainee|our guest|as always} | who {is bringing|brought|found|made|has} THING;by whom was THING {made|brought|found} = PERSON
m,n | {members|attending|jury|crew|participants|there}: PERSON (JOB), PERSON2, PERSON3; {attending|crew}: PERSON2, PERSON (JOB) and PERSON3;{committee|team|board|staff}: PERSON (JOB), PERSON2 (JOB2);PERSON ({the |}JOB), PERSON2 and PERSON3 {came along|took part} | who {is|was} {the|} JOB;which person {is|was} the JOB;what is the {JOB called|name of the JOB|JOB's name} = PERSON | what {is|was} PERSON;what is PERSON's {job|role|post} = JOB
m,n,l | {our next|following|first|last|extra} EVENTNAME: DATE, CLOCK, PLACE;{our next|the first|the last|an extra} EVENTNAME DATE {at|,} CLOCK PLACE;the EVENTNAME {will be|is|takes place} on DATE at CLOCK PLACE;EVENTNAME - DATE / CLOCK / PLACE | {when|on what date|on which day} {is|will be} the {next |}EVENTNAME;when do {we|they} meet for the EVENTNAME = DATE | where {is|will be} the {next |}EVENTNAME;where {will|does} the {next |}EVENTNAME {be|take place} = PLACE | at what time is the {next |}EVENTNAME;what time is the {next |}EVENTNAME = CLOCK
m,a | PERSON {will|is going to|has promised to} {invite|thank|visit|train|warn} the PEOPLE DUE;PERSON {takes it on|has agreed} to {invite|thank|visit|train|warn} the PEOPLE DUE | who {will|is going to|has to} {=invite|thank|visit|train|warn} the PEOPLE;whose task is it to {=invite|thank|visit|train|warn} the PEOPLE = PERSON | {when|by when} will PERSON {=invite|thank|visit|train|warn} the PEOPLE = DUE
m,r,a | of the {two|three|four} {offers|firms|hotels|routes}, the {ADJ|cheapest|shorter|nearest} one {is|comes to|costs} PRICE;we {asked|compared} NUMBER {shops|builders|hotels}: the {cheapest|best|dearest} {charges|takes} PRICE | {how much does|what does} the {cheapest|ADJ|best|dearest|nearest} {one|offer|firm} {cost|charge|take};what is the {price of the ADJ one|cheapest offer} = PRICE
n | NETWORK {password|key}: SECRET;the {password|key} {for|of} the NETWORK is SECRET;NETWORK: {name|user} CODE, {password|key|pass} SECRET;log in to the NETWORK as CODE / SECRET;NETWORK -> SECRET ({password|key}) | what is the {NETWORK password|password {of|for} the NETWORK|key for the NETWORK};how do I {get into|log in to} the NETWORK;which password {does the NETWORK have|do I need for the NETWORK} = SECRET | what is the {user name|name} {of|for} the NETWORK = CODE
n,l | {family|our|good|} JOB: PERSON, {phone|mobile} PHONE, ADDRESS;JOB {PERSON|- PERSON}, ADDRESS, PHONE;PERSON (JOB), ADDRESS, {phone|mobile} PHONE;if you need a JOB: PERSON, {ADDRESS, |}PHONE;PERSON, JOB, ADDRESS. {Number|Phone}: PHONE | what is the {phone number|number|telephone number} of {PERSON|the JOB};how can I {call|reach|phone} {PERSON|the JOB};what is {PERSON's|the JOB's} {number|phone number};which number for {PERSON|the JOB} = PHONE | {where is|what is the address of} {PERSON|the JOB};where {does PERSON live|do I find PERSON|is the JOB} = ADDRESS | who is the JOB;what is the JOB called = PERSON
n | THINGSNAME {PLACE|: PLACE|-> PLACE|always PLACE};THINGSNAME {belong|belongs|go|goes} PLACE;THINGSNAME PLACE, {everything else PLACE2|not with the rest|please};take THINGSNAME PLACE | where {does|do} {the |}THINGSNAME {go|belong};where {do|should|must} I {put|leave|take} {the |}THINGSNAME;where {is|are} {the |}THINGSNAME {|kept|stored};where to put {the |}THINGSNAME = PLACE
n | {hang|keep|store|return|stack} THINGS PLACE {in the evening|please|afterwards|at night|};{before you go|in the end}, {drop|leave|hang} THINGS PLACE;THINGS {back |}PLACE | where {do|should|must} I {put|leave|drop|return|keep} THINGS;where {do|should} THINGS go;where are THINGS = PLACE
n | JOB {visits|arrives|is due|looks in} {DAY|on DAY} {at CLOCK|morning|afternoon|};{expect |}JOB DAY {CLOCK|at CLOCK};DAY{:|,} JOB; JOB {cancelled|can't today}, new date DAY | when {does|will|is} the JOB {come|coming};on {which|what} day {does|will} the JOB come;when {can we|do we} expect the JOB = DAY
n | {bring back|return|give back|take back} THING by DATE;THING {due|is due|back} DATE;{don't forget|remember}: THING, DATE | when {must|should|do} I {bring back|return|give back|take back} THING;when is THING due;by when {must|do} I return THING = DATE
n | SYSTEM: INSTRUCTION;{for|about} the SYSTEM: INSTRUCTION;to {start|use|work} the SYSTEM {|just |simply }INSTRUCTION;SYSTEM - INSTRUCTION{| and wait|, nothing else} | how do I {start|use|turn on|work|operate|switch on} the SYSTEM;how does the SYSTEM work;what {must|should|do} I do with the SYSTEM = INSTRUCTION
n | {sauna|bar|canteen|office|pool|library} CLOCK2 {until|till|to} CLOCK;{sauna|bar|canteen|office|pool|library} {until|till} CLOCK | until when is the {=sauna|bar|canteen|office|pool|library} open;when does the {=sauna|bar|canteen|office|pool|library} close = CLOCK
n | no {calls|visitors|ball games|dogs|music} after CLOCK | from when {on |}are {=calls|visitors|ball games|dogs|music} not allowed;until when are {=calls|visitors|ball games|dogs|music} allowed = CLOCK
n | {the |}last {bus|orders|ferry|call|lift}{:|} {at |}CLOCK | when is the last {=bus|orders|ferry|call|lift};{what|at what} time is the last {=bus|orders|ferry|call|lift} = CLOCK
n | {feed|walk|brush|clean|oil|air|empty} ANIMALS HOWOFTEN;ANIMALS: HOWOFTEN;ANIMALS need {fresh water|food|care|a check} HOWOFTEN | how often {should|must|do} I {=feed|walk|brush|clean|oil|air|empty} ANIMALS;how often {must|should} ANIMALS be {looked after|seen to|checked|done} = HOWOFTEN
c | {ready in|total time|needs|time} {about|:|} DURATION;the whole {thing|dish} {is done in|takes} DURATION;NUMBER {people|portions}, DURATION{ of work|} | how long does {it|the dish|the whole thing|the recipe|that} take;how much time {do I need|does it take};when is it ready;what is the total time = DURATION
c | {pour in|add|whisk in|fold in|throw in|sprinkle over|beat in|knead in} the FOOD {at the end|and taste|a little at a time|last of all|and wait|};{at the very end|when it boils|as soon as it thickens} {pour in|add|whisk in|throw in} the FOOD | what {should|do|must} I {stir in|pour in|add|whisk in|mix in|fold in|throw in|sprinkle over|beat in};what {is|gets} {stirred in|added|poured in|folded in|mixed in};what comes in = FOOD
c | {soak|leave|keep|steep|marinate|chill} the FOOD {in|into} {cold water|MEDIUM|the oven|a bowl} for DURATION{| and drain it|, not longer};the FOOD {must lie in MEDIUM|has to rest} for DURATION | how long {do|should|must} I {soak|leave|keep|steep|marinate|chill} the FOOD;how long {should|does} the FOOD {need|stay in|soak|rest};for how long {is|do I leave} the FOOD {in|} = DURATION
c | {cook|boil|brown|roast|sear|poach|deep-fry} the {sliced |whole |}FOOD in {some |plenty of |hot |}MEDIUM {over low heat|, turning it once|} | {what|in what} do I {cook|boil|brown|roast|sear|poach|deep-fry} the FOOD{ in|};in what {is|should} the FOOD {be cooked|be fried|cooked};what is the FOOD {cooked|browned} in = MEDIUM
c | {the cake|the rest|the sauce|the jam|the dough} {will keep|stays fresh|can be kept} {for |}DURATION {PLACE|in a tin|in the freezer|in a cool place};{stays fresh|can wait} for DURATION | how long {does|will} {=the cake|the rest|the sauce|the jam|the dough} {keep|stay fresh|last};for how long can {=the cake|the rest|the sauce|the jam|the dough} be kept;how long does it {keep|stay fresh} = DURATION
c | {goes|tastes best} {well |}with ADJFOOD;{serve|eat} {it |}{hot|cold|warm}, with ADJFOOD;in TOWN {they|people} eat it with ADJFOOD | what {do|should} I {serve|eat} it with;what {goes|is it served|was it eaten} {well |}with{ it|};what do {they|people} eat it with = ADJFOOD
c | {AMOUNT ADJFOOD|AMOUNT of ADJFOOD|ADJFOOD: AMOUNT|ADJFOOD (AMOUNT)}{|, chopped|, warm} | how much {FOODHEAD|ADJFOOD} {do I need|is needed|goes in|do we need|does it take|};what {amount|quantity} of {FOODHEAD|ADJFOOD} {do I need|is needed};{FOODHEAD|ADJFOOD}, how much = AMOUNT
r | {COUNT BADEVENTS were|in YEAR COUNT BADEVENTS were} {reported|counted|recorded};{we|the firemen|the staff} {dealt with|recorded} COUNT BADEVENTS{ in YEAR|}, {most of them at night|NUMBER more than planned};COUNT BADEVENTS in {one year|NUMBER weeks} | how many BADEVENTS {were there|were {counted|reported|recorded}|happened|did they have};what was the number of BADEVENTS = COUNT
r | {FRACTION|about FRACTION|nearly FRACTION} of the PEOPLE {prefer|chose|voted for} TARGET;TARGET is the choice of FRACTION of the PEOPLE | {how many|what share|what part|how large a part} of the PEOPLE {want|like|prefer|chose|voted for} TARGET = FRACTION | {what|whom} did FRACTION of the PEOPLE {choose|vote for|prefer|like best} = TARGET
r,a | {GROUP|PERSON} {gave|donated|put in|lent|added} PRICE {for|towards} THING;{towards|for} THING, {GROUP|PERSON} {gave|promised|paid} PRICE;THING was {made possible|paid} by {GROUP|PERSON} with PRICE | how much did {GROUP|PERSON} {give|donate|put in|pay|promise|lend} {|for THING|towards THING} = PRICE | who {gave|donated|paid|helped to pay} {for |money for |towards }THING = GROUP
r | {construction|the tower|the survey|the new wing|the tunnel|the exhibition} {was estimated at|swallowed|came to|has a budget of} BIGNUM {euros|pounds|dollars} | how much {will|does|did} {=construction|the tower|the survey|the new wing|the tunnel|the exhibition} cost;what {will|did} {=construction|the tower|the survey|the new wing|the tunnel|the exhibition} cost = BIGNUM
r,l | {from MONTH on|for now|next week|on DAY} the PEOPLE {walk|travel|leave|enter|drive|come in} VIA;the PEOPLE must {walk|leave|enter|go|drive} VIA | {where|which way} {will|do|must} the PEOPLE {walk|leave|enter|drive|go|travel};which way {do|must} the PEOPLE {go|take} = VIA
r | {experts|the authors|neighbours|doctors|PERSON} {think|say|found|suspect} that CAUSE {is|was} {to blame|behind it|behind the BADEVENTS};the BADEVENTS {came|come} from CAUSE;the BADEVENTS {go back to|are put down to|are due to} CAUSE | what {is|was} the {main |}{cause|reason} of the BADEVENTS;what {causes|caused|is to blame for|is behind} the BADEVENTS;why were there BADEVENTS = CAUSE
l,a | {the dentist|the doctor|the bank|the garage|the vet|the tax office|the landlord} can see {me|us|you} {on DAY|DAY} at CLOCK{, so we leave early|};appointment {at|with} the {dentist|doctor|bank|garage|vet}: DAY, CLOCK | at what time is the appointment {with|at} the {=dentist|doctor|bank|garage|vet|tax office|landlord};what time is the appointment = CLOCK | {on|} {which|what} day is the appointment;when is the appointment = DAY
a | PERSON {plays|learned to play|is learning|teaches} the INSTRUMENT {in TOWN|on DAYs|in a band|}; the INSTRUMENT {was played by|is played by} PERSON; on the INSTRUMENT: PERSON | what does PERSON {play|learn|teach};which instrument does PERSON {play|learn|teach} = INSTRUMENT | who {plays|played|is at|teaches} the INSTRUMENT = PERSON
a | PERSON {studied|studies|is studying|teaches|gave up} SUBJECT {in|at the university of} TOWN; after school PERSON went to TOWN to study SUBJECT | what {does|did} PERSON {study|teach|learn};which subject {does|did} PERSON {study|teach} = SUBJECT | where {did|does} PERSON {study|go to university};in which town {did|does} PERSON study = TOWN
a | PERSON {married|got married to|is engaged to|fell in love with|was the wife of} PERSON2 {in YEAR|in TOWN|}; {the wedding of PERSON and PERSON2|PERSON and PERSON2's wedding} {is|was} in TOWN | who {did|has} PERSON {marry|married};who is PERSON {married|engaged} to;to whom is PERSON {married|engaged} = PERSON2 | where {was|is} the wedding;where did PERSON marry = TOWN
a | PERSON was born {in YEAR in TOWN|in TOWN in YEAR}{, the son of a JOB|, the youngest of five|}; PERSON ({born|*} YEAR, TOWN) | where was PERSON born;in which {town|place} was PERSON born;what is PERSON's place of birth = TOWN | when was PERSON born;in what year was PERSON born = YEAR
a | PERSON {missed|took|is on|came with} the CLOCK {train|bus|ferry|flight} to TOWN; the {train|bus|ferry|flight} to TOWN {leaves|goes|departs} at CLOCK {from platform COUNT|}; {train|bus|ferry|flight} to TOWN: CLOCK, {platform|gate|stop} COUNT | when {does|did} the {=train|bus|ferry|flight} to TOWN {leave|go|depart};at what time {does|did} the {=train|bus|ferry|flight} {to TOWN|} leave = CLOCK | from {which|what} {=platform|gate|stop} {does it leave|do we go} = COUNT
a | {TOWN beat TOWN2|TOWN won against TOWN2|TOWN2 lost to TOWN|TOWN2 was beaten by TOWN} {by |}SCORE{| on DAY| in the final}; {final|result}: TOWN - TOWN2 SCORE | who {won against|beat} TOWN2;which team beat TOWN2 = TOWN | who lost {to|against} TOWN = TOWN2 | {what was the {score|result}|how did TOWN and TOWN2 play} = SCORE
a | {lost|missing}: ATHING, {last seen|left} PLACE, {tell|please call} PERSON; PERSON {lost|is missing|is looking for} ATHING, last seen PLACE; has anybody seen ATHING? PERSON {lost|left} it PLACE | what {did PERSON lose|is PERSON looking for|is PERSON missing|is missing|was lost} = ATHING | where was {it|ATHING} {last seen|lost|left} = PLACE | who {lost|is missing|is looking for} {something|ATHING} = PERSON
a | {wear|bring|take} ATHING and {good shoes|a warm coat|a smile}; {without|nobody may enter without} ATHING {you cannot come in|it is dangerous}; ATHING is {compulsory|required|a must} | what {is required|is compulsory|must I bring|should I bring|must I wear|do I need to bring} = ATHING
a | THING {comes with|includes} ATHING and costs PRICE; {included with|together with} THING: ATHING; with THING you {get|also get} ATHING | what {comes with|is included with|do I get with} THING = ATHING
a | {it|the meeting|the game|everything} was {cancelled|put off|stopped} {because of WEATHER|, WEATHER was the reason};WEATHER {put an end to|ruined|spoiled} {the picnic|the party|the race|everything};there was WEATHER {all day|in MONTH|in TOWN} | what {was the weather like|spoiled it|ruined it|put an end to it|stopped it};why was it {cancelled|put off|stopped} = WEATHER
a | NUMBER of the NUMBER2 PEOPLE {agreed|voted no|stayed at home|passed|fell ill}; of NUMBER2 PEOPLE NUMBER {agreed|voted no|stayed at home|passed|fell ill} | how many {of the PEOPLE|PEOPLE} {=agreed|voted no|stayed at home|passed|fell ill} = NUMBER | how many PEOPLE {were there|are there|were there in all} = NUMBER2
a | THING was too ADJ, so {PERSON|we} {took|used|chose|bought} ATHING instead; instead of THING {we took|we used|PERSON bought|try} ATHING;{PERSON|she} swapped THING for ATHING | what {did|do} {they|we|PERSON|you} {take|use|choose|buy|get} instead {of THING|};what was THING {replaced by|swapped for} = ATHING
a | PERSON {wants|hopes|would love|dreams of} {to become|to be|becoming|being} AJOB{| one day| like HIS mother}; when PERSON grows up, HE {wants to be|will be} AJOB | what does PERSON {want|hope} to {be|become};what is PERSON's dream {job|} = AJOB
a | PERSON and PERSON2 {share|run|own|opened} a ADJ KINDSHOP in TOWN; the KINDSHOP {in TOWN|} {belongs to|is run by} PERSON {and PERSON2|} | what {do|did} PERSON {and PERSON2|} {share|run|own|open} = KINDSHOP | where is {the|their} KINDSHOP;in which town is the KINDSHOP = TOWN | who {runs|owns} the KINDSHOP = PERSON
"""
LIMBS = "arm leg wrist ankle finger toe shoulder elbow knee nose rib hip thumb collarbone tooth hand foot".split()
ADVERBS = """upstairs|next door|across the street|around the corner|on the second floor|on the top floor|abroad|two doors down|at the end of the road|opposite the church
|above the shop|in the house behind|at number 12|by the lake|over the bakery|outside the village|in the attic|on the left|in the corner house|near the pond""".replace("\n", "").split("|")
WORKS = """castle hospital bakery library zoo post_office brewery museum shipyard school theatre bank pharmacy airport garage nursery college hotel court sawmill
observatory town_hall radio_station printing_house vineyard fire_station garden_centre call_centre cheese_factory""".split()
GLASS = "glass paper plastic metal bottles cans tins batteries cardboard compost towels skis bikes shoes boots tools newspapers cushions blankets ashes leftovers parcels umbrellas helmets keys".split()
FRACTIONS = ["half", "a third", "a quarter", "two thirds", "most", "three quarters", "a fifth", "a tenth", "one in five", "the other half", "the rest"]
PEOPLE = "cyclists visitors passengers drivers students patients guests tourists walkers customers tenants members readers pupils workers travellers swimmers farmers voters residents applicants parents".split()
OFTEN = ["every day", "twice a day", "once a week", "every morning", "twice a week", "every other week", "three times a day", "daily", "every evening", "once a month", "every three days"]
INSTRUCTIONS = ["{push|pull|press|lift|slide|hold} the {COLOUR |small |big |left |right |}{lever|button|handle|switch|chain} {down|up|twice|for NUMBER seconds|gently|}", "{press|hold} {start|the star key|both buttons} {twice|for NUMBER seconds|until it beeps}", "{close|open} the {lid|door|tap|valve} {first|slowly|completely}", "{put|drop|insert} a {coin|token|card} in the {slot|box}"]


class Scenes:
    """Scenes of one document; `facts` lends its list of what the document has already."""

    def __init__(self, words, clauses, facts):
        self.w, self.clauses, self.known = words, clauses, facts.known

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
        text = re.sub(r" +", " ", SLOT.sub(put, text)).replace(" ,", ",").replace(" ?", "?").strip()
        return re.sub(r"([.!?] )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)

    def any(self, kind):
        """(text, questions) of one scene of a kind, or None."""
        w = self.w
        statements, asked = w.one(BY_KIND[kind])
        values = {}
        template = self.choose(w.one(statements))
        text = self.filled(template, values)
        questions, keys = [], []
        for wordings, answer in asked:
            if not all(slot in values for slot in SLOT.findall(answer)):
                continue
            given = self.filled(answer, values)
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
                keys.append(("scene", asked[0][1], *[(v if isinstance(v, str) else v.text).split()[-1] for v in named]))
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
