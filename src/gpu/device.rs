//! One device and its queue: opening, memory, and where the driver's late complaints are collected.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::choices::Choices;
use super::faults::{Fault, FaultPoint, Faults};
use super::pipeline_cache::DiskCache;
use super::{Element, Feature, Features, Tensor, adapter, limits};
use crate::error::{Error, Result};

/// Which device to open, and how.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// Number or part of the name; `None` takes the best one.
    pub device: Option<String>,
    /// Optional features to leave unused.
    pub without: BTreeSet<Feature>,
    /// Folder for compiled pipelines; `None` keeps them in memory only.
    pub cache_folder: Option<PathBuf>,
    /// Only what WebGPU guarantees everywhere: 16 KiB of workgroup memory, bindings of 128 MiB.
    pub guaranteed_limits: bool,
    /// Folder for a copy of the first dispatch of each kernel, with all it reads and writes; `None` copies nothing.
    pub capture: Option<PathBuf>,
    /// Faults to inject; none.
    pub faults: Faults,
}

/// An open device. Cheap to share behind an `Arc`; used by one thread at a time except for compiling.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// The optional abilities in use.
    pub features: Features,
    /// What the adapter says of itself.
    pub adapter: adapter::AdapterSummary,
    /// How it was opened, to open it again.
    pub options: GpuOptions,
    pub(super) limits: wgpu::Limits,
    pub(super) disk_cache: DiskCache,
    choices: Choices,
    complaints: Arc<Complaints>,
    next_id: AtomicU64,
    allocated: Arc<AtomicU64>,
}

/// The share of a buffer in [`Gpu::allocated_bytes`], given back when its last owner drops it.
#[derive(Debug)]
pub(super) struct Share {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the driver reported outside any error scope.
#[derive(Default)]
struct Complaints {
    raised: AtomicBool,
    lost: AtomicBool,
    first: Mutex<Option<Error>>,
}

impl Complaints {
    fn add(&self, error: Error) {
        let lost = matches!(error, Error::DeviceLost { .. });
        if let Ok(mut first) = self.first.lock() {
            // A lost device is the cause of whatever else was reported before it was noticed.
            if first.is_none() || lost {
                *first = Some(error);
            }
        }
        self.lost.fetch_or(lost, Ordering::Release);
        self.raised.store(true, Ordering::Release);
    }
}

pub(super) fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // OpenGL would be started too, complain on standard error where there is no display, and never be used.
    descriptor.backends = adapter::BACKENDS;
    // Validation of indirect calls triples their cost and we make none; the rest only checks our own shaders,
    // which the tests validate.
    descriptor.flags =
        if cfg!(debug_assertions) { wgpu::InstanceFlags::default() } else { wgpu::InstanceFlags::empty() };
    wgpu::Instance::new(descriptor)
}

