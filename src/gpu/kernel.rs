//! One compiled kernel: pipeline, layout, and what its bindings must be.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::ScopedJoinHandle;

use super::faults::Fault;
use super::shader::{self, Constant, Declared};
use super::{FaultPoint, Gpu};
use crate::error::{Error, Result};

/// What to compile.
#[derive(Debug, Clone)]
pub struct KernelSpec<'a> {
    /// Path under shaders/ without the ending: "rms_norm", "coop/matmul".
    pub name: &'a str,
    /// Entry point; the op's stages have names of their own.
    pub entry: &'a str,
    /// Constants written into the text.
    pub constants: &'a [(&'a str, Constant)],
    /// Variant of each slot that the host decides: `("weights", "q4")`. `reduce` is chosen from the device; `subgroup` becomes
    /// `barrier` where the driver fails at it.
    pub pieces: &'a [(&'a str, &'a str)],
}

/// A pipeline ready to dispatch.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) bindings: Vec<Declared>,
    pub(super) id: u64,
    pub(super) label: String,
    /// Text and entry point, where dispatches are captured.
    pub(super) source: Option<(String, String)>,
}

impl Kernel {
    /// Compiles one kernel, without subgroups where the driver fails at them. May be called on several threads.
    pub fn new(gpu: &Gpu, spec: &KernelSpec<'_>) -> Result<Self> {
        let text = assemble(gpu, spec, gpu.features.subgroup)?;
        let failed = match Self::from_text(gpu, spec, text.clone()) {
            Err(failed @ Error::Gpu { .. }) => failed,
            done => return done,
        };
        match assemble(gpu, spec, false) {
            Ok(plain) if plain != text => {
                tracing::warn!("{} is compiled without subgroups: {failed}", spec.name);
                Self::from_text(gpu, spec, plain)
            }
            _ => Err(failed),
        }
    }

    fn from_text(gpu: &Gpu, spec: &KernelSpec<'_>, mut text: String) -> Result<Self> {
        let bindings = shader::bindings(spec.name, &text)?;
        let label = if spec.entry == "main" { spec.name.to_owned() } else { format!("{}.{}", spec.name, spec.entry) };
        let fault = gpu.pass(FaultPoint::Compile);
        if fault == Some(Fault::Refuse) {
            text.push_str("\nan injected fault;");
        }
        // The compilers of wgpu and of the driver have been seen to panic; that is no reason to end the program.
        let guarded = || {
            catch_unwind(AssertUnwindSafe(|| {
                if fault == Some(Fault::Panic) {
                    resume_unwind(Box::new("an injected fault"));
                }
                compile(gpu, &label, spec.entry, &text, &bindings)
            }))
        };
        let (pipeline, layout) = gpu.scoped(&label, guarded)?.map_err(|panic| {
            let words = panic.downcast_ref::<&str>().map(ToString::to_string);
            let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
            Error::gpu(&label, format!("the shader compiler panicked: {}", words.as_deref().unwrap_or("no words")))
        })?;
        let source = gpu.options.capture.is_some().then(|| (text, spec.entry.to_owned()));
        Ok(Self { pipeline, layout, bindings, id: gpu.next_id(), label, source })
    }

    /// A faster variant that this driver may fail to compile: its plain twin serves then.
    pub fn optional(gpu: &Gpu, spec: &KernelSpec<'_>) -> Option<Self> {
        match Self::new(gpu, spec) {
            Ok(kernel) => Some(kernel),
            Err(error) => {
                tracing::warn!("{} is not used: {error}", spec.name);
                None
            }
        }
    }
}

/// What a thread compiled, whose panic is an error too.
pub(crate) fn compiled<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::gpu("compiling", "a compiler thread died")))
}

/// The whole text, its pieces with subgroups or in their plain forms.
fn assemble<'a>(gpu: &Gpu, spec: &KernelSpec<'a>, subgroup: bool) -> Result<String> {
    let form = if subgroup { "subgroup" } else { "barrier" };
    let form_of = |wanted: &'a str| if subgroup || wanted != "subgroup" { wanted } else { form };
    let mut pieces: Vec<_> = spec.pieces.iter().map(|(slot, wanted)| (*slot, form_of(wanted))).collect();
    pieces.push(("reduce", form));
    // Plain pieces do not ask for it.
    let constants: Vec<_> =
        spec.constants.iter().copied().filter(|(name, _)| subgroup || *name != "SUBGROUP").collect();
    let text = shader::assemble(spec.name, &constants, &pieces)?;
    if spec.name.starts_with("coop/") { coop_text(gpu, text) } else { Ok(text) }
}

/// Matrix types carry their size in the name, and the directives must stand first.
fn coop_text(gpu: &Gpu, text: String) -> Result<String> {
    let Some(shape) = gpu.features.coop else {
        return Err(Error::shape("cooperative kernel", "an adapter with cooperative matrices", "none"));
    };
    let size = shape.side();
    Ok(text.replace("coop_matMxM", &format!("coop_mat{size}x{size}")))
}

#[expect(unsafe_code, reason = "wgpu calls it unsafe to leave out the bounds checks")]
fn compile(
    gpu: &Gpu,
    label: &str,
    entry: &str,
    text: &str,
    bindings: &[Declared],
) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(text.into()) };
    // SAFETY: the text is ours alone; its indices are bounded by the shapes that every op checks before a dispatch,
    // and the tests run each kernel at odd sizes against its twin with the checks on as well.
    let module = unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
    let entries: Vec<_> = bindings.iter().map(layout_entry).collect();
    let layout =
        gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: gpu.disk_cache.cache.as_ref(),
    });
    (pipeline, layout)
}

fn layout_entry(binding: &Declared) -> wgpu::BindGroupLayoutEntry {
    let ty = if binding.uniform {
        wgpu::BufferBindingType::Uniform
    } else {
        wgpu::BufferBindingType::Storage { read_only: !binding.writes }
    };
    wgpu::BindGroupLayoutEntry {
        binding: binding.index,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: binding.uniform, min_binding_size: None },
        count: None,
    }
}
