//! What an adapter must offer: the limits of WebGPU that the kernels count on. Every conforming adapter has them.

use crate::error::{Error, Result};

/// Fails, naming the limit, for an adapter that offers less.
pub(super) fn check(adapter: &str, has: &wgpu::Limits) -> Result<()> {
    let needs = wgpu::Limits::default();
    let at_least = [
        ("storage buffer binding size", needs.max_storage_buffer_binding_size, has.max_storage_buffer_binding_size),
        ("buffer size", needs.max_buffer_size, has.max_buffer_size),
        ("uniform buffer binding size", needs.max_uniform_buffer_binding_size, has.max_uniform_buffer_binding_size),
    ];
    let small = |name, needs: u32, has: u32| (name, u64::from(needs), u64::from(has));
    let at_least = at_least.into_iter().chain([
        small("bindings per group", needs.max_bindings_per_bind_group, has.max_bindings_per_bind_group),
        small(
            "storage buffers per shader",
            needs.max_storage_buffers_per_shader_stage,
            has.max_storage_buffers_per_shader_stage,
        ),
        small("workgroup memory", needs.max_compute_workgroup_storage_size, has.max_compute_workgroup_storage_size),
        small(
            "invocations per workgroup",
            needs.max_compute_invocations_per_workgroup,
            has.max_compute_invocations_per_workgroup,
        ),
        small("workgroup size", needs.max_compute_workgroup_size_x, has.max_compute_workgroup_size_x),
        small(
            "workgroups per dimension",
            needs.max_compute_workgroups_per_dimension,
            has.max_compute_workgroups_per_dimension,
        ),
    ]);
    for (limit, needs, has) in at_least {
        if has < needs {
            return Err(too_small(adapter, limit, needs, has));
        }
    }
    let (needs, has) = (needs.min_storage_buffer_offset_alignment, has.min_storage_buffer_offset_alignment);
    if has > needs {
        return Err(too_small(adapter, "alignment of storage buffer offsets", needs.into(), has.into()));
    }
    Ok(())
}

fn too_small(adapter: &str, limit: &str, needs: u64, has: u64) -> Error {
    Error::NoAdapter {
        found: format!("\"{adapter}\" offers less than WebGPU guarantees: {limit} is {has}, expected {needs}"),
        advice: "Update the graphics driver, or choose another device (`foveal devices`, `--device cpu`)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_webgpu_guarantees_is_refused_by_name() {
        let enough = wgpu::Limits::default();
        check("card", &enough).unwrap();
        let refusal = |limits: wgpu::Limits| check("old card", &limits).unwrap_err().to_string();
        let memory = refusal(wgpu::Limits { max_compute_workgroup_storage_size: 16383, ..enough.clone() });
        assert!(
            memory.contains("old card") && memory.contains("workgroup memory is 16383, expected 16384"),
            "{memory}"
        );
        let binding = refusal(wgpu::Limits { max_storage_buffer_binding_size: (128 << 20) - 1, ..enough.clone() });
        assert!(binding.contains("storage buffer binding size is 134217727"), "{binding}");
        let buffers = refusal(wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..enough.clone() });
        assert!(buffers.contains("storage buffers per shader is 4, expected 8"), "{buffers}");
        let alignment = refusal(wgpu::Limits { min_storage_buffer_offset_alignment: 512, ..enough.clone() });
        assert!(alignment.contains("offsets is 512, expected 256"), "{alignment}");
        // What the kernels do not use may be missing.
        check("card", &wgpu::Limits { max_texture_dimension_2d: 0, ..enough }).unwrap();
    }
}
