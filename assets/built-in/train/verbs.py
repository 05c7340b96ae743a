"""Verbs: their forms, what they take, and which mean the same.

The table has common verbs by hand, so that most sentences make sense; WordNet's other transitive verbs come with any object, so
that the meaning of a verb is never needed to find its clause.
"""

from dataclasses import dataclass

from phrases import CORPUS

# lemma past participle | same meaning | objects: t thing, p paper, f food, e event, h human, w place (where), - none | fixed role
TABLE = """
send sent sent | mail,forward | tp | to
give gave given | hand | tp | to
lend lent lent | | t | to
sell sold sold | | tf | to
show showed shown | | tp | to
offer offered offered | | tpf | to
bring brought brought | deliver | tpf | to
deliver delivered delivered | bring | tpf | to
pass passed passed | give | tp | to
return returned returned | give back | tp | to
explain explained explained | | pe | to
report reported reported | | pe | to
promise promised promised | | tp | to
teach taught taught | | p | to
buy bought bought | purchase,get | tf | from
order ordered ordered | | tf | from
borrow borrowed borrowed | | tp | from
receive received received | get | tp | from
get got got | receive | tpf | from
rent rented rented | hire | tw | from
collect collected collected | pick up | tp | from
take took taken | | tp | from
inherit inherited inherited | | t | from
find found found | discover | tp |
lose lost lost | misplace | tp |
keep kept kept | store | tpf |
put put put | place | tpf |
leave left left | | tp |
hide hid hidden | | tp |
store stored stored | keep | tpf |
hang hung hung | | t |
park parked parked | | t |
build built built | construct | tw |
repair repaired repaired | fix,mend | t |
fix fixed fixed | repair | t |
replace replaced replaced | | t |
check checked checked | inspect | tpw |
inspect inspected inspected | check,examine | tw |
clean cleaned cleaned | | tw |
wash washed washed | | tf |
paint painted painted | | tw |
install installed installed | | t |
remove removed removed | take away | tp |
move moved moved | | te |
open opened opened | | tw |
close closed closed | shut | tw |
lock locked locked | | tw |
test tested tested | | t |
measure measured measured | | tw |
break broke broken | | t |
steal stole stolen | | tp |
throw threw thrown | | t |
carry carried carried | | tp |
load loaded loaded | | t |
pack packed packed | | tp |
choose chose chosen | select,pick | tpe |
use used used | | t |
need needed needed | require | tpf |
make made made | | tf |
draw drew drawn | | tp |
design designed designed | | tp |
print printed printed | | p |
write wrote written | | p |
read read read | | p |
sign signed signed | | p |
submit submitted submitted | hand in | p |
approve approved approved | accept | pe |
reject rejected rejected | refuse,turn down | pe |
review reviewed reviewed | | p |
prepare prepared prepared | | pfe |
finish finished finished | complete | pt |
update updated updated | revise | p |
publish published published | | p |
present presented presented | | p |
discuss discussed discussed | talk about | pe |
cancel cancelled cancelled | call off | pe |
pay paid paid | settle | p |
translate translated translated | | p |
copy copied copied | | p |
file filed filed | | p |
announce announced announced | | pe |
organise organised organised | arrange | e |
attend attended attended | | e |
postpone postponed postponed | delay,put off | e |
host hosted hosted | | e |
plan planned planned | | e |
start started started | begin | e |
hold held held | | e |
lead led led | run | e |
visit visited visited | | hw |
call called called | phone,ring | h |
meet met met | | h |
invite invited invited | | h |
help helped helped | | h |
thank thanked thanked | | h |
ask asked asked | | h |
hire hired hired | employ | h |
see saw seen | | htw |
contact contacted contacted | | h |
replace replaced replaced | | h |
train trained trained | | h |
interview interviewed interviewed | | h |
marry married married | | h |
recommend recommended recommended | suggest | htp |
bake baked baked | | f |
cook cooked cooked | | f |
eat ate eaten | | f |
serve served served | | f |
taste tasted tasted | | f |
chop chopped chopped | cut | f |
mix mixed mixed | combine | f |
pour poured poured | | f |
boil boiled boiled | | f |
fry fried fried | | f |
peel peeled peeled | | f |
add added added | | f |
heat heated heated | warm | f |
drink drank drunk | | f |
grow grew grown | | f |
plant planted planted | | f |
water watered watered | | t |
feed fed fed | | h |
win won won | | et |
donate donated donated | | tf | to
catch caught caught | | t |
cut cut cut | | tf |
cover covered covered | | t |
fill filled filled | | t |
watch watched watched | | et |
record recorded recorded | | tpe |
book booked booked | reserve | we |
arrive arrived arrived | | - |
leave left left | depart | - |
work worked worked | | - |
live lived lived | | - |
sleep slept slept | | - |
wait waited waited | | - |
swim swam swum | | - |
travel travelled travelled | | - |
stay stayed stayed | | - |
speak spoke spoken | talk | - |
sing sang sung | | - |
study studied studied | | - |
retire retired retired | | - |
run ran run | | - |
train trained trained | practise | - |
rest rested rested | | - |
come came come | | - |
go went gone | | - |
fall fell fallen | | - |
meet met met | gather | - |
vote voted voted | | - |
lunch lunched lunched | have lunch | -
"""


