//! The machine: adapters, one device, tensors, shader assembly, kernels, and the recorder that runs them.
//!
//! The only module that names wgpu. Everything above works with [`Tensor`], [`Kernel`] and [`Recorder`].

pub mod adapter;
mod capture;
mod choices;
mod device;
mod faults;
pub mod features;
mod kernel;
mod limits;
mod pipeline_cache;
mod readback;
mod recorder;
pub mod shader;
mod tensor;
mod timing;

pub use device::{Gpu, GpuOptions};
pub use faults::{FaultPoint, Faults};
pub use features::{CoopShape, Feature, Features};
pub(crate) use kernel::compiled;
pub use kernel::{Kernel, KernelSpec};
pub use readback::Readback;
pub use recorder::{Binding, Recorder, grid};
pub use tensor::{Element, Tensor};
pub use timing::OpTime;
