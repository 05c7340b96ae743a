//! Letters drawn ahead of time.
//!
//! A letter is drawn into egui's picture of letters when a text first has it, once for each size and for each of four
//! places within a pixel, and now and then the whole picture is made twice as high. The first block of code of an answer
//! would hold its frame up for hundreds of letters. So those that most texts have are drawn before they are wanted, a few
//! in what is left of each frame. No frame is drawn for them alone: an idle window stays idle.

use std::time::{Duration, Instant};

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, Context, FontId};

use super::theme;

/// What a frame may have taken with these letters.
const FRAME: Duration = Duration::from_millis(4);
/// Places within a pixel at which letters differ.
const PLACES: usize = 4;
/// Letters that are drawn together.
const TOGETHER: usize = 16;
/// What a keyboard has, and what texts have beside it.
const LETTERS: &str =
    "etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ0123456789.,;:!?'\"()[]{}<>-_=+*/\\|&%$#@^`~‘’“”–—…•×°éèüöäß";

/// How far the drawing is.
#[derive(Default)]
pub(crate) struct Letters {
    /// Pixels in a point: another number needs all letters anew.
    scale: f32,
    next: usize,
}

impl Letters {
    /// Draws some in the time that is left of a frame that began then. True while there are more.
    pub(crate) fn draw_some(&mut self, context: &Context, begun: Instant) -> bool {
        let scale = context.pixels_per_point();
        if self.scale != scale {
            *self = Self { scale, next: 0 };
        }
        let letters: Vec<char> = LETTERS.chars().collect();
        let groups: Vec<&[char]> = letters.chunks(TOGETHER).collect();
        let fonts = theme::text_fonts();
        let of_a_font = groups.len() * PLACES;
        while let Some(font) = fonts.get(self.next / of_a_font) {
            if begun.elapsed() >= FRAME {
                return true;
            }
            let part = self.next % of_a_font;
            let letters = groups.get(part % groups.len()).copied().unwrap_or(&[]);
            let place = (part / groups.len()) as f32 / (PLACES as f32 * scale);
            context.fonts_mut(|fonts| fonts.layout_job(job(letters, font, place)));
            self.next += 1;
        }
        false
    }
}

/// Each letter on a line of its own, so that it stands where it should.
fn job(letters: &[char], font: &FontId, place: f32) -> LayoutJob {
    let mut job = LayoutJob::default();
    for letter in letters {
        job.append(&format!("{letter}\n"), place, TextFormat::simple(font.clone(), Color32::WHITE));
    }
    job
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use egui::text::{LayoutJob, TextFormat};
    use egui::{Color32, Context, RawInput};

    use super::Letters;
    use crate::desktop::theme;

    /// After some frames a text brings nothing new into the picture of letters, wherever its letters stand.
    #[test]
    fn texts_find_their_letters_drawn() {
        let context = Context::default();
        theme::set_fonts(&context);
        let frame = |draw: &mut dyn FnMut(&Context)| {
            let mut output = context.run_ui(RawInput::default(), |ui| draw(ui.ctx()));
            let changed = output.textures_delta.set.len();
            // egui wants to be told that nobody draws them.
            output.textures_delta.clear();
            changed
        };
        frame(&mut |_| {});
        let mut letters = Letters::default();
        let (mut more, mut frames) = (true, 0);
        while more {
            frame(&mut |context| more = letters.draw_some(context, Instant::now()));
            frames += 1;
            assert!(frames < 5000);
        }
        for font in theme::text_fonts() {
            let mut job = LayoutJob::default();
            for shift in 0..24 {
                // No brackets at digits: the font has others for these.
                let text = "The Quick Brown Fox, 9.5 %, jumps!\n";
                job.append(text, shift as f32 / 24.0, TextFormat::simple(font.clone(), Color32::WHITE));
            }
            let changed = frame(&mut |context| drop(context.fonts_mut(|fonts| fonts.layout_job(job.clone()))));
            assert_eq!(changed, 0, "{font:?}");
        }
        // Where a frame has taken long already it is not made longer.
        let mut late = Letters::default();
        frame(&mut |context| assert!(late.draw_some(context, Instant::now() - Duration::from_secs(1))));
        assert_eq!(late.next, 0);
    }
}
