//! What a model will take on the device, before anything is uploaded.

use super::config::ModelConfig;
use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::gpu::adapter::AdapterSummary;
use crate::gpu::{Features, Gpu, Recorder};
use crate::kv_cache::KvCache;
use crate::ops::{CacheFormat, CacheTiles, Matmul};

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

    /// The plan for a device, with `chunk` or the longest chunk that suits it and fits. An error with the numbers and what
    /// would fit, where it cannot hold this.
    pub(super) fn for_device(
        gpu: &Gpu,
        config: &ModelConfig,
        weights: u64,
        cache: (CacheFormat, usize),
        chunk: Option<usize>,
    ) -> Result<Self> {
        let room = Room::of(gpu);
        let plan = match chunk {
            Some(chunk) => room.plan(config, weights, cache, chunk.max(1)),
            None => Self::with_fitting_chunk(&room, config, weights, cache),
        };
        plan.check(&room, config)?;
        Ok(plan)
    }

    fn with_fitting_chunk(room: &Room, config: &ModelConfig, weights: u64, cache: (CacheFormat, usize)) -> Self {
        let plan = |chunk| room.plan(config, weights, cache, chunk);
        let mut chunk = room.chunk.min(KvCache::capacity_for(cache.1));
        while chunk > LEAST_CHUNK && plan(chunk).shortage(room, config).is_some() {
            chunk = (chunk / 2).max(LEAST_CHUNK);
        }
        plan(chunk)
    }

    /// An error with the numbers and what would fit, unless there is room.
    fn check(&self, room: &Room, config: &ModelConfig) -> Result<()> {
        let Some(short) = self.shortage(room, config) else { return Ok(()) };
        let fits = |context, chunk| {
            let plan = room.plan(config, self.weights, (self.kv, context), chunk);
            plan.shortage(room, config).is_none()
        };
        let fitting = longest_fitting(self.context, |context| fits(context, self.chunk));
        let advice = if let Some(tokens) = fitting {
            format!("--context {tokens} would fit")
        } else if fits(self.context, LEAST_CHUNK) {
            "Use a smaller --chunk".to_owned()
        } else {
            "Use --quantize q4, a smaller model, or another device".to_owned()
        };
        Err(Error::Memory {
            what: format!("{} ({})", short.what, self.describe()),
            needed_mib: short.needed.div_ceil(1 << 20),
            adapter: room.adapter.clone(),
            allowed_mib: short.allowed >> 20,
            advice,
        })
    }

    /// What there is no room for: everything together, or a tensor that must be bound as a whole.
    fn shortage(&self, room: &Room, config: &ModelConfig) -> Option<Shortage> {
        let keys = KvCache::largest_tensor_bytes(config.heads, (self.kv, self.context));
        let activations = Scratch::largest_tensor_bytes(config, self.chunk, self.context);
        let needs = [
            ("the model", self.total(), room.available.unwrap_or(u64::MAX)),
            ("the keys of one layer", keys, room.binding),
            ("the largest tensor of a step", activations, room.binding),
        ];
        let short = needs.into_iter().find(|(_, needed, allowed)| needed > allowed);
        short.map(|(what, needed, allowed)| Shortage { what, needed, allowed })
    }
}

/// Shortest chunk that is chosen where memory is short: a shorter one saves little and takes many steps.
const LEAST_CHUNK: usize = 128;

/// What a device has room for.
struct Room {
    adapter: String,
    /// Bytes in all, where that can be known.
    available: Option<u64>,
    /// Bytes of one binding.
    binding: u64,
    /// Tokens of a step that suit it: enough to keep it busy, few enough for Stop to be answered soon.
    chunk: usize,
    /// Prompts are multiplied as integers, which take memory of their own.
    rounds: bool,
    /// Decide whether attention wants the cache as matrices.
    features: Features,
}

impl Room {
    fn of(gpu: &Gpu) -> Self {
        let chunk = match gpu.adapter.kind {
            "discrete GPU" => 2048,
            "software" => 256,
            _ => 512,
        };
        let available = available_memory(Some(&gpu.adapter));
        Self {
            adapter: gpu.adapter.name.clone(),
            available,
            binding: gpu.max_binding_bytes(),
            chunk,
            rounds: Matmul::rounds(gpu),
            features: gpu.features.clone(),
        }
    }

    /// As [`MemoryPlan::new`], with what this device needs beyond what every one does.
    fn plan(&self, config: &ModelConfig, weights: u64, cache: (CacheFormat, usize), chunk: usize) -> MemoryPlan {
        let mut plan = MemoryPlan::new(config, weights, cache, chunk);
        plan.scratch += if self.rounds { Scratch::rounded_bytes(config, chunk) } else { 0 };
        plan.scratch += CacheTiles::bytes(&self.features, config.heads, plan.capacity());
        plan
    }
}

