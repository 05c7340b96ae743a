//! Small results back to the processor, without stopping the recorder.

use std::sync::mpsc;

use super::device::Share;
use super::{FaultPoint, Gpu};
use crate::error::{Error, Result};

/// A staging buffer that a step copies its results into.
pub struct Readback {
    pub(super) buffer: wgpu::Buffer,
    _share: Share,
    bytes: u64,
    mapped: Option<Answer>,
}

/// Says when the content is there.
type Answer = mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>;

impl Readback {
    /// Room for `bytes`.
    pub fn new(gpu: &Gpu, label: &str, bytes: u64) -> Result<Self> {
        let bytes = bytes.next_multiple_of(16).max(16);
        let (buffer, share) = gpu.buffer(label, bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        Ok(Self { buffer, _share: share, bytes, mapped: None })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Asks for the content once the submits so far are done. Call after the submit that fills it.
    pub fn request(&mut self) {
        let (sender, receiver) = mpsc::channel();
        self.buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only when the reader gave up.
            let _ = sender.send(result);
        });
        self.mapped = Some(receiver);
    }

    /// Waits for the content and copies it out. However that ends, the buffer can be filled again afterwards: one that stays
    /// mapped would spoil every later submit.
    pub fn wait(&mut self, gpu: &Gpu) -> Result<Vec<u8>> {
        gpu.pass(FaultPoint::Read);
        let receiver = self.mapped.take().ok_or_else(|| Error::shape("read-back", "a request before", "none"))?;
        let content = self.content(gpu, &receiver);
        self.buffer.unmap();
        gpu.check()?;
        content
    }

    fn content(&self, gpu: &Gpu, answer: &Answer) -> Result<Vec<u8>> {
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| {
            let error = Error::gpu("read-back", error);
            gpu.cause_of(error)
        })?;
        match answer.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(gpu.cause_of(Error::gpu("read-back", error))),
            Err(_) => return Err(Error::DeviceLost { detail: "the driver dropped a read-back".into() }),
        }
        let view = self.buffer.slice(..).get_mapped_range().map_err(|error| Error::gpu("read-back", error))?;
        Ok(view.to_vec())
    }
}
