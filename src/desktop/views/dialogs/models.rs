//! Which model to open: the built-in one, recent ones, a folder or file. What it would need is shown before it loads.

use std::path::PathBuf;

use egui::{Button, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::super::widgets::{self, megabytes, number};
use super::{forms, head};
use crate::desktop::messages::{MemoryPlan, ModelChoice};
use crate::desktop::store::{Action, ModelState, PlanState, Store};
use crate::desktop::theme::{self, Palette};

#[derive(Default)]
pub(crate) struct Models {
    path: String,
}

impl Models {
    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>, just_opened: bool) {
        ui.set_width(560.0);
        head(ui, "Choose a model", actions);
        if just_opened {
            self.path.clear();
        }
        let current = match &store.model {
            ModelState::Ready(choice, _) | ModelState::Loading(choice, ..) => Some(choice),
            _ => None,
        };
        ScrollArea::vertical().max_height(170.0).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let mut choices = vec![ModelChoice::BuiltIn];
            choices.extend(store.settings.recent.iter().filter(|choice| **choice != ModelChoice::BuiltIn).cloned());
            for choice in choices {
                row(ui, store, &choice, current == Some(&choice), actions);
            }
        });
        ui.separator();
        widgets::field_label(ui, "Open another model");
        widgets::note(ui, "A Hugging Face, GPTQ or MLX folder, or a GGUF file. You can also drop it on the window.");
        ui.horizontal(|ui| {
            let field = TextEdit::singleline(&mut self.path).hint_text("Path of a folder or a .gguf file");
            let response = ui.add(field.desired_width(300.0).margin(vec2(10.0, 6.0))).accessible_name("Model path");
            let enter = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let path = self.path.trim().trim_matches('"').to_owned();
            let asked = ui.add_enabled(!path.is_empty(), Button::new("Look")).clicked();
            if (asked || enter) && !path.is_empty() {
                actions.push(Action::Plan(ModelChoice::Path(PathBuf::from(path))));
            }
            if ui.button("Folder…").clicked() {
                actions.push(Action::PickModelFolder);
            }
            if ui.button("File…").clicked() {
                actions.push(Action::PickModelFile);
            }
        });
        ui.add_space(theme::GAP);
        plan(ui, store, actions);
    }
}

fn row(ui: &mut Ui, store: &Store, choice: &ModelChoice, current: bool, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let state = match (&store.model, current) {
        (ModelState::Loading(..), true) => "opening",
        (_, true) => "open",
        _ => "",
    };
    let detail = match choice {
        ModelChoice::BuiltIn => "needs no download".to_owned(),
        ModelChoice::Path(path) => path.parent().map_or(String::new(), |parent| parent.display().to_string()),
    };
    let words = if state.is_empty() { detail } else { format!("{detail} · {state}") };
    let words = RichText::new(words).font(theme::font(theme::SMALL)).color(palette.weak);
    let button =
        Button::selectable(current, choice.name()).right_text(words).min_size(vec2(ui.available_width(), 34.0));
    if ui.add(button).accessible_name(choice.name()).clicked() {
        actions.push(Action::Plan(choice.clone()));
    }
}

fn plan(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    match &store.plan {
        PlanState::None => {}
        PlanState::Waiting(choice) => {
            let name = choice.name();
            let busy = matches!(store.model, ModelState::Loading(..)) || store.work.is_some();
            widgets::note(
                ui,
                if busy {
                    format!("{name} is looked at when the engine is free")
                } else {
                    format!("Looking at {name}")
                },
            );
            if store.work.is_some() && ui.button("Stop the answer").clicked() {
                actions.push(Action::Stop);
            }
        }
        PlanState::Failed(choice, error) => {
            let palette = Palette::of(ui);
            widgets::card(ui).show(ui, |ui| {
                ui.set_width(ui.available_width());
                widgets::strong(ui, format!("{} cannot be opened", choice.name()), 14.0);
                ui.label(RichText::new(&error.message).color(palette.danger));
            });
        }
        PlanState::Ready(plan) => ready(ui, store, plan, actions),
    }
}

fn ready(ui: &mut Ui, store: &Store, plan: &MemoryPlan, actions: &mut Vec<Action>) {
    let palette = Palette::of(ui);
    let needed: u64 = plan.parts.iter().map(|(_, mib)| mib).sum();
    let fits = plan.available_mib.is_none_or(|available| needed <= available);
    widgets::card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        widgets::strong(ui, &plan.name, 15.0);
        let parts: Vec<String> = plan.parts.iter().map(|(name, mib)| format!("{name} {}", megabytes(*mib))).collect();
        let of = plan.available_mib.map_or(String::new(), |mib| format!(" of {}", megabytes(mib)));
        ui.label(format!("Needs {}{of} on {}", megabytes(needed), plan.device));
        widgets::note(ui, format!("{} · room for {} tokens", parts.join(", "), number(plan.context)));
        if let Some(available) = plan.available_mib {
            ui.add_space(4.0);
            widgets::bar(ui, ui.available_width(), needed as f32 / available.max(1) as f32, "Memory needed");
        }
        if plan.available_mib.is_none() {
            widgets::note(ui, "How much memory the card has free is not told by its driver: if it is not enough, opening stops and says so.");
        }
        ui.add_space(theme::GAP);
        if forms(ui, store, plan.plain_weights, actions) {
            actions.push(Action::Plan(plan.choice.clone()));
        }
        ui.add_space(theme::GAP);
        if !fits {
            let words = "That is more than the device has. Fewer bits or a shorter context (Settings) need less.";
            ui.label(RichText::new(words).color(palette.danger));
        }
        if widgets::primary_button(ui, "Open this model").clicked() {
            actions.push(Action::Load(plan.choice.clone()));
        }
    });
}