@dataclass(frozen=True)
class Verb:
    """The five forms, the part after the verb ("up"), the meaning that its synonyms share, its objects and fixed role."""

    base: str
    third: str
    past: str
    participle: str
    gerund: str
    meaning: str
    objects: str
    role: str


def forms(base, past=None, participle=None):
    head, _, rest = base.partition(" ")
    rest = " " + rest if rest else ""
    vowels = "aeiou"
    if head.endswith("y") and head[-2] not in vowels:
        third, regular = head[:-1] + "ies", head[:-1] + "ied"
    elif head.endswith(("s", "x", "ch", "sh", "z", "o")):
        third, regular = head + "es", head + "ed"
    else:
        third, regular = head + "s", head + ("d" if head.endswith("e") else "ed")
    gerund = (head[:-2] + "ying" if head.endswith("ie") else head[:-1] + "ing" if head.endswith("e") and not head.endswith(("ee", "ye", "oe")) else head + "ing")
    exceptions = CORPUS["irregular"].get(head, [])
    ing = [f for f in exceptions if f.endswith("ing")]
    others = [f for f in exceptions if not f.endswith("ing")]
    if ing:
        gerund = ing[0]
    elif len(head) < 6 and head[-1] not in "wxyaeiou" and head[-2] in vowels and head[-3:-2] not in vowels and head not in ("open", "offer", "order", "enter"):
        gerund = head + head[-1] + "ing"
        regular = head + head[-1] + "ed"
    if others and past is None:
        # WordNet lists the forms of a verb in alphabetical order; a participle in -n is the later stage.
        participle = next((f for f in others if f.endswith("n")), others[-1])
        past = next((f for f in others if f != participle), participle)
    past = past or regular
    return third + rest, past + rest, (participle or past) + rest, gerund + rest


def verb(base, meaning, objects, role="", past=None, participle=None):
    third, past, participle, gerund = forms(base, past, participle)
    return Verb(base, third, past, participle, gerund, meaning, objects, role)


def table():
    """(by meaning: the verbs that share it, by kind of object: the verbs that take it)."""
    entries, past = [], {}
    for line in TABLE.strip().splitlines():
        words, same, objects, role = (part.strip() for part in (line + " |").split("|")[:4])
        base, *rest = words.split(" ")
        past[base] = rest
        entries.append((base, [s for s in same.split(",") if s], objects, role))
    groups = []
    for base, same, objects, role in entries:
        group = []
        for word in [base] + same:
            head, _, tail = word.partition(" ")
            known = [f + (" " + tail if tail else "") for f in past.get(head, [])]
            third, regular, participle, gerund = forms(word)
            if known and not tail:
                regular, participle = known
            elif known:
                regular, participle = known
            group.append(Verb(word, third, regular, participle, gerund, "", objects, role))
        groups.append(group)
    taken = {base for base, *_ in entries}
    for base, frames in CORPUS["verbs"].items():
        if base not in taken and {8, 9} & set(frames) and len(base) < 12:
            objects = ("t" if 8 in frames else "") + ("h" if 9 in frames else "")
            groups.append([Verb(base, *forms(base), "", objects, "")])
    return groups


GROUPS = table()
COMMON = len(TABLE.strip().splitlines())
# Verbs that may stand for each other in a question count as one meaning when a question is checked for being unambiguous.
MEANING = {}
for number, members in enumerate(GROUPS):
    known = next((MEANING[m.base] for m in members if m.base in MEANING), number)
    for m in members:
        MEANING.setdefault(m.base, known)
        if MEANING[m.base] != known:
            old = MEANING[m.base]
            MEANING.update({k: known for k, v in MEANING.items() if v == old})
