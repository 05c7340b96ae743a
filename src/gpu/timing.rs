//! GPU time of each dispatch from time stamps, for `foveal bench --profile`.

use super::device::Share;
use super::{Gpu, Readback};
use crate::error::Result;

/// Time that dispatches of one kernel took together.
#[derive(Debug, Clone)]
pub struct OpTime {
    /// The kernel's label.
    pub label: String,
    /// How many dispatches.
    pub count: usize,
    /// Their sum in microseconds.
    pub microseconds: f64,
}

/// Dispatches of one pass that can be timed; a query set holds at most 4096 stamps.
pub(super) const MOST_DISPATCHES: usize = 2047;

/// A query set with the buffers that bring its stamps back.
pub(super) struct Stamps {
    pub(super) queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    _share: Share,
    readback: Readback,
}

impl Stamps {
    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        let count = MOST_DISPATCHES as u32 + 1;
        let queries = gpu.scoped("time stamps", || {
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("time stamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            })
        })?;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let (resolved, share) = gpu.buffer("time stamps", u64::from(count) * 8, usage)?;
        Ok(Self {
            queries,
            resolved,
            _share: share,
            readback: Readback::new(gpu, "time stamps", u64::from(count) * 8)?,
        })
    }

    /// Appends the copies after the pass.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, dispatches: usize) {
        let count = dispatches as u32 + 1;
        encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readback.buffer, 0, u64::from(count) * 8);
    }

    /// Microseconds between neighbouring stamps.
    pub(super) fn read(&mut self, gpu: &Gpu, dispatches: usize) -> Result<Vec<f64>> {
        self.readback.request();
        let bytes = self.readback.wait(gpu)?;
        let period = f64::from(gpu.queue.get_timestamp_period());
        let stamps: Vec<u64> = bytes
            .chunks_exact(8)
            .take(dispatches + 1)
            .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .collect();
        Ok(stamps.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period / 1000.0).collect())
    }
}
