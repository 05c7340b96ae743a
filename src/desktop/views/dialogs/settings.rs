//! Settings of this chat and of the program. Every change holds at once; those that need a reload say so.

use egui::{Button, ComboBox, DragValue, RichText, ScrollArea, Slider, TextEdit, Ui, vec2};

use super::super::widgets;
use super::{forms, head, room};
use crate::desktop::messages::AttentionChoice;
use crate::desktop::store::settings::{PRESETS, ThemeChoice};
use crate::desktop::store::{Action, ChatSettings, Settings, Store};
use crate::desktop::theme::{self, Palette};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Chat,
    Program,
    Device,
}

#[derive(Default)]
pub(crate) struct SettingsView {
    tab: Tab,
}

impl SettingsView {
    /// Turns to the part where device and context are chosen.
    pub(crate) fn show_device(&mut self) {
        self.tab = Tab::Device;
    }

    pub(crate) fn show(&mut self, ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
        ui.set_width(560.0);
        head(ui, "Settings", actions);
        ui.horizontal(|ui| {
            for (tab, name) in
                [(Tab::Chat, "This chat"), (Tab::Program, "Appearance"), (Tab::Device, "Model and device")]
            {
                if widgets::chip(ui, name, self.tab == tab).clicked() {
                    self.tab = tab;
                }
            }
        });
        ui.add_space(4.0);
        let height = room(ui, 560.0, 40.0);
        ScrollArea::vertical().max_height(height).min_scrolled_height(height).auto_shrink([false, true]).show(
            ui,
            |ui| match self.tab {
                Tab::Chat => chat(ui, store, actions),
                Tab::Program => program(ui, store, actions),
                Tab::Device => device(ui, store, actions),
            },
        );
    }
}

fn chat(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let Some(chat) = store.chat() else { return };
    let mut settings = chat.settings.clone();
    widgets::field_label(ui, "System prompt");
    let field =
        TextEdit::multiline(&mut settings.system).hint_text("None").desired_rows(3).desired_width(f32::INFINITY);
    ui.add(field.margin(vec2(10.0, 8.0))).accessible_name("System prompt");
    widgets::field_label(ui, "Attention");
    ui.horizontal(|ui| {
        for (choice, name) in [
            (AttentionChoice::Auto, "Automatic"),
            (AttentionChoice::Dense, "Dense"),
            (AttentionChoice::Sparse, "Sparse"),
        ] {
            if widgets::chip(ui, name, settings.attention == choice).clicked() {
                settings.attention = choice;
            }
        }
    });
    widgets::field_label(ui, "How words are chosen");
    ui.horizontal(|ui| {
        for preset in &PRESETS {
            let on = preset.matches(&settings.sampling);
            if widgets::chip(ui, preset.name, on).on_hover_text(preset.purpose).clicked() {
                preset.apply(&mut settings.sampling);
            }
        }
    });
    ui.add_space(4.0);
    sampling(ui, &mut settings);
    ui.add_space(theme::GAP);
    if ui.button("Use for new chats").clicked() {
        let mut program = store.settings.clone();
        program.new_chat = settings.clone();
        actions.push(Action::Settings(Box::new(program)));
    }
    if settings != chat.settings {
        actions.push(Action::ChatSettings(Box::new(settings)));
    }
}

fn sampling(ui: &mut Ui, settings: &mut ChatSettings) {
    let sampling = &mut settings.sampling;
    let row = |ui: &mut Ui, name: &str, hint: &str, add: &mut dyn FnMut(&mut Ui) -> egui::Response| {
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(150.0, 24.0), egui::Sense::hover());
            let color = Palette::of(ui).text;
            ui.painter().text(rect.left_center(), egui::Align2::LEFT_CENTER, name, theme::font(14.0), color);
            add(ui).accessible_name(name).on_hover_text(hint);
        });
    };
    row(ui, "Temperature", "0 takes the likeliest word; more gives variety", &mut |ui| {
        ui.add(Slider::new(&mut sampling.temperature, 0.0..=2.0).fixed_decimals(2))
    });
    row(ui, "Top p", "Keep the likeliest words up to this sum of probability", &mut |ui| {
        ui.add(Slider::new(&mut sampling.top_p, 0.05..=1.0).fixed_decimals(2))
    });
    row(ui, "Min p", "Drop words less likely than this share of the likeliest", &mut |ui| {
        ui.add(Slider::new(&mut sampling.min_p, 0.0..=0.5).fixed_decimals(2))
    });
    row(ui, "Top k", "Keep this many words; 0 keeps all", &mut |ui| {
        ui.add(DragValue::new(&mut sampling.top_k).range(0..=1000))
    });
    row(ui, "Repetition", "Above 1 makes repeated words less likely", &mut |ui| {
        ui.add(Slider::new(&mut sampling.repeat_penalty, 1.0..=2.0).fixed_decimals(2))
    });
    row(ui, "Longest answer", "In tokens", &mut |ui| {
        ui.add(DragValue::new(&mut sampling.max_tokens).range(1..=131_072).speed(16))
    });
    let mut seed = sampling.seed.unwrap_or(0);
    let mut fixed = sampling.seed.is_some();
    ui.horizontal(|ui| {
        widgets::checkbox(ui, &mut fixed, "Fixed seed");
        ui.add_enabled_ui(fixed, |ui| ui.add(DragValue::new(&mut seed)).accessible_name("Seed"));
    });
    sampling.seed = fixed.then_some(seed);
}

