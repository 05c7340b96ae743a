//! What a model will take on the device, before anything is uploaded.

use super::config::ModelConfig;
use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kv_cache::KvCache;
use crate::ops::CacheFormat;

/// Bytes by purpose, for a context and a chunk size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights in their packed form.
    pub weights: u64,
    /// Keys and values of the whole context.
    pub kv_cache: u64,
    /// How those are stored.
    pub kv: CacheFormat,
    /// Activations of one chunk.
    pub scratch: u64,
    /// Positions of the context.
    pub context: usize,
    /// Tokens of the largest step.
    pub chunk: usize,
}

impl MemoryPlan {
    /// For weights of `weights` bytes.
    pub fn new(config: &ModelConfig, weights: u64, (kv, context): (CacheFormat, usize), chunk: usize) -> Self {
        Self {
            weights,
            kv_cache: KvCache::bytes(config.layers, config.heads, &config.sparse.settings, (kv, context)),
            kv,
            scratch: Scratch::bytes(config, chunk, context),
            context,
            chunk,
        }
    }

    /// Positions that the cache really gets: whole blocks.
    pub fn capacity(&self) -> usize {
        KvCache::capacity_for(self.context)
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.weights + self.kv_cache + self.scratch
    }

    /// The three numbers, for people.
    pub fn describe(&self) -> String {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        format!(
            "weights {} MiB, {} cache of {} tokens {} MiB, scratch {} MiB",
            mib(self.weights),
            self.kv,
            self.context,
            mib(self.kv_cache),
            mib(self.scratch)
        )
    }

    /// An error with the numbers and what would fit, unless the adapter can hold this.
    pub fn check(&self, gpu: &Gpu, config: &ModelConfig) -> Result<()> {
        let available = available_memory(gpu);
        let fits = |context: usize| {
            let plan = Self {
                kv_cache: KvCache::bytes(config.layers, config.heads, &config.sparse.settings, (self.kv, context)),
                ..*self
            };
            let largest = KvCache::largest_tensor_bytes(config.heads, (self.kv, context));
            plan.total() <= available && largest <= gpu.max_binding_bytes()
        };
        if fits(self.context) {
            return Ok(());
        }
        // The largest context that fits, by halving the interval.
        let (mut low, mut high) = (0, self.context);
        while low + 64 < high {
            let middle = (low + high) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        let allowed = available.min(if low == 0 { available } else { u64::MAX });
        let advice = if low >= 64 {
            format!("--context {} would fit", low / 64 * 64)
        } else {
            "Use --quantize q4, a smaller model, or another device".to_owned()
        };
        Err(Error::Memory {
            what: format!("the model ({})", self.describe()),
            needed_mib: self.total().div_ceil(1 << 20),
            adapter: gpu.adapter.name.clone(),
            allowed_mib: allowed >> 20,
            advice,
        })
    }
}

/// Bytes that may be used. Graphics interfaces do not tell how much memory is free; where the adapter shares the
/// computer's memory that is the limit, elsewhere an allocation that fails is reported when it happens.
fn available_memory(gpu: &Gpu) -> u64 {
    if !gpu.adapter.software && gpu.adapter.kind != "integrated GPU" {
        return u64::MAX;
    }
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    match system.available_memory() {
        0 => u64::MAX,
        bytes => bytes,
    }
}

/// The largest chunk that suits the adapter: long enough to keep it busy, short enough for its bindings and for Stop
/// to be answered soon.
pub fn choose_chunk(gpu: &Gpu, config: &ModelConfig, context: usize) -> usize {
    let wanted: u64 = match gpu.adapter.kind {
        "discrete GPU" => 2048,
        "software" => 256,
        _ => 512,
    };
    let fitting = gpu.max_binding_bytes() / Scratch::widest_row_bytes(config).max(1);
    (wanted.min(fitting).max(1) as usize).min(KvCache::capacity_for(context))
}
