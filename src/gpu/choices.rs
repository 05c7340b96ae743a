//! What was found out about an adapter by measuring, kept beside the compiled pipelines so that it is found out once.
//!
//! One small JSON file per adapter, driver and version of foveal. Without a folder nothing is kept, and nothing should be
//! measured: two sessions on one device must not differ because a stopwatch did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::adapter::AdapterSummary;
use super::pipeline_cache::file_name;

/// Choices by name. A damaged file counts as none.
pub(super) struct Choices {
    file: Option<PathBuf>,
    known: Mutex<BTreeMap<String, String>>,
}

impl Choices {
    pub(super) fn open(adapter: &AdapterSummary, folder: Option<&Path>) -> Self {
        let file = folder.map(|folder| folder.join(file_name(adapter, "choices", "json")));
        let text = file.as_deref().and_then(|file| std::fs::read_to_string(file).ok());
        let known = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file, known: Mutex::new(known) }
    }

    /// Whether a choice would be kept.
    pub(super) fn are_kept(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.known.lock().ok()?.get(name).cloned()
    }

    /// Keeps it. Failing to write is no error: the next start measures again.
    pub(super) fn set(&self, name: &str, choice: &str) {
        let (Some(file), Ok(mut known)) = (&self.file, self.known.lock()) else { return };
        known.insert(name.to_owned(), choice.to_owned());
        let part = file.with_extension(format!("part{}", std::process::id()));
        let text = serde_json::to_string_pretty(&*known).unwrap_or_default();
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder.and_then(|()| std::fs::write(&part, text)).and_then(|()| std::fs::rename(&part, file));
        if let Err(error) = written {
            tracing::debug!("choices not kept: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(driver: &str) -> AdapterSummary {
        AdapterSummary {
            index: 0,
            name: "card".into(),
            kind: "discrete GPU",
            backend: "Vulkan".into(),
            driver: driver.into(),
            software: false,
            max_binding: 0,
            max_buffer: 0,
            features: Default::default(),
        }
    }

    #[test]
    fn kept_for_one_driver_and_damage_is_no_choice() {
        let folder = tempfile::tempdir().unwrap();
        let open = |driver: &str| Choices::open(&summary(driver), Some(folder.path()));
        assert_eq!(open("1").get("q4"), None);
        open("1").set("q4", "fast");
        assert_eq!(open("1").get("q4").as_deref(), Some("fast"));
        assert_eq!(open("2").get("q4"), None, "another driver may be fast otherwise");
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(file, "{\"q4\": ").unwrap();
        assert_eq!(open("1").get("q4"), None);
        assert!(!Choices::open(&summary("1"), None).are_kept());
    }
}
