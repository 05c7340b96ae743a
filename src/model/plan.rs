//! What a model will take on the device, before anything is uploaded.

use super::config::ModelConfig;
use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::gpu::adapter::AdapterSummary;
use crate::gpu::{Gpu, Recorder};
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
    /// Activations and parameters of one chunk.
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
            scratch: Scratch::bytes(config, chunk, context) + Recorder::BYTES,
            context,
            chunk,
        }
    }

    /// With what `gpu` needs beyond what every device does.
    pub(super) fn on(mut self, gpu: &Gpu, config: &ModelConfig) -> Self {
        self.scratch += Scratch::rounded_bytes(gpu, config, self.chunk);
        self
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
        let available = available_memory(Some(&gpu.adapter)).unwrap_or(u64::MAX);
        let fits = |context: usize| {
            let plan = Self::new(config, self.weights, (self.kv, context), self.chunk).on(gpu, config);
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

/// Bytes that may be used, where that can be known: of the processor (no adapter), and of adapters that share the
/// computer's memory. Graphics interfaces do not tell how much memory a card of its own has free; there an allocation
/// that fails is reported when it happens.
pub fn available_memory(adapter: Option<&AdapterSummary>) -> Option<u64> {
    let shared = adapter.is_none_or(|adapter| adapter.software || adapter.kind == "integrated GPU");
    let mut system = sysinfo::System::new();
    if shared {
        system.refresh_memory();
    }
    Some(system.available_memory()).filter(|bytes| shared && *bytes > 0)
}

/// An error with the numbers, unless weights and a cache of `context` positions fit in main memory, for the twins.
pub(crate) fn check_main_memory(weights: u64, context: usize, bytes_per_position: u64) -> Result<()> {
    let available = available_memory(None).unwrap_or(u64::MAX);
    let cache = bytes_per_position.saturating_mul(KvCache::capacity_for(context) as u64);
    let needed = weights.saturating_add(cache);
    if needed <= available {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let fitting = available.saturating_sub(weights) / bytes_per_position.max(1) / 64 * 64;
    Err(Error::Memory {
        what: format!("the model (weights {} MiB, cache of {context} tokens {} MiB)", mib(weights), mib(cache)),
        needed_mib: mib(needed),
        adapter: "the processor".into(),
        allowed_mib: available >> 20,
        advice: match fitting {
            0 => "Use --quantize q4, or a smaller model".into(),
            tokens => format!("--context {tokens} would fit"),
        },
    })
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
