//! How ops make a model: configuration, weights on the device, and the forward pass from tokens to logits.

mod activations;
pub mod attention_mode;
pub mod config;
mod decode;
mod forward;
mod linear;
mod load;
pub(crate) mod names;
mod numbers;
pub mod plan;
pub mod random;
pub mod rope;
mod scratch;
mod sparse;
mod tuning;

pub use attention_mode::{Attention, Mode, SparseConfig, SparseOrigin};
pub use config::{Family, ModelConfig};
pub use forward::{Form, Model, Step};
pub use load::{LoadOptions, Progress, Stage};
pub use plan::{MemoryPlan, available_memory};

pub(crate) use linear::{Source, SourceList};