impl Gpu {
    /// Opens the adapter that `options` names with all it offers.
    pub fn open(options: &GpuOptions) -> Result<Self> {
        let started = Instant::now();
        let instance = instance();
        let adapter = adapter::choose(&instance, options.device.as_deref())?;
        let features = Features::of(&adapter, &options.without);
        let limits = if options.guaranteed_limits { wgpu::Limits::default() } else { adapter.limits() };
        let summary = adapter::summary(0, &adapter);
        limits::check(&summary.name, &adapter.limits())?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("foveal engine"),
            required_features: features.request(),
            required_limits: limits.clone(),
            experimental_features: experimental(&features),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::gpu(format!("opening \"{}\"", summary.name), error))?;
        let complaints = Arc::new(Complaints::default());
        let heard = Arc::clone(&complaints);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| heard.add(from_wgpu("a step", &error))));
        let heard = Arc::clone(&complaints);
        device.set_device_lost_callback(move |reason, message| {
            let detail = if message.is_empty() { format!("{reason:?}") } else { message };
            heard.add(Error::DeviceLost { detail });
        });
        let disk_cache = DiskCache::open(&device, &features, &summary, options.cache_folder.as_deref());
        tracing::info!("\"{}\" opened in {:.0} ms", summary.name, started.elapsed().as_secs_f64() * 1e3);
        let choices = Choices::open(&summary, options.cache_folder.as_deref());
        Ok(Self {
            device,
            queue,
            features,
            adapter: summary,
            options: options.clone(),
            limits,
            disk_cache,
            choices,
            complaints,
            next_id: AtomicU64::new(0),
            allocated: Arc::default(),
        })
    }

    /// The first thing the driver reported since the last call, as an error. A lost device is reported every time.
    pub fn check(&self) -> Result<()> {
        if !self.complaints.raised.swap(false, Ordering::AcqRel) && !self.is_lost() {
            return Ok(());
        }
        let first = self.complaints.first.lock().ok().and_then(|mut first| first.take());
        match first {
            Some(error) => Err(self.cause_of(error)),
            None if self.is_lost() => Err(Error::DeviceLost { detail: "it was lost before".into() }),
            None => Ok(()),
        }
    }

    /// Whether the driver has said that the device is gone.
    pub fn is_lost(&self) -> bool {
        self.complaints.lost.load(Ordering::Acquire)
    }

    /// `error`, or the loss of the device where that lies behind it: what was made on a lost device is refused later as
    /// invalid, and the driver may not have had the time to say why.
    pub(super) fn cause_of(&self, error: Error) -> Error {
        if matches!(error, Error::DeviceLost { .. }) {
            return error;
        }
        // Only polling delivers the news.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        if self.is_lost() { Error::DeviceLost { detail: error.to_string() } } else { error }
    }

    /// Does what the list of faults orders for `point`. The fault is left to the caller where it concerns this step alone.
    pub(super) fn pass(&self, point: FaultPoint) -> Option<Fault> {
        let fault = self.options.faults.pass(point);
        match fault {
            Some(Fault::Lose) => self.device.destroy(),
            Some(Fault::Complain) => self.complaints.add(Error::gpu("a step", "an injected complaint")),
            Some(Fault::Refuse | Fault::Panic) | None => {}
        }
        fault
    }

    /// Keeps the pipelines compiled so far on disk, where the backend can. Call once a model is loaded.
    pub fn save_pipelines(&self) {
        self.disk_cache.save();
    }

    /// Whether what is found out by measuring is kept for the next start.
    pub fn keeps_choices(&self) -> bool {
        self.choices.are_kept()
    }

    /// What was chosen under this name on this adapter.
    pub fn choice(&self, name: &str) -> Option<String> {
        self.choices.get(name)
    }

    /// Keeps what was chosen.
    pub fn choose(&self, name: &str, choice: &str) {
        self.choices.set(name, choice);
    }

    /// Bytes in all buffers that are alive.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// Largest number of bytes that one binding may show a kernel.
    pub fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// Lanes that one workgroup may have. What is captured is to run elsewhere too: no more than every device has.
    pub fn max_workgroup_lanes(&self) -> u32 {
        const EVERYWHERE: u32 = 256;
        let own = self.limits.max_compute_invocations_per_workgroup.min(self.limits.max_compute_workgroup_size_x);
        if self.options.capture.is_some() { own.min(EVERYWHERE) } else { own }
    }

    /// Bytes of memory that one workgroup may share.
    pub fn max_workgroup_bytes(&self) -> u32 {
        self.limits.max_compute_workgroup_storage_size
    }

    /// Zeroed memory.
    pub fn tensor(&self, label: impl Into<String>, shape: &[usize], element: Element) -> Result<Tensor> {
        let label = label.into();
        let count = shape.iter().try_fold(element.bytes(), |bytes, n| bytes.checked_mul(*n));
        let bytes =
            count.ok_or_else(|| Error::shape(&label, "a size that can be counted", format!("{shape:?}")))? as u64;
        if bytes > self.max_binding_bytes() {
            return Err(Error::Memory {
                what: format!("\"{label}\""),
                needed_mib: bytes.div_ceil(1 << 20),
                adapter: self.adapter.name.clone(),
                allowed_mib: self.max_binding_bytes() >> 20,
                advice: "Use a smaller --context, or another device".into(),
            });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        // Kernels read whole 16-byte vectors.
        let (buffer, share) = self.buffer(&label, bytes.next_multiple_of(16).max(16), usage)?;
        let (share, id, shape) = (Arc::new(share), self.next_id(), shape.to_vec());
        Ok(Tensor { buffer, share, id, offset: 0, label, shape, element })
    }

    /// A buffer with its share of the memory in use. Every buffer is made here.
    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<(wgpu::Buffer, Share)> {
        let refused = self.pass(FaultPoint::Allocate) == Some(Fault::Refuse);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let made = self.in_scopes(|| self.device.create_buffer(&descriptor));
        let buffer = match made {
            _ if refused => return Err(self.out_of_memory(label, size)),
            Ok(buffer) => buffer,
            Err(wgpu::Error::OutOfMemory { .. }) => return Err(self.out_of_memory(label, size)),
            Err(error) => return Err(self.cause_of(from_wgpu(label, &error))),
        };
        self.allocated.fetch_add(size, Ordering::Relaxed);
        Ok((buffer, Share { bytes: size, all: Arc::clone(&self.allocated) }))
    }

    fn out_of_memory(&self, label: &str, size: u64) -> Error {
        let used = self.allocated_bytes();
        Error::Memory {
            what: format!("what was made so far with \"{label}\" ({} MiB)", size.div_ceil(1 << 20)),
            needed_mib: (used + size).div_ceil(1 << 20),
            adapter: self.adapter.name.clone(),
            allowed_mib: used >> 20,
            advice: "The driver has no memory left for it: use a smaller --context or --quantize q4, or close other \
                     programs"
                .into(),
        }
    }

    /// Memory filled with `data`, whose length must be that of the shape.
    pub fn upload<T: bytemuck::Pod>(
        &self,
        label: impl Into<String>,
        shape: &[usize],
        element: Element,
        data: &[T],
    ) -> Result<Tensor> {
        let tensor = self.tensor(label, shape, element)?;
        if std::mem::size_of_val(data) as u64 != tensor.bytes() {
            let found = format!("{} bytes", std::mem::size_of_val(data));
            return Err(Error::shape(&tensor.label, format!("{} bytes", tensor.bytes()), found));
        }
        self.write(&tensor, 0, data)?;
        Ok(tensor)
    }

    /// Overwrites from element `first` on, in order with the submits. The bytes must come to whole words.
    pub fn write<T: bytemuck::Pod>(&self, tensor: &Tensor, first: usize, data: &[T]) -> Result<()> {
        self.pass(FaultPoint::Write);
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let offset = (first * tensor.element.bytes()) as u64;
        let whole = offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        if !whole || offset + bytes.len() as u64 > tensor.bytes() {
            return Err(Error::shape(
                format!("write to \"{}\"", tensor.label),
                format!("whole words within {} bytes", tensor.bytes()),
                format!("{} bytes at {offset}", bytes.len()),
            ));
        }
        if bytes.len().is_multiple_of(4) {
            self.queue.write_buffer(&tensor.buffer, tensor.offset + offset, bytes);
        } else {
            // The buffer is a multiple of 16 bytes long, so the padding of an odd f16 tail has room.
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().next_multiple_of(4), 0);
            self.queue.write_buffer(&tensor.buffer, tensor.offset + offset, &padded);
        }
        self.check()
    }

    /// Hands pending writes to the driver, so that staging memory can be used again.
    pub fn flush_writes(&self) -> Result<()> {
        self.queue.submit([]);
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| self.cause_of(Error::gpu("upload", error)))?;
        self.check()
    }

    /// Runs `make` and turns what the driver says about it into an error. Safe on several threads.
    pub(super) fn scoped<T>(&self, what: &str, make: impl FnOnce() -> T) -> Result<T> {
        self.in_scopes(make).map_err(|error| self.cause_of(from_wgpu(what, &error)))
    }

    fn in_scopes<T>(&self, make: impl FnOnce() -> T) -> std::result::Result<T, wgpu::Error> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        let errors = [
            pollster::block_on(memory.pop()),
            pollster::block_on(validation.pop()),
            pollster::block_on(internal.pop()),
        ];
        match errors.into_iter().flatten().next() {
            Some(error) => Err(error),
            None => Ok(made),
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

fn from_wgpu(what: &str, error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::Gpu {
            what: what.into(),
            detail: "the device has no memory left for it".into(),
            advice: "Use a smaller --context or --quantize q4, or close other programs".into(),
        },
        other => Error::gpu(what, other),
    }
}

#[expect(unsafe_code, reason = "wgpu marks cooperative matrices as experimental")]
fn experimental(features: &Features) -> wgpu::ExperimentalFeatures {
    if features.coop.is_some() {
        // SAFETY: the token only acknowledges that the feature may have bugs; every kernel that uses it is compiled
        // inside an error scope and has a plain twin.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    }
}
