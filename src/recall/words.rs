//! The sentences that `foveal recall` writes: facts with their questions, and others around them.
//!
//! Nouns, adjectives and names are among those that the built-in model's training leaves out (assets/built-in/train); towns are put
//! together from syllables of their own. Statements and questions are plain, so that any model can be asked them.

use std::collections::HashSet;

use crate::sampler::random::Pcg32;

const FIRST_NAMES: &[&str] = &[
    "Adelia",
    "Aldo",
    "Alexandra",
    "Allegra",
    "Ambrosio",
    "Ariana",
    "Arvo",
    "Barbro",
    "Benjamin",
    "Bruna",
    "Caitlin",
    "Cassandra",
    "Colette",
    "Cornelius",
    "Cynthia",
    "Danica",
    "Derrick",
    "Dylan",
    "Elna",
    "Emmy",
    "Erika",
    "Faith",
    "Frederic",
    "Gregg",
    "Hugh",
];
const LAST_NAMES: &[&str] = &[
    "Ackermann",
    "Andresen",
    "Bachmann",
    "Barnett",
    "Bennett",
    "Blanc",
    "Brennan",
    "Brooks",
    "Bryant",
    "Burrows",
    "Chapman",
    "Cunningham",
    "Farkas",
    "Ferreira",
    "Gibbons",
    "Godfrey",
    "Hagman",
    "Hamilton",
    "Hopkins",
    "Hughes",
    "Iversen",
    "Jennings",
    "Lengyel",
    "Lloyd",
    "Madsen",
    "Moreno",
    "Nissen",
];
const THING_ADJECTIVES: &[&str] = &[
    "gilt",
    "feathered",
    "stained",
    "wrinkled",
    "bronzed",
    "splashed",
    "ruffled",
    "heraldic",
    "muddied",
    "grimy",
    "flimsy",
    "fanciful",
    "wobbling",
    "spongy",
    "coated",
];
const THINGS: &[&str] = &[
    "jeep",
    "diamond",
    "pennant",
    "plaque",
    "mosaic",
    "sock",
    "duffel bag",
    "costume",
    "double bass",
    "piano stool",
    "uniform",
    "centrifuge",
    "blade",
    "pole",
    "tube",
    "carrier",
    "fragment",
];
const PLACE_ADJECTIVES: &[&str] =
    &["abandoned", "paved", "sheltered", "carpeted", "draped", "cluttered", "slanting", "rocky", "lush", "sunken"];
const PLACES: &[&str] = &[
    "apartment",
    "bedroom",
    "porch",
    "nightclub",
    "cathedral",
    "fortress",
    "hearth",
    "kitchenette",
    "tenement",
    "ranch house",
    "schoolyard",
    "anchorage",
    "bus stop",
    "oil well",
    "ramp",
];
const TOWN_BEGINNINGS: &[&str] =
    &["Quil", "Thrus", "Aver", "Myr", "Oster", "Pell", "Kirr", "Umber", "Vent", "Zell", "Jor", "Ilm", "Dray", "Eph"];
const TOWN_ENDS: &[&str] = &["aby", "anza", "igan", "otto", "undry", "eth", "ola", "isk", "ume", "arra", "esco", "ith"];
const HIDING: &[&str] = &[
    "under the stairs",
    "behind the curtain",
    "above the door",
    "beneath the floor",
    "inside the clock",
    "below the window",
    "between two books",
    "near the chimney",
];
const MATERIALS: &[&str] = &["oak", "brass", "paper", "glass", "wool", "clay", "copper", "leather", "marble", "straw"];
const BEGINNINGS: &[&str] = &[
    "",
    "",
    "",
    "",
    "In the morning ",
    "Later that week ",
    "After the storm ",
    "As far as I know ",
    "Once again ",
    "Before lunch ",
    "That winter ",
    "For some reason ",
];
const ENDS: &[&str] = &[
    "",
    "",
    "",
    "",
    " without a word",
    " in the rain",
    " for the second time",
    ", which nobody minded",
    " and went home",
    ", as the neighbours had hoped",
    " in front of everybody",
    " until it was dark",
    ", and the dogs barked",
];
const REMARKS: &[&str] = &[
    "Nothing much happened after that.",
    "It was colder than anybody had expected.",
    "There was tea, and there were stories.",
    "I have forgotten the rest.",
    "The wind turned to the north.",
    "Opinions differ about this.",
    "It rained all night.",
    "Everybody slept late the next day.",
    "This was long before the bridge was built.",
    "We laughed about it for weeks.",
];

/// A statement, what to ask about it, and what a right answer contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The sentence of the document.
    pub sentence: String,
    /// The question.
    pub question: String,
    /// The words that are asked for.
    pub answer: String,
}

/// Writes sentences; no subject of a fact comes twice.
pub(super) struct Writer {
    random: Pcg32,
    used: HashSet<String>,
}

