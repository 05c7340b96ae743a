//! Collects the dispatches of a step and hands them to the driver: one compute pass per submit, bind groups cached,
//! submits cut so that none runs longer than the time budget.
//!
//! Parameters of a dispatch travel in one uniform buffer with dynamic offsets. It is written once per submit, costs the
//! same as immediates on the devices measured, and exists on every backend.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::device::Share;
use super::timing::{MOST_DISPATCHES, OpTime, Stamps};
use super::{FaultPoint, Gpu, Kernel, Readback, Tensor};
use crate::error::{Error, Result};

/// Bytes of parameters one submit may carry.
const ARENA_BYTES: u64 = 1 << 20;
/// Bytes of one dispatch's parameters that the layout shows to a kernel.
const PARAMETER_BYTES: u64 = 64;
/// Submits that may wait at the driver: enough to keep the device busy while the next is encoded.
const IN_FLIGHT: usize = 2;

/// One binding: the whole tensor, or the part of it that starts at a 256-byte aligned byte.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) offset: u64,
}

impl<'a> From<&'a Tensor> for Binding<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self { tensor, offset: tensor.offset }
    }
}

impl<'a> Binding<'a> {
    /// `tensor` from byte `offset` on.
    pub fn at(tensor: &'a Tensor, offset: u64) -> Self {
        Self { tensor, offset: tensor.offset + offset }
    }
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    parameters: u32,
    size: [u32; 3],
    label: String,
}

struct Copy {
    from: wgpu::Buffer,
    from_offset: u64,
    to: wgpu::Buffer,
    to_offset: u64,
    bytes: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct GroupKey {
    kernel: u64,
    tensors: Vec<(u64, u64)>,
}

struct Submitted {
    index: wgpu::SubmissionIndex,
    at: Instant,
    work: u64,
}

/// A step that is encoded and waits to be submitted.
struct Ahead {
    commands: wgpu::CommandBuffer,
    parameters: Vec<u8>,
    work: u64,
}

/// Records one step after another. Owned by whoever runs steps; dropping it frees the cached bind groups.
pub struct Recorder {
    dispatches: Vec<Dispatch>,
    copies: Vec<Copy>,
    parameters: Vec<u8>,
    arena: wgpu::Buffer,
    _share: Share,
    stride: u64,
    groups: HashMap<GroupKey, wgpu::BindGroup>,
    work: u64,
    budget: Duration,
    /// Work units per second, learned from finished submits.
    rate: f64,
    ahead: Option<Ahead>,
    /// While a step is encoded ahead: whether it still fits in one submit.
    whole: Option<bool>,
    in_flight: VecDeque<Submitted>,
    last_done: Instant,
    longest: Duration,
    /// Work of the largest dispatch since it was last asked for.
    largest: u64,
    stamps: Option<Stamps>,
    times: Vec<OpTime>,
}

/// Workgroups for `count` items in one row of the grid, or several rows where one may not hold them.
/// A kernel finds its item as `group.x + group.y * groups.x` and leaves out those past `count`.
pub fn grid(count: usize) -> [u32; 3] {
    const ROW: usize = 65_535;
    if count <= ROW { [count as u32, 1, 1] } else { [ROW as u32, count.div_ceil(ROW) as u32, 1] }
}

impl Recorder {
    /// What it takes of the device's memory.
    pub const BYTES: u64 = ARENA_BYTES;

    /// Submits are cut so that each is expected to run no longer than `budget`.
    pub fn new(gpu: &Gpu, budget: Duration) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let (arena, share) = gpu.buffer("parameters", ARENA_BYTES, usage)?;
        Ok(Self {
            dispatches: Vec::new(),
            copies: Vec::new(),
            parameters: Vec::new(),
            arena,
            _share: share,
            stride: u64::from(gpu.limits.min_uniform_buffer_offset_alignment).max(PARAMETER_BYTES),
            groups: HashMap::new(),
            work: 0,
            budget,
            // A careful first guess, in multiply-adds per second; the first submits correct it.
            rate: if gpu.adapter.software { 5e8 } else { 5e11 },
            ahead: None,
            whole: None,
            in_flight: VecDeque::new(),
            last_done: Instant::now(),
            longest: Duration::ZERO,
            largest: 0,
            stamps: None,
            times: Vec::new(),
        })
    }

