//! Memory that is not there: every allocation refused once, a cache larger than the machine, and the plan against what is
//! really taken.

use std::sync::Arc;

use foveal::error::Error;
use foveal::gpu::{FaultPoint, Faults, Gpu, GpuOptions};
use foveal::model::{Attention, LoadOptions};
use foveal::ops::{CacheFormat, MatvecForm};
use foveal::selfcheck;
use foveal::session::Session;
use foveal::weights::Format;
use foveal::weights::quantize::Recipe;

use super::{folder, gpu_with, load, options, tokens};

#[test]
fn every_allocation_may_fail_and_the_device_stays_usable() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let context = tokens(40, 5);
    let feed = |session: &mut Session| session.feed(&context, &mut |_, _| Ok(())).unwrap();
    let wanted = feed(&mut load(&gpu, "minicpm_tied", &options()).unwrap());
    let all = counting.count(FaultPoint::Allocate);
    assert!(all > 40, "{all}");
    for time in 1..=all {
        let gpu = gpu_with(&format!("refuse:allocate:{time}").parse().unwrap()).unwrap();
        let error =
            load(&gpu, "minicpm_tied", &options()).err().unwrap_or_else(|| panic!("allocation {time} of {all}"));
        assert!(matches!(error, Error::Memory { needed_mib, .. } if needed_mib > 0), "{time}: {error}");
        assert!(error.to_string().contains("--context"), "{error}");
        assert_eq!(gpu.allocated_bytes(), 0, "allocation {time} left something behind");
        // A sample: loading is what takes the time here.
        if time % 16 == 1 {
            let smaller = LoadOptions { context: Some(256), ..options() };
            let mut session = load(&gpu, "minicpm_tied", &smaller).unwrap();
            assert_eq!(feed(&mut session), wanted, "after allocation {time} failed");
        }
    }
    eprintln!("{all} allocations refused, one after the other");
}

#[test]
fn an_allocation_may_fail_in_the_work_too() {
    /// So that chunks keep their length, which cooperative matrices make a difference of.
    const AMPLE: std::time::Duration = std::time::Duration::from_secs(5);
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let work = |session: &mut Session| {
        session.feed(&tokens(70, 5), &mut |_, _| Ok(()))?;
        Ok::<_, Error>((session.logits()?, session.score(&tokens(150, 6), &mut |_, _| Ok(()))?))
    };
    let mut session = load(&gpu, "minicpm_tied", &options()).unwrap();
    session.set_submit_budget(AMPLE);
    let loaded = counting.count(FaultPoint::Allocate);
    let wanted = work(&mut session).unwrap();
    let all = counting.count(FaultPoint::Allocate);
    let mut refused = 0;
    for time in loaded + 1..=all {
        let faults: Faults = format!("refuse:allocate:{time}").parse().unwrap();
        let mut session = load(&gpu_with(&faults).unwrap(), "minicpm_tied", &options()).unwrap();
        session.set_submit_budget(AMPLE);
        let mut errors = 0;
        // How often results are read may hang on the speed of the device: the time may come in the second attempt.
        for _ in 0..3 {
            match work(&mut session) {
                Ok(got) => assert!(got == wanted, "allocation {time} of {all}"),
                Err(error) => {
                    assert!(matches!(error, Error::Memory { needed_mib, .. } if needed_mib > 0), "{time}: {error}");
                    errors += 1;
                }
            }
        }
        assert!(errors <= 1, "allocation {time}: {errors} errors");
        refused += errors;
    }
    eprintln!("{refused} allocations refused in the work");
    assert!(refused >= 2, "{refused} of {}", all - loaded);
}

#[test]
fn a_kernel_that_does_not_compile_or_panics_the_compiler_is_an_error() {
    let counting = Faults::default();
    let Some(gpu) = gpu_with(&counting) else { return };
    let wanted = load(&gpu, "minicpm_tied", &options()).unwrap().feed(&tokens(40, 5), &mut |_, _| Ok(())).unwrap();
    let all = counting.count(FaultPoint::Compile);
    for (fault, words) in [("refuse", "an injected fault"), ("panic", "panicked: an injected fault")] {
        let mut errors = 0;
        for time in 1..=all {
            let gpu = gpu_with(&format!("{fault}:compile:{time}").parse().unwrap()).unwrap();
            // Kernels that only make things faster are left out instead.
            if let Err(error) = load(&gpu, "minicpm_tied", &options()) {
                assert!(error.to_string().contains(words), "{error}");
                errors += 1;
            }
            let mut session = load(&gpu, "minicpm_tied", &options()).unwrap();
            assert_eq!(session.feed(&tokens(40, 5), &mut |_, _| Ok(())).unwrap(), wanted, "{fault} {time}");
        }
        assert!(errors > 0, "{fault}");
        eprintln!(
            "{fault}: each of {all} kernels once, {errors} errors, for the others a plainer one; the next load works"
        );
    }
}

