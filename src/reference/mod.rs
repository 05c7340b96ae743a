//! CPU twin of each op, with the op's name: the plainest loop that is obviously right, rayon over rows, f32.
//!
//! Used by the tests, by `foveal selfcheck`, and to run small models where no adapter is. Never a speed path.

mod add_rms_norm;
mod rms_norm;

pub use add_rms_norm::add_rms_norm;
pub use rms_norm::rms_norm;
