//! The trace of an answer as JSON: what stood where in the context, and for every token what each reader chose. And
//! pictures of the window.

use serde::Serialize;

use super::attention::{Reading, snap};
use super::messages::Part;
use super::store::Store;
use super::trace_data::{Mode, Segment};
use crate::error::{Error, Result};

#[derive(Serialize)]
struct TraceFile<'a> {
    schema: u32,
    kind: &'static str,
    model: &'a str,
    block_size: u32,
    layers: u32,
    kv_heads: u32,
    prompt_tokens: u32,
    segments: &'a [Segment],
    tokens: Vec<TracedToken<'a>>,
}

#[derive(Serialize)]
struct TracedToken<'a> {
    text: &'a str,
    part: Part,
    mode: Option<Mode>,
    cache_length: Option<u32>,
    forced: &'a [u32],
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    pinned: &'a [u32],
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    excluded: &'a [u32],
    /// Chosen blocks by reader, layer first.
    readers: Vec<Vec<u32>>,
}

/// What an export needs, taken out of the store so that another thread can write it.
pub(crate) struct TraceExport {
    /// Proposed file name.
    pub(crate) name: String,
    reading: Reading,
    model: String,
    text: String,
    thinking: String,
}

impl TraceExport {
    /// Of the answer in focus, while its steps are kept.
    pub(crate) fn new(store: &Store) -> Option<Self> {
        let reading = store.reading()?.clone();
        let chat = store.chat()?;
        let message = chat.message(reading.message)?;
        Some(Self {
            name: format!("{}.trace.json", super::store::file_stem(&chat.title)),
            model: message.model.clone(),
            text: message.text.clone(),
            thinking: message.thinking.clone(),
            reading,
        })
    }

    /// The file.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let last = self.reading.last_step();
        let tokens = self.reading.written.iter().map(|written| {
            let text = match written.part {
                Part::Thinking => &self.thinking,
                Part::Answer => &self.text,
            };
            let step = written.step.as_deref();
            TracedToken {
                text: text.get(snap(text, &written.bytes)).unwrap_or(""),
                part: written.part,
                mode: step.map(|step| step.mode),
                cache_length: step.map(|step| step.cache_length),
                forced: step.map_or(&[], |step| &step.forced),
                pinned: step.map_or(&[], |step| &step.pinned),
                excluded: step.map_or(&[], |step| &step.excluded),
                readers: step.map_or(Vec::new(), |step| {
                    let readers = if step.mode == Mode::Sparse { step.readers() } else { 0 };
                    (0..readers).map(|reader| step.free(reader).iter().collect()).collect()
                }),
            }
        });
        serde_json::to_string(&TraceFile {
            schema: 1,
            kind: "foveal trace",
            model: &self.model,
            block_size: self.reading.block_size(),
            layers: last.map_or(0, |step| step.layers),
            kv_heads: last.map_or(0, |step| step.kv_heads),
            prompt_tokens: self.reading.prompt_tokens(),
            segments: self.reading.map.segments(),
            tokens: tokens.collect(),
        })
    }
}

/// A picture of the window as a PNG file.
pub(crate) fn png(image: &egui::ColorImage) -> Result<Vec<u8>> {
    let failed = |problem: String| Error::Text { what: "picture".into(), problem, advice: "Try again".into() };
    let size = |side: usize| u32::try_from(side).map_err(|error| failed(error.to_string()));
    let pixels: Vec<u8> = image.pixels.iter().flat_map(|pixel| pixel.to_array()).collect();
    let picture = image::RgbaImage::from_raw(size(image.width())?, size(image.height())?, pixels)
        .ok_or_else(|| failed("its size does not fit its pixels".into()))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| failed(error.to_string()))?;
    Ok(bytes.into_inner())
}
