//! The documents that were attached once: find one, attach it again, or take it out where no chat needs it.

use egui::{Align, Button, Layout, ScrollArea, TextEdit, Ui, vec2};

use super::{composer, icons, widgets};
use crate::desktop::store::{Action, Document, Store};

/// Below this many there is nothing to search.
const FEW: usize = 6;

/// The button with its menu; the searched words are kept while it is open.
pub(crate) fn show(ui: &mut Ui, store: &Store, actions: &mut Vec<Action>) {
    if store.documents.is_empty() {
        return;
    }
    let response = widgets::icon_button(ui, icons::FILE_TEXT, "Documents used before");
    let words = response.id.with("words");
    let menu = egui::Popup::menu(&response).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside);
    let shown = menu.show(|ui| {
        ui.set_width(340.0);
        let mut wanted = ui.data(|data| data.get_temp::<String>(words)).unwrap_or_default();
        if store.documents.len() > FEW {
            let field = TextEdit::singleline(&mut wanted).hint_text("Search documents").desired_width(f32::INFINITY);
            ui.add(field.margin(vec2(10.0, 6.0))).accessible_name("Search documents");
            ui.data_mut(|data| data.insert_temp(words, wanted.clone()));
        }
        let wanted = wanted.trim().to_lowercase();
        let found: Vec<&Document> =
            store.documents.values().filter(|document| document.name.to_lowercase().contains(&wanted)).collect();
        if found.is_empty() {
            widgets::note(ui, "No document has this name.");
        }
        ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
            for document in found {
                if row(ui, store, document, actions) {
                    ui.close();
                }
            }
        });
    });
    if shown.is_none() {
        ui.data_mut(|data| data.remove::<String>(words));
    }
}

/// True when the document was chosen.
fn row(ui: &mut Ui, store: &Store, document: &Document, actions: &mut Vec<Action>) -> bool {
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let needed = store.chats_with(document.id);
            ui.add_enabled_ui(needed == 0, |ui| {
                let remove = widgets::icon_button(ui, icons::TRASH, &format!("Delete {}", document.name));
                let chats = if needed == 1 { "A chat needs it".into() } else { format!("{needed} chats need it") };
                if remove.on_disabled_hover_text(chats).clicked() {
                    actions.push(Action::ForgetDocument(document.id));
                }
            });
            widgets::note(ui, composer::document_tokens(store, document.id));
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let name = Button::new(&document.name).frame_when_inactive(false).truncate();
                let chosen = ui.add(name).clicked();
                if chosen {
                    actions.push(Action::Attach(document.id));
                }
                chosen
            })
            .inner
        })
        .inner
    })
    .inner
}