impl Writer {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Pcg32::new(seed), used: HashSet::new() }
    }

    /// A number in 0..count.
    pub(super) fn below(&mut self, count: usize) -> usize {
        self.random.below(count)
    }

    fn one(&mut self, words: &[&'static str]) -> &'static str {
        words.get(self.random.below(words.len())).copied().unwrap_or_default()
    }

    fn digits(&mut self, count: u32) -> usize {
        let least = 10usize.pow(count - 1);
        least + self.random.below(9 * least)
    }

    fn person(&mut self) -> String {
        format!("{} {}", self.one(FIRST_NAMES), self.one(LAST_NAMES))
    }

    fn thing(&mut self) -> String {
        format!("{} {}", self.one(THING_ADJECTIVES), self.one(THINGS))
    }

    fn place(&mut self) -> String {
        format!("{} {}", self.one(PLACE_ADJECTIVES), self.one(PLACES))
    }

    fn town(&mut self) -> String {
        format!("{}{}", self.one(TOWN_BEGINNINGS), self.one(TOWN_ENDS))
    }

    /// A subject that no fact has yet. The lists are larger than any document needs; should they end, one comes again.
    fn fresh(&mut self, make: impl Fn(&mut Self) -> String) -> String {
        for _ in 0..1000 {
            let subject = make(self);
            if self.used.insert(subject.clone()) {
                return subject;
            }
        }
        make(self)
    }

    /// A fact about something new. Facts of one `kind` differ only in subject and answer, which makes them near misses.
    pub(super) fn fact(&mut self, kind: usize) -> Fact {
        let (sentence, question, answer) = match kind % Self::KINDS {
            0 => {
                let (place, code) = (self.fresh(Self::place), self.digits(4).to_string());
                let question = format!("What is the access code of the {place}?");
                (format!("The access code of the {place} is {code}."), question, code)
            }
            1 => {
                let (place, person) = (self.fresh(Self::place), self.person());
                (format!("{person} looks after the {place}."), format!("Who looks after the {place}?"), person)
            }
            2 => {
                let (thing, price) = (self.fresh(Self::thing), self.digits(2).to_string());
                (format!("The {thing} costs {price} shillings."), format!("How much does the {thing} cost?"), price)
            }
            3 => {
                let (thing, hidden) = (self.fresh(Self::thing), self.one(HIDING).to_owned());
                (format!("The {thing} is hidden {hidden}."), format!("Where is the {thing} hidden?"), hidden)
            }
            4 => {
                let (town, time) = (self.fresh(Self::town), format!("{}:{}", 6 + self.below(14), 10 + self.below(50)));
                let question = format!("When does the ferry to {town} leave?");
                (format!("The ferry to {town} leaves at {time}."), question, time)
            }
            5 => {
                let (thing, person) = (self.fresh(Self::thing), self.person());
                (format!("The {thing} belongs to {person}."), format!("Who owns the {thing}?"), person)
            }
            6 => {
                let (thing, weight) = (self.fresh(Self::thing), self.digits(2).to_string());
                (format!("The {thing} weighs {weight} kilograms."), format!("How much does the {thing} weigh?"), weight)
            }
            7 => {
                let (person, town) = (self.fresh(Self::person), self.town());
                (format!("{person} was born in {town}."), format!("Where was {person} born?"), town)
            }
            8 => {
                let (person, number) = (self.fresh(Self::person), format!("{}-{}", self.digits(3), self.digits(4)));
                let question = format!("What is the telephone number of {person}?");
                (format!("The telephone number of {person} is {number}."), question, number)
            }
            _ => {
                let (thing, material) = (self.fresh(Self::thing), self.one(MATERIALS).to_owned());
                (format!("The {thing} is made of {material}."), format!("What is the {thing} made of?"), material)
            }
        };
        Fact { sentence, question, answer }
    }

    /// Kinds of fact.
    pub(super) const KINDS: usize = 10;

    /// A sentence that nothing is asked about.
    pub(super) fn filler(&mut self) -> String {
        if self.below(6) == 0 {
            return self.one(REMARKS).to_owned();
        }
        let (person, other, thing, place, town) =
            (self.person(), self.person(), self.thing(), self.place(), self.town());
        let clause = match self.below(12) {
            0 => format!("{person} carried the {thing} to {town}"),
            1 => format!("{person} met {other} at the {place}"),
            2 => format!("{person} washed the {thing}"),
            3 => format!("{person} swept the {place}"),
            4 => format!("{person} and {other} travelled to {town}"),
            5 => format!("{person} wrote about the {place}"),
            6 => format!("{other} dropped the {thing} near the {place}"),
            7 => format!("{person} sang for {other}"),
            8 => format!("{person} forgot the {thing}"),
            9 => format!("{other} waited at the {place}"),
            10 => format!("{person} dreamed of {town}"),
            _ => format!("{person} painted a picture of the {thing}"),
        };
        format!("{}{clause}{}.", self.one(BEGINNINGS), self.one(ENDS))
    }
}
