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
    mapped: Option<mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>>,
}

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

    /// Waits for the content and copies it out.
    pub fn wait(&mut self, gpu: &Gpu) -> Result<Vec<u8>> {
        gpu.pass(FaultPoint::Read);
        let receiver = self.mapped.take().ok_or_else(|| Error::shape("read-back", "a request before", "none"))?;
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| {
            let error = Error::gpu("read-back", error);
            gpu.cause_of(error)
        })?;
        let answer = receiver.recv();
        gpu.check()?;
        match answer {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(gpu.cause_of(Error::gpu("read-back", error))),
            Err(_) => return Err(Error::DeviceLost { detail: "the driver dropped a read-back".into() }),
        }
        let content = {
            let view = self.buffer.slice(..).get_mapped_range().map_err(|error| Error::gpu("read-back", error))?;
            view.to_vec()
        };
        self.buffer.unmap();
        Ok(content)
    }
}