    /// Times every dispatch from now on (slower: each submit is waited for). Needs the timestamp feature.
    pub fn profile(&mut self, gpu: &Gpu) -> Result<()> {
        if !gpu.features.timestamp {
            return Err(Error::Usage {
                what: "--profile".into(),
                expected: "an adapter with time stamps".into(),
                found: gpu.adapter.name.clone(),
            });
        }
        self.stamps = Some(Stamps::new(gpu)?);
        Ok(())
    }

    /// Times by kernel since [`Recorder::profile`], and starts over.
    pub fn take_times(&mut self) -> Vec<OpTime> {
        std::mem::take(&mut self.times)
    }

    /// The longest that one submit has taken since the last call, as seen from here.
    pub fn take_longest_submit(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    /// Changes the time that one submit may take.
    pub fn set_budget(&mut self, budget: Duration) {
        self.budget = budget;
    }

    /// Time that one submit may take.
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// Seconds that so much work takes at the speed seen so far, and before anything was seen by a careful guess.
    pub fn seconds_of(&self, work: u64) -> f64 {
        work as f64 / self.rate
    }

    /// Seconds that the largest dispatch since the last call takes at the speed seen so far.
    pub fn take_longest_dispatch(&mut self) -> f64 {
        let largest = std::mem::take(&mut self.largest);
        self.seconds_of(largest)
    }

    /// Appends one dispatch. `tensors` in the order of the kernel's binding numbers without the uniform;
    /// `work` in multiply-adds, for cutting submits.
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        gpu: &Gpu,
        kernel: &Kernel,
        tensors: &[Binding<'_>],
        parameters: &P,
        size: [u32; 3],
        work: u64,
    ) -> Result<()> {
        if size.contains(&0) {
            return Ok(());
        }
        if let Some(too_many) = size.iter().find(|n| **n > 65_535) {
            return Err(Error::shape(format!("grid of {}", kernel.label), "at most 65535 each way", too_many));
        }
        let full = (self.dispatches.len() as u64 + 1) * self.stride > ARENA_BYTES
            || (self.stamps.is_some() && self.dispatches.len() == MOST_DISPATCHES);
        let long = (self.work + work) as f64 > self.rate * self.budget.as_secs_f64();
        if !self.dispatches.is_empty() && (full || long) {
            match &mut self.whole {
                Some(whole) => *whole = false,
                None => self.submit(gpu)?,
            }
        }
        let group = self.group(gpu, kernel, tensors)?;
        let bytes = bytemuck::bytes_of(parameters);
        if bytes.len() as u64 > PARAMETER_BYTES {
            return Err(Error::shape(format!("parameters of {}", kernel.label), "at most 64 bytes", bytes.len()));
        }
        gpu.pass(FaultPoint::Dispatch);
        let capture = Capture::begin(gpu, self, kernel, tensors, (bytes, size))?;
        let offset = self.dispatches.len() as u64 * self.stride;
        self.parameters.resize(offset as usize, 0);
        self.parameters.extend_from_slice(bytes);
        self.dispatches.push(Dispatch {
            pipeline: kernel.pipeline.clone(),
            group,
            parameters: offset as u32,
            size,
            label: if self.stamps.is_some() { kernel.label.clone() } else { String::new() },
        });
        self.work += work;
        self.largest = self.largest.max(work);
        match capture {
            Some(capture) => capture.finish(gpu, self, tensors),
            None => Ok(()),
        }
    }

    /// Copies `bytes` from byte `from` of `tensor` to byte `to` of the read-back, after this submit's dispatches.
    pub fn copy_out(&mut self, tensor: &Tensor, from: u64, bytes: u64, to: u64, readback: &Readback) -> Result<()> {
        let from = tensor.offset + from;
        if from + bytes > tensor.buffer.size() || to + bytes > readback.bytes() {
            return Err(Error::shape(format!("copy of \"{}\"", tensor.label), "a range inside both buffers", bytes));
        }
        self.copies.push(Copy {
            from: tensor.buffer.clone(),
            from_offset: from,
            to: readback.buffer.clone(),
            to_offset: to,
            bytes,
        });
        Ok(())
    }

    /// Hands what was recorded to the driver. Waits only for the submit before the last, so the device stays busy.
    pub fn submit(&mut self, gpu: &Gpu) -> Result<()> {
        if self.dispatches.is_empty() && self.copies.is_empty() {
            return gpu.check();
        }
        let step = self.encode(gpu);
        let mut done = self.hand_over(gpu, step);
        if done.is_ok() && self.stamps.is_some() {
            done = self.collect_times(gpu);
        }
        // After an error too: what is left here would run once more, before the next step.
        self.clear();
        done?;
        gpu.check()
    }

    /// Encodes what `record` records, and keeps it for [`Recorder::submit_ahead`]: encoding a step of some hundred dispatches
    /// takes most of a millisecond, in which the device is busy with the step before. Keeps nothing where the step would
    /// have to be cut, or is watched.
    pub fn encode_ahead(&mut self, gpu: &Gpu, record: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.ahead = None;
        if self.stamps.is_some() || gpu.options.capture.is_some() {
            return Ok(());
        }
        self.submit(gpu)?;
        self.whole = Some(true);
        let recorded = record(self);
        if self.whole.take() == Some(true) && recorded.is_ok() {
            self.ahead = Some(self.encode(gpu));
        }
        self.clear();
        recorded
    }

    /// Submits what was encoded ahead; false if there is nothing.
    pub fn submit_ahead(&mut self, gpu: &Gpu) -> Result<bool> {
        let Some(step) = self.ahead.take() else { return Ok(false) };
        self.submit(gpu)?;
        self.hand_over(gpu, step)?;
        gpu.check()?;
        Ok(true)
    }

    fn encode(&mut self, gpu: &Gpu) -> Ahead {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        self.encode_pass(&mut encoder);
        for copy in &self.copies {
            encoder.copy_buffer_to_buffer(&copy.from, copy.from_offset, &copy.to, copy.to_offset, copy.bytes);
        }
        let mut parameters = std::mem::take(&mut self.parameters);
        parameters.resize(self.dispatches.len() * self.stride as usize, 0);
        Ahead { commands: encoder.finish(), parameters, work: self.work }
    }

    fn hand_over(&mut self, gpu: &Gpu, step: Ahead) -> Result<()> {
        while self.in_flight.len() >= IN_FLIGHT {
            self.wait_oldest(gpu)?;
        }
        if !step.parameters.is_empty() {
            gpu.queue.write_buffer(&self.arena, 0, &step.parameters);
        }
        gpu.pass(FaultPoint::Submit);
        let index = gpu.queue.submit([step.commands]);
        self.in_flight.push_back(Submitted { index, at: Instant::now(), work: step.work });
        Ok(())
    }

    /// Forgets what was recorded or encoded and not submitted.
    pub fn forget(&mut self) {
        self.ahead = None;
        self.clear();
    }

    fn clear(&mut self) {
        self.dispatches.clear();
        self.copies.clear();
        self.parameters.clear();
        self.work = 0;
    }

    /// Submits and waits until the device has done everything.
    pub fn finish(&mut self, gpu: &Gpu) -> Result<()> {
        self.submit(gpu)?;
        while !self.in_flight.is_empty() {
            self.wait_oldest(gpu)?;
        }
        Ok(())
    }

    /// Submits, waits, and returns the content of `tensor`. For tests and small results.
    pub fn read<T: bytemuck::AnyBitPattern>(&mut self, gpu: &Gpu, tensor: &Tensor) -> Result<Vec<T>> {
        let bytes = tensor.bytes().next_multiple_of(4);
        let mut readback = Readback::new(gpu, "read", bytes)?;
        self.copy_out(tensor, 0, bytes, 0, &readback)?;
        self.submit(gpu)?;
        readback.request();
        let content = readback.wait(gpu)?;
        self.finish(gpu)?;
        let used = &content[..tensor.bytes() as usize];
        let size = size_of::<T>();
        Ok(used.chunks_exact(size).map(bytemuck::pod_read_unaligned).collect())
    }

    fn encode_pass(&self, encoder: &mut wgpu::CommandEncoder) {
        if self.dispatches.is_empty() {
            return;
        }
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (number, dispatch) in self.dispatches.iter().enumerate() {
                if let Some(stamps) = &self.stamps {
                    pass.write_timestamp(&stamps.queries, number as u32);
                }
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.group, &[dispatch.parameters]);
                let [x, y, z] = dispatch.size;
                pass.dispatch_workgroups(x, y, z);
            }
            if let Some(stamps) = &self.stamps {
                pass.write_timestamp(&stamps.queries, self.dispatches.len() as u32);
            }
        }
        if let Some(stamps) = &self.stamps {
            stamps.resolve(encoder, self.dispatches.len());
        }
    }

    fn collect_times(&mut self, gpu: &Gpu) -> Result<()> {
        let Some(stamps) = &mut self.stamps else { return Ok(()) };
        if self.dispatches.is_empty() {
            return Ok(());
        }
        let times = stamps.read(gpu, self.dispatches.len())?;
        for (dispatch, microseconds) in self.dispatches.iter().zip(times) {
            match self.times.iter_mut().find(|time| time.label == dispatch.label) {
                Some(time) => {
                    time.count += 1;
                    time.microseconds += microseconds;
                }
                None => self.times.push(OpTime { label: dispatch.label.clone(), count: 1, microseconds }),
            }
        }
        Ok(())
    }

    fn wait_oldest(&mut self, gpu: &Gpu) -> Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let wait = wgpu::PollType::Wait { submission_index: Some(oldest.index), timeout: None };
        gpu.device.poll(wait).map_err(|error| gpu.cause_of(Error::gpu("waiting for a step", error)))?;
        let now = Instant::now();
        let took = now - oldest.at.max(self.last_done);
        self.last_done = now;
        self.longest = self.longest.max(took);
        // Only submits that took measurable time say something about the device's speed.
        if oldest.work > 0 && took > Duration::from_micros(500) {
            let seen = oldest.work as f64 / took.as_secs_f64();
            self.rate = if seen < self.rate { seen } else { (self.rate * seen).sqrt() };
        }
        gpu.check()
    }

    fn group(&mut self, gpu: &Gpu, kernel: &Kernel, tensors: &[Binding<'_>]) -> Result<wgpu::BindGroup> {
        let key = GroupKey {
            kernel: kernel.id,
            tensors: tensors.iter().map(|binding| (binding.tensor.id, binding.offset)).collect(),
        };
        if let Some(group) = self.groups.get(&key) {
            return Ok(group.clone());
        }
        let storage: Vec<_> = kernel.bindings.iter().filter(|binding| !binding.uniform).collect();
        if storage.len() != tensors.len() {
            let names: Vec<_> = storage.iter().map(|binding| binding.name.as_str()).collect();
            let expected = format!("{} tensors ({})", storage.len(), names.join(", "));
            return Err(Error::shape(format!("bindings of {}", kernel.label), expected, tensors.len()));
        }
        let mut entries = Vec::with_capacity(kernel.bindings.len());
        for (declared, binding) in storage.iter().zip(tensors) {
            if !binding.tensor.element.readable_as(&declared.scalar) {
                return Err(Error::shape(
                    format!("{} of {}", declared.name, kernel.label),
                    format!("elements readable as {}", declared.scalar),
                    format!("{:?} (\"{}\")", binding.tensor.element, binding.tensor.label),
                ));
            }
            entries.push(wgpu::BindGroupEntry {
                binding: declared.index,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &binding.tensor.buffer,
                    offset: binding.offset,
                    size: None,
                }),
            });
        }
        if let Some(uniform) = kernel.bindings.iter().find(|binding| binding.uniform) {
            entries.push(wgpu::BindGroupEntry {
                binding: uniform.index,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &self.arena,
                    offset: 0,
                    size: std::num::NonZeroU64::new(PARAMETER_BYTES),
                }),
            });
        }
        let group = gpu.scoped(&kernel.label, || {
            gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&kernel.label),
                layout: &kernel.layout,
                entries: &entries,
            })
        })?;
        self.groups.insert(key, group.clone());
        Ok(group)
    }
}