/// More bytes needed than allowed.
struct Shortage {
    what: &'static str,
    needed: u64,
    allowed: u64,
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

/// The longest context below `context` that fits, in whole steps of 64; nothing where none of them does.
fn longest_fitting(context: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, context);
    while low + 64 < high {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low / 64 * 64).filter(|tokens| *tokens > 0)
}

/// An error with the numbers, unless weights, a cache of `context` positions and a step fit in main memory, for the twins.
pub(crate) fn check_main_memory(
    weights: u64,
    context: usize,
    bytes_per_position: u64,
    scratch: impl Fn(usize) -> u64,
) -> Result<()> {
    let available = available_memory(None).unwrap_or(u64::MAX);
    let cache = |context| bytes_per_position.saturating_mul(KvCache::capacity_for(context) as u64);
    let needed = |context| weights.saturating_add(cache(context)).saturating_add(scratch(context));
    if needed(context) <= available {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::Memory {
        what: format!(
            "the model (weights {} MiB, cache of {context} tokens {} MiB, scratch {} MiB)",
            mib(weights),
            mib(cache(context)),
            mib(scratch(context))
        ),
        needed_mib: mib(needed(context)),
        adapter: "the processor".into(),
        allowed_mib: available >> 20,
        advice: match longest_fitting(context, |context| needed(context) <= available) {
            None => "Use --quantize q4, or a smaller model".into(),
            Some(tokens) => format!("--context {tokens} would fit"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(kv_heads: usize) -> ModelConfig {
        ModelConfig::new(&json!({
            "model_type": "minicpm", "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": kv_heads,
            "num_hidden_layers": 24, "intermediate_size": 4096, "vocab_size": 4096, "scale_emb": 12,
            "scale_depth": 1.4, "dim_model_base": 256, "max_position_embeddings": 32768,
        }))
        .unwrap()
    }

    /// A card of its own, whose free memory nobody can ask for.
    fn card() -> Room {
        Room {
            adapter: "card".into(),
            available: None,
            binding: 128 << 20,
            chunk: 2048,
            rounds: false,
            features: Features::default(),
        }
    }

    fn plan(room: &Room, kv_heads: usize, context: usize) -> MemoryPlan {
        MemoryPlan::with_fitting_chunk(room, &config(kv_heads), 1 << 20, (CacheFormat::F16, context))
    }

    #[test]
    fn a_binding_that_is_too_small_is_told_with_its_own_numbers() {
        // 2 heads of 64 halves: 256 bytes a token, so 128 MiB are 524 288 tokens.
        plan(&card(), 2, 524_288).check(&card(), &config(2)).unwrap();
        let error = plan(&card(), 2, 600_000).check(&card(), &config(2)).unwrap_err();
        let Error::Memory { what, needed_mib, allowed_mib, advice, .. } = &error else { panic!("{error}") };
        assert!(what.contains("keys of one layer") && what.contains("cache of 600000 tokens"), "{error}");
        assert_eq!((*needed_mib, *allowed_mib), (147, 128), "{error}");
        let fitting: usize = advice.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        assert!((524_000..=524_288).contains(&fitting), "{error}");
        plan(&card(), 2, fitting).check(&card(), &config(2)).unwrap();
    }

    #[test]
    fn the_chunk_shrinks_until_everything_fits() {
        assert_eq!(plan(&card(), 2, 8192).chunk, 2048);
        assert_eq!(plan(&card(), 2, 200).chunk, 256, "no longer than the cache");
        // Scores: 16 heads by 2048 blocks by 4 bytes are 128 KiB a token. The keys fit exactly.
        let wide = MemoryPlan::with_fitting_chunk(&card(), &config(16), 1 << 20, (CacheFormat::Q8, 131_072));
        wide.check(&card(), &config(16)).unwrap();
        assert_eq!(wide.chunk, 1024);
        assert!(MemoryPlan { chunk: 2048, ..wide }.shortage(&card(), &config(16)).is_some());
        // Everything together.
        let whole = plan(&card(), 2, 8192);
        let small = Room { available: Some(whole.total() - 1), ..card() };
        let shrunk = plan(&small, 2, 8192);
        assert_eq!(shrunk.chunk, 1024);
        shrunk.check(&small, &config(2)).unwrap();
        let none = Room { available: Some(1 << 20), ..card() };
        assert_eq!(plan(&none, 2, 8192).chunk, LEAST_CHUNK);
        let error = plan(&none, 2, 8192).check(&none, &config(2)).unwrap_err().to_string();
        assert!(error.contains("card allows 1 MiB") && error.contains("--quantize q4"), "{error}");
        // A chunk that the user asks for is not changed.
        let asked = MemoryPlan::new(&config(2), 1 << 20, (CacheFormat::F16, 1024), 8192);
        let error = asked.check(&card(), &config(2)).unwrap_err().to_string();
        assert!(error.contains("largest tensor of a step") && error.contains("--chunk"), "{error}");
    }
}