#[test]
fn a_kernel_that_fails_with_subgroups_is_compiled_without() {
    let q4 = Format::Affine { bits: 4, group: 32 };
    for fault in ["refuse", "panic"] {
        let Some(gpu) = gpu_with(&format!("{fault}:compile:1").parse().unwrap()) else { return };
        let subgroup = gpu.features.subgroup;
        let norm = selfcheck::rms_norm::check(&gpu, (5, 4096), 0);
        assert_eq!(norm.is_ok_and(|norm| norm.is_right()), subgroup, "{fault}");
        // Here the piece asks for a constant that its plain form does not know.
        let gpu = gpu_with(&format!("{fault}:compile:1").parse().unwrap()).unwrap();
        let product = selfcheck::matvec::check(&gpu, (130, 4096, 1000), q4, MatvecForm::for_device(&gpu, q4));
        assert_eq!(product.is_ok_and(|product| product.is_right()), subgroup, "{fault}");
        // A kernel without subgroups has no other form.
        let gpu = gpu_with(&format!("{fault}:compile:1").parse().unwrap()).unwrap();
        let error = selfcheck::swiglu::check(&gpu, (3, 64), None).unwrap_err().to_string();
        assert!(error.contains("an injected fault"), "{error}");
    }
}

#[test]
fn a_context_too_large_says_what_would_fit() {
    let Some(gpu) = gpu_with(&Faults::default()) else { return };
    let huge = LoadOptions { context: Some(1 << 33), ..options() };
    let error = load(&gpu, "minicpm_tied", &huge).err().unwrap();
    let Error::Memory { needed_mib, allowed_mib, advice, .. } = &error else { panic!("{error}") };
    assert!(needed_mib > allowed_mib, "{error}");
    let fits =
        advice.split_whitespace().find_map(|word| word.parse::<usize>().ok()).unwrap_or_else(|| panic!("{error}"));
    assert!(fits >= 1024, "{error}");
    assert_eq!(gpu.allocated_bytes(), 0);
    load(&gpu, "minicpm_tied", &options()).unwrap();
}

/// A real one: the process may have no more memory than this, so that the driver's own allocation fails.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_the_driver_does_not_get_is_an_error_with_numbers() {
    let Some(gpu) = gpu_with(&Faults::default()) else { return };
    if !gpu.adapter.software {
        return;
    }
    let run = |context: &str, device: &str| {
        let program = env!("CARGO_BIN_EXE_foveal");
        let model = folder("minicpm_tied");
        let command = format!(
            "ulimit -v 3000000; exec '{program}' generate --model '{}' --device '{device}' --context {context} \
             --max-tokens 2 --raw --prompt a",
            model.display()
        );
        let home = tempfile::tempdir().unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &command]).env("XDG_CACHE_HOME", home.path()).env("HOME", home.path());
        shell.env("LP_NUM_THREADS", "2").output().unwrap()
    };
    for device in [gpu.adapter.name.as_str(), "cpu"] {
        let output = run("4000000", device);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("MiB") && words.contains("--context"), "{words}");
        let output = run("1024", device);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_every_device_guarantees_is_enough() {
    let Some(gpu) = gpu_with(&Faults::default()) else { return };
    let least = Arc::new(Gpu::open(&GpuOptions { guaranteed_limits: true, ..gpu.options.clone() }).unwrap());
    assert_eq!(least.max_workgroup_bytes(), 16 << 10);
    for name in ["minicpm_sparse", "llama_head128"] {
        let context = tokens(600, 9);
        let mut wanted = load(&gpu, name, &options()).unwrap();
        let mut got = load(&least, name, &options()).unwrap();
        for attention in [Attention::Dense, Attention::Sparse] {
            let scores = [&mut wanted, &mut got].map(|session| {
                session.set_attention(attention);
                session.score(&context, &mut |_, _| Ok(())).unwrap()
            });
            let worst = scores[0].iter().zip(&scores[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-2, "{name}, {attention}: {worst}");
        }
    }
}

#[test]
fn the_plan_says_within_a_tenth_what_is_taken() {
    let Some(gpu) = gpu_with(&Faults::default()) else { return };
    for (name, kv, quantize, context, chunk) in [
        ("minicpm_tied", CacheFormat::F16, None, 8192, 256),
        ("minicpm_sparse", CacheFormat::F16, None, 32_768, 64),
        ("llama_head128", CacheFormat::F16, None, 2048, 512),
        ("minicpm_sparse", CacheFormat::F16, None, 4096, 7),
        ("minicpm_sparse", CacheFormat::Q8, None, 32_768, 64),
        ("llama_head128", CacheFormat::Q8, Some(Recipe::default()), 8192, 256),
        ("llama_head128", CacheFormat::F16, Some(Recipe::default()), 2048, 512),
        ("mlx_q4_minicpm_group16_head128", CacheFormat::Q8, None, 2048, 128),
        ("gptq_minicpm", CacheFormat::F16, None, 2048, 128),
    ] {
        let options = LoadOptions { context: Some(context), chunk: Some(chunk), kv, quantize, ..Default::default() };
        let session = load(&gpu, name, &options).unwrap();
        let (planned, taken) = (session.memory().unwrap().total(), gpu.allocated_bytes());
        let share = planned as f64 / taken as f64;
        let what = format!("{name}, {kv}, context {context}, chunk {chunk}: planned {planned}, taken {taken}");
        eprintln!("{what}, {share:.3}");
        assert!((0.9..1.1).contains(&share), "{what}");
    }
}
