//! The chat window with a scripted engine instead of a model: for work on the window itself.
//!
//! `cargo run --example scripted_window [DOCUMENT]`

fn main() -> foveal::error::Result<()> {
    let sample = std::env::args().nth(1).map(|path| {
        let document = foveal::desktop::read_document(path.as_ref(), None)?;
        Ok((document.name, document.text.to_string(), "What is the access code of the amber lighthouse?".to_owned()))
    });
    foveal::desktop::run(foveal::desktop::DesktopOptions {
        engine: foveal::desktop::fake::Script::default().engine(),
        data_folder: std::env::temp_dir().join("foveal-scripted"),
        model: None,
        sample: sample.transpose()?,
        documents: Vec::new(),
        pdf: None,
        device: None,
        context: None,
        weights: None,
        cache: None,
        chat: None,
        reopened: None,
        faults: Default::default(),
    })
}
