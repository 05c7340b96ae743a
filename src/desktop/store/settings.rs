//! What the user may choose, kept in one file for the program and in each chat for that chat.

use serde::{Deserialize, Serialize};

use super::chat::ChatId;
use crate::desktop::messages::{AttentionChoice, CacheForm, ModelChoice, Sampling, WeightForm};

/// Settings of one chat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatSettings {
    /// System prompt; empty leaves it out.
    pub system: String,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Dense, sparse, or by length.
    pub attention: AttentionChoice,
    /// Let the model think first, if it can.
    pub thinking: bool,
}

/// A named set of sampling values.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    temperature: f32,
    top_p: f32,
    min_p: f32,
}

/// The presets that come with the program.
pub const PRESETS: [Preset; 3] = [
    Preset { name: "Exact", purpose: "Always the likeliest word", temperature: 0.0, top_p: 1.0, min_p: 0.0 },
    Preset { name: "Balanced", purpose: "For most questions", temperature: 0.6, top_p: 0.95, min_p: 0.0 },
    Preset { name: "Creative", purpose: "More variety", temperature: 1.0, top_p: 0.98, min_p: 0.05 },
];

impl Preset {
    /// Puts its values into the settings; length, seed and repetition stay.
    pub fn apply(&self, sampling: &mut Sampling) {
        sampling.temperature = self.temperature;
        sampling.top_p = self.top_p;
        sampling.min_p = self.min_p;
    }

    /// True when the settings have these values, as far as they matter: the likeliest word is the same word whatever the
    /// other values are.
    pub fn matches(&self, sampling: &Sampling) -> bool {
        if self.temperature == 0.0 {
            return sampling.temperature == 0.0;
        }
        sampling.temperature == self.temperature && sampling.top_p == self.top_p && sampling.min_p == self.min_p
    }
}

/// Light, dark, or as the desktop says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThemeChoice {
    /// As the desktop says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Settings of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Size of everything, 1 is normal.
    pub scale: f32,
    /// Nothing moves by itself.
    pub reduce_motion: bool,
    /// Keep the desktop smooth while the model works.
    pub responsive: bool,
    /// The device to use; none lets the engine choose.
    pub device: Option<String>,
    /// Tokens of context to make room for; none takes what fits.
    pub context: Option<u32>,
    /// What weights of plain numbers become.
    pub weights: WeightForm,
    /// How the context is kept.
    pub cache: CacheForm,
    /// The model that was open last.
    pub model: Option<ModelChoice>,
    /// Models opened before, latest first.
    pub recent: Vec<ModelChoice>,
    /// What a new chat starts with.
    pub new_chat: ChatSettings,
    /// The list of chats is open.
    pub show_sidebar: bool,
    /// The documents are open.
    pub show_documents: bool,
    /// The expert panels are open.
    pub show_details: bool,
    /// Record what is read.
    pub trace: bool,
    /// Scroll the document to the hottest passage while the answer is written.
    pub follow_heat: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            scale: 1.0,
            reduce_motion: false,
            responsive: true,
            device: None,
            context: None,
            weights: WeightForm::Plain,
            cache: CacheForm::F16,
            model: None,
            recent: Vec::new(),
            new_chat: ChatSettings::default(),
            show_sidebar: true,
            show_documents: true,
            show_details: false,
            trace: true,
            follow_heat: true,
        }
    }
}

/// What the command line asked for: holds for this run, is not kept, and gives way to what is chosen in the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// The device.
    pub device: Option<String>,
    /// Tokens of context.
    pub context: Option<u32>,
    /// What weights of plain numbers become.
    pub weights: Option<WeightForm>,
    /// How the context is kept.
    pub cache: Option<CacheForm>,
    /// Settings of the first chat and of new ones.
    pub chat: Option<ChatSettings>,
    /// The chat to show again, where the window before was lost with its device.
    pub reopened: Option<ChatId>,
}

impl Settings {
    /// Puts a model first in the list of recent ones.
    pub fn remember(&mut self, choice: &ModelChoice) {
        self.recent.retain(|other| other != choice);
        self.recent.insert(0, choice.clone());
        self.recent.truncate(8);
        self.model = Some(choice.clone());
    }

    /// Brings values from a file into their ranges.
    pub fn bound(&mut self) {
        self.scale = if self.scale.is_finite() { self.scale.clamp(0.6, 2.5) } else { 1.0 };
    }
}