fn program(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let mut settings = store.settings.clone();
    widgets::field_label(ui, "Theme");
    ui.horizontal(|ui| {
        for (choice, name) in
            [(ThemeChoice::System, "System"), (ThemeChoice::Light, "Light"), (ThemeChoice::Dark, "Dark")]
        {
            if widgets::chip(ui, name, settings.theme == choice).clicked() {
                settings.theme = choice;
            }
        }
    });
    widgets::field_label(ui, "Size");
    ui.horizontal(|ui| {
        for (scale, name) in [(0.8, "80 %"), (1.0, "100 %"), (1.25, "125 %"), (1.5, "150 %"), (2.0, "200 %")] {
            if widgets::chip(ui, name, (settings.scale - scale).abs() < 0.01).clicked() {
                settings.scale = scale;
            }
        }
    });
    ui.add_space(theme::GAP);
    widgets::checkbox(ui, &mut settings.reduce_motion, "Nothing moves by itself");
    widgets::checkbox(ui, &mut settings.trace, "Record what is read");
    widgets::checkbox(ui, &mut settings.follow_heat, "Scroll the document to what is being read");
    ui.add_space(theme::GAP);
    widgets::note(ui, "Everything stays on this computer: no account, no network, no telemetry.");
    if settings != store.settings {
        actions.push(Action::Settings(Box::new(settings)));
    }
}

fn device(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    let mut settings = store.settings.clone();
    widgets::field_label(ui, "Device");
    let shown = settings.device.clone().unwrap_or_else(|| "Chosen for you".into());
    ComboBox::from_id_salt("device")
        .selected_text(shown)
        .width(320.0)
        .show_ui(ui, |ui| {
            ui.selectable_value(&mut settings.device, None, "Chosen for you");
            for device in store.devices.iter().filter(|device| device.refused.is_none()) {
                let words = format!("{} ({})", device.name, device.kind);
                ui.selectable_value(&mut settings.device, Some(device.name.clone()), words);
            }
        })
        .response
        .accessible_name("Device");
    for device in &store.devices {
        if let Some(reason) = &device.refused {
            widgets::note(ui, format!("{} cannot be used: {reason}", device.name));
        }
    }
    widgets::field_label(ui, "Room for the context");
    let mut fixed = settings.context.is_some();
    let mut context = settings.context.unwrap_or(32_768);
    ui.horizontal(|ui| {
        widgets::checkbox(ui, &mut fixed, "At most");
        ui.add_enabled_ui(fixed, |ui| {
            ui.add(DragValue::new(&mut context).range(512..=4_194_304).speed(256).suffix(" tokens"))
                .accessible_name("Context in tokens")
        });
    });
    settings.context = fixed.then_some(context);
    widgets::field_label(ui, "Memory");
    forms(ui, store, true, actions);
    ui.add_space(theme::GAP);
    widgets::checkbox(ui, &mut settings.responsive, "Keep the desktop smooth while the model works");
    ui.add_space(theme::GAP);
    let changed = settings.device != store.settings.device || settings.context != store.settings.context;
    if let Some(info) = store.model_info() {
        let words =
            format!("{} is open on {} with room for {} tokens.", info.name, info.device, widgets::number(info.context));
        widgets::note(ui, words);
        widgets::note(ui, &info.detail);
        if let Some(notice) = &info.notice {
            widgets::note(ui, notice);
        }
    }
    ui.horizontal(|ui| {
        if ui.add(Button::new("Reload the model")).clicked() {
            actions.push(Action::Reload);
        }
        let color = Palette::of(ui).weak;
        ui.label(RichText::new("Device, room and bits change with the next reload.").color(color).small());
    });
    if changed || settings != store.settings {
        actions.push(Action::Settings(Box::new(Settings { ..settings })));
    }
}
