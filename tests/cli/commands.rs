//! What the commands answer.

use std::collections::BTreeSet;

use foveal::built_in;
use foveal::model::ModelConfig;
use foveal::weights::Checkpoint;
use serde_json::Value;

use super::{checkpoint, devices, foveal, foveal_with_input, program};
use crate::harness::gpu_variants;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["event"] == kind)
}

/// The text of all events together.
fn written(events: &[Value]) -> String {
    events.iter().filter(|event| event["event"] != "summary").filter_map(|event| event["text"].as_str()).collect()
}

fn sample(name: &str) -> (String, Vec<(String, String)>) {
    let found = foveal::built_in::sample(name).unwrap();
    let questions = found.questions.into_iter().map(|question| (question.question, question.expected)).collect();
    (found.text.to_owned(), questions)
}

#[test]
fn score_agrees_with_pytorch() {
    let ids = tempfile::NamedTempFile::new().unwrap();
    for device in devices() {
        let floats = ["minicpm_tied", "llama_llama3_sharded", "minicpm_longrope_long", "llama_head96"];
        for name in floats.into_iter().chain(["mlx_q4_llama_group4", "gptq_minicpm", "gguf_minicpm"]) {
            let folder = checkpoint(name);
            let expected: Value =
                serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
            let runs = expected["runs"].as_array().unwrap();
            let run = runs.iter().find(|run| run["attention"] == "dense").unwrap();
            std::fs::write(ids.path(), expected["token_ids"].to_string()).unwrap();
            let gguf = folder.join("model.gguf");
            let model = if gguf.exists() { &gguf } else { &folder };
            let (model, file) = (model.to_str().unwrap(), ids.path().to_str().unwrap());
            let text = foveal(&["score", "--json", "--model", model, "--token-ids", file, "--device", &device]).ok();
            let got: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(got["token_ids"], expected["token_ids"]);
            let (got_scores, wanted) = (got["logprobs"].as_array().unwrap(), run["logprobs"].as_array().unwrap());
            assert_eq!(got_scores.len(), wanted.len());
            assert!(got_scores[0].is_null() && wanted[0].is_null());
            let pairs =
                || got_scores.iter().zip(wanted).skip(1).map(|(a, b)| (a.as_f64().unwrap(), b.as_f64().unwrap()));
            let worst = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let allowed = if device == "cpu" { 1e-4 } else { 2e-2 };
            assert!(worst < allowed, "{name} on {device}: {worst}");
            let mean = pairs().map(|(_, wanted)| wanted).sum::<f64>() / (wanted.len() - 1) as f64;
            let perplexity = got["perplexity"].as_f64().unwrap();
            assert!((perplexity / (-mean).exp() - 1.0).abs() < 0.02, "{name}: {perplexity}");
        }
    }
}

#[test]
fn score_of_a_text_begins_with_bos_and_makes_a_table() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\u{feff}The market day of Ironwick is Wednesday.\n").unwrap();
    let path = file.path().to_str().unwrap();
    let json: Value =
        serde_json::from_str(&foveal(&["score", "--json", "--text", path, "--device", "cpu"]).ok()).unwrap();
    let count = json["token_ids"].as_array().unwrap().len();
    assert_eq!(json["token_ids"][0], 1, "the begin-of-text token of the built-in model");
    let table = foveal(&["score", "--text", path, "--device", "cpu"]).ok();
    assert_eq!(table.lines().count(), count + 1);
    assert!(table.contains("perplexity") && table.contains("market"), "{table}");
}

#[test]
fn generate_gives_the_same_twice_and_its_events_add_up() {
    let model = checkpoint("minicpm_tied");
    let arguments = ["generate", "--json", "--model", model.to_str().unwrap(), "--prompt", "abc", "--max-tokens", "12"];
    for device in devices() {
        let run = || {
            let text = foveal(&[&arguments[..], &["--device", &device]].concat()).ok();
            json_lines(&text)
        };
        let (first, second) = (run(), run());
        let summary = first.last().unwrap();
        assert_eq!(summary["event"], "summary");
        assert_eq!(summary["tokens"], second.last().unwrap()["tokens"]);
        let ids: Vec<_> = of_kind(&first, "token").map(|event| event["id"].clone()).collect();
        assert_eq!(summary["tokens"], Value::from(ids), "one event a token");
        assert_eq!(summary["text"], written(&first).as_str());
        assert!(first[0]["event"] == "prefill" && first[0]["done"] == 0, "{}", first[0]);
        assert_eq!(summary["prompt_tokens"], summary["computed_tokens"]);
        assert!(["max_tokens", "end_of_answer"].contains(&summary["reason"].as_str().unwrap()));
    }
}

#[test]
fn an_answer_ends_at_a_stop_text() {
    let ask =
        ["generate", "--json", "--prompt", "Where is the brass sextant?", "--temperature", "0", "--device", "cpu"];
    let document = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(document.path(), sample("logbook").0).unwrap();
    let ask = [&ask[..], &["--document", document.path().to_str().unwrap()]].concat();
    let run = |stops: &[&str]| {
        let stops: Vec<&str> = stops.iter().flat_map(|stop| ["--stop", *stop]).collect();
        json_lines(&foveal(&[&ask[..], &stops].concat()).ok())
    };
    let whole = run(&[]);
    let text = whole.last().unwrap()["text"].as_str().unwrap().to_owned();
    let (before, _) = text.split_once(" the clock").unwrap_or_else(|| panic!("{text}"));
    // The one that comes first counts, though the other is given first, and goes over a border of tokens.
    let cut = run(&["clock", " the clo"]);
    let summary = cut.last().unwrap();
    assert_eq!((summary["text"].as_str(), summary["reason"].as_str()), (Some(before), Some("stop_text")));
    assert_eq!(written(&cut), before);
    // What might have become a stop text is shown at the end, and is no token of its own.
    let held = run(&["clock and then"]);
    let summary = held.last().unwrap();
    assert_eq!((summary["text"].as_str(), summary["reason"].as_str()), (Some(&text[..]), Some("end_of_answer")));
    assert_eq!(of_kind(&held, "token").count(), summary["tokens"].as_array().unwrap().len());
    assert!(of_kind(&held, "rest").any(|event| event["text"].as_str().unwrap().contains("clock")), "{held:?}");
    assert_eq!(written(&held), text);

    let chat = ["chat", "--sample", "logbook", "--device", "cpu", "--temperature", "0", "--stop", " the clock"];
    assert_eq!(foveal_with_input(&chat, b"Where is the brass sextant?\n").ok().trim_end(), before);
    assert_eq!(foveal(&["generate", "--prompt", "x", "--stop", ""]).code, Some(2));
}

/// The built-in model with plain numbers in place of its integers, so that it can be quantised.
fn plain_built_in() -> tempfile::TempDir {
    let (from, folder) = (built_in::model_folder().unwrap(), tempfile::tempdir().unwrap());
    let checkpoint = Checkpoint::open(&from).unwrap();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let bytes = |values: &[f32]| bytemuck::cast_slice::<f32, u8>(values).to_vec();
    let hidden = ModelConfig::new(checkpoint.config()).unwrap().hidden_size;
    for name in checkpoint.names() {
        if name.contains("norm") {
            tensors.push((name.clone(), vec![hidden], bytes(&checkpoint.vector(&name, hidden).unwrap())));
            continue;
        }
        let Ok((rows, cols)) = checkpoint.shape(&name) else { continue };
        let packed = checkpoint.rows(&name, 0..rows, None).unwrap();
        let values: Vec<f32> = (0..rows).flat_map(|row| packed.row_f32(row)).collect();
        tensors.push((name, vec![rows, cols], bytes(&values)));
    }
    assert!(tensors.len() > 40, "{} tensors", tensors.len());
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let mut config = checkpoint.config().clone();
    for key in ["quantization", "quantization_config"] {
        config.as_object_mut().unwrap().remove(key);
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn smaller_weights_lose_little() {
    let text = tempfile::NamedTempFile::new().unwrap();
    let document = sample("memories").0;
    let end = document.char_indices().nth(4000).map_or(document.len(), |(end, _)| end);
    std::fs::write(text.path(), &document[..end]).unwrap();
    let model = plain_built_in();
    let perplexity = |format: &str| {
        let (path, model) = (text.path().to_str().unwrap(), model.path().to_str().unwrap());
        let command = ["score", "--json", "--text", path, "--model", model, "--quantize", format, "--device", "cpu"];
        let out = foveal(&command).ok();
        serde_json::from_str::<Value>(&out).unwrap()["perplexity"].as_f64().unwrap()
    };
    let plain = perplexity("none");
    for (format, allowed) in [("q8", 0.005), ("q4", 0.05)] {
        let loss = perplexity(format) / plain - 1.0;
        eprintln!("{format}: {:.2} % of {plain:.3}", 100.0 * loss);
        assert!(loss != 0.0 && loss < allowed, "{format}: perplexity {plain} grows by {loss}");
    }
}

#[test]
fn without_lists_every_ability() {
    let help = foveal(&["generate", "--help"]).ok();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = foveal::gpu::Feature::ALL.map(foveal::gpu::Feature::name).join(", ");
    assert!(names.contains("int8") && words.contains(&names), "{names} in {words}");
}

#[test]
fn a_trace_tells_forced_from_chosen_blocks_and_leads_to_the_text() {
    let text: String = (0..25).map(|line| format!("On day {line} the cat sat on mat {line}.\n")).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let (model, path) = (checkpoint("minicpm_sparse"), file.path().to_str().unwrap());
    let arguments = ["generate", "--json", "--trace", "--attention", "sparse", "--max-tokens", "4", "--document", path];
    for device in devices() {
        for raw in [true, false] {
            let more = ["--model", model.to_str().unwrap(), "--prompt", "Where?", "--device", &device];
            let raw: &[&str] = if raw { &["--raw"] } else { &[] };
            let events = json_lines(&foveal(&[&arguments[..], &more, raw].concat()).ok());
            let context = &events[0];
            assert_eq!(context["event"], "context");
            let whole = |range: &Value| (range["start"].as_u64().unwrap(), range["end"].as_u64().unwrap());
            let (mut position, mut done, mut asked) = (0, 0, 0);
            for (index, block) in context["blocks"].as_array().unwrap().iter().enumerate() {
                assert_eq!((block["block"].as_u64(), whole(&block["tokens"]).0), (Some(index as u64), position));
                for part in block["parts"].as_array().unwrap() {
                    assert_eq!(whole(&part["tokens"]).0, position, "{part}");
                    position = whole(&part["tokens"]).1;
                    if part["source"]["document"] == 0 {
                        assert_eq!(whole(&part["bytes"]).0, done, "{part}");
                        done = whole(&part["bytes"]).1;
                    } else if part["source"]["turn"] == 0 {
                        asked = whole(&part["bytes"]).1;
                    }
                }
                assert_eq!(whole(&block["tokens"]).1, position);
            }
            assert_eq!((done, asked), (text.len() as u64, "Where?".len() as u64));
            assert_eq!(position, events.last().unwrap()["prompt_tokens"].as_u64().unwrap());

            let tokens: Vec<_> = events.iter().filter(|event| event["event"] == "token").collect();
            assert!(!tokens.is_empty());
            for token in tokens.iter().filter(|token| !token["trace"].is_null()) {
                assert_eq!(token["mode"], "sparse");
                let own = token["trace"]["position"].as_u64().unwrap() / context["block_size"].as_u64().unwrap();
                for reader in token["trace"]["readers"].as_array().unwrap() {
                    let ids = |kind: &str| {
                        let list = reader[kind].as_array().unwrap().iter();
                        list.map(|id| id.as_u64().unwrap()).collect::<Vec<_>>()
                    };
                    let (forced, free) = (ids("forced"), ids("free"));
                    assert!(forced.contains(&0) && forced.contains(&own) && !free.is_empty(), "{reader}");
                    assert!(free.iter().all(|id| !forced.contains(id)), "{reader}");
                }
            }
            assert!(tokens.iter().any(|token| !token["trace"].is_null()), "{tokens:?}");
        }
    }
}

#[test]
fn a_software_adapter_is_not_taken_unasked() {
    let Some((_, gpu)) = gpu_variants().first().filter(|(_, gpu)| gpu.adapter.software) else { return };
    let model = checkpoint("minicpm_tied");
    let arguments = ["generate", "--json", "--model", model.to_str().unwrap(), "--prompt", "abc", "--max-tokens", "1"];
    let device = |more: &[&str]| {
        let run = foveal(&[&arguments[..], more].concat());
        let said = run.err.contains("software one") && run.err.contains("--device");
        (json_lines(&run.ok()).pop().unwrap()["device"].as_str().unwrap().to_owned(), said)
    };
    assert_eq!(device(&[]), ("processor".into(), true));
    assert_eq!(device(&["--device", &gpu.adapter.name]), (gpu.adapter.name.clone(), false));
}

#[test]
fn the_seed_decides() {
    let model = checkpoint("minicpm_tied");
    let run = |seed: &str| {
        let more = ["--temperature", "2", "--top-p", "1", "--max-tokens", "24", "--seed", seed, "--device", "cpu"];
        let model = model.to_str().unwrap();
        let text = foveal(&[&["generate", "--json", "--raw", "--model", model, "--prompt", "abc"], &more[..]].concat());
        json_lines(&text.ok()).pop().unwrap()["tokens"].clone()
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn generate_takes_the_question_from_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logbook.txt");
    let (text, questions) = sample("logbook");
    std::fs::write(&path, text).unwrap();
    let arguments = ["generate", "--document", path.to_str().unwrap(), "--device", "cpu"];
    let answer = foveal_with_input(&arguments, format!("{}\n", questions[0].0).as_bytes()).ok();
    assert!(answer.contains(&questions[0].1), "{answer}");
}

#[test]
fn chat_answers_the_questions_about_the_logbook() {
    let (_, questions) = sample("logbook");
    for device in devices() {
        // A software adapter takes seconds for each.
        let count = if device == "cpu" { questions.len() } else { 6 };
        let questions = &questions[..count];
        let input: String = questions.iter().map(|(question, _)| format!("{question}\n")).collect();
        let run = foveal_with_input(&["chat", "--sample", "logbook", "--device", &device], input.as_bytes());
        let figures = run.err.lines().filter(|line| line.contains("first after")).count();
        let out = run.ok();
        let answers: Vec<_> = out.lines().collect();
        assert_eq!((answers.len(), figures), (count, count), "{out}");
        let right = answers.iter().zip(questions).filter(|(answer, question)| answer.contains(&question.1)).count();
        assert!(right >= count.min(13), "{device}: {right} of {count} right:\n{out}");
    }
}

#[test]
fn without_a_command_it_chats_and_obeys() {
    let input = "/help\n/sample logbook\n\\\nWhere is the brass sextant?\n/reset\n/quit\nnever asked\n";
    let run = foveal_with_input(&["--device", "cpu"], input.as_bytes());
    assert!(run.err.contains("/attach FILE") && run.err.contains("forgotten"), "{}", run.err);
    let out = run.ok();
    assert!(out.lines().count() == 1 && out.contains("behind the clock"), "{out}");
    let error = foveal_with_input(&["chat", "--device", "cpu"], b"/nonsense\n").failure();
    assert!(error.contains("/nonsense") && error.contains("/help"), "{error}");
}

#[test]
fn inspect_tells_what_a_model_is() {
    let text = foveal(&["inspect"]).ok();
    for part in ["minicpm", "7 layers", "17.7 million", "8.50", "28 blocks of 64", "ChatML", "cache of 131072 tokens"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let folder = checkpoint("llama_llama3_sharded");
    let text = foveal(&["inspect", folder.to_str().unwrap()]).ok();
    assert!(text.contains("llama3") && text.contains("no sparse_config"), "{text}");
    let inspect = |path: std::path::PathBuf| foveal(&["inspect", path.to_str().unwrap()]).ok();
    let has = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{part} in {text}");
        }
    };
    let gguf = inspect(checkpoint("gguf_minicpm").join("model.gguf"));
    has(gguf, &["GGUF 3, mostly", "minicpm: 2 layers", "bits per weight", "tokens; chat template", "MiB: weights"]);
    has(inspect(checkpoint("gptq_minicpm")), &["GPTQ, 4 bits, groups of 128", "minicpm: 2 layers", "MiB: weights"]);
}

/// On Linux the Vulkan loader can be told to look nowhere.
#[cfg(target_os = "linux")]
#[test]
fn without_any_driver_the_processor_computes_and_says_so() {
    let run = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        super::run(command, b"")
    };
    let error = run(&["selfcheck", "nonsense"]).failure();
    assert!(error.contains("nonsense") && error.contains("attend_sparse"), "{error}");
    let error = run(&["selfcheck"]).failure();
    assert!(error.contains("no usable graphics adapter") && error.contains("--device cpu"), "{error}");
    let model = checkpoint("minicpm_tied");
    let ask = ["generate", "--json", "--model", model.to_str().unwrap(), "--prompt", "abc", "--max-tokens", "2"];
    let answer = run(&ask);
    assert!(answer.err.contains("no graphics adapter") && answer.err.contains("slow path"), "{}", answer.err);
    assert_eq!(json_lines(&answer.ok()).pop().unwrap()["device"], "processor");
    let error = run(&[&ask[..], &["--device", "0"]].concat()).failure();
    assert!(error.contains("no usable graphics adapter"), "{error}");
    assert!(run(&["devices"]).ok().contains("cpu: "));
}

#[test]
fn quantize_makes_a_folder_that_works() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("small");
    let (input, output) = (checkpoint("llama_head128"), folder.to_str().unwrap());
    foveal(&["quantize", input.to_str().unwrap(), output]).ok();
    assert!(foveal(&["inspect", output]).ok().contains("MLX"));
    let text = foveal(&["generate", "--model", output, "--prompt", "abc", "--max-tokens", "4", "--device", "cpu"]).ok();
    assert!(!text.is_empty());
    let error = foveal(&["quantize", input.to_str().unwrap(), output]).failure();
    assert!(error.contains("small"), "{error}");
}

/// Dispatches are captured on the way, as `tests/dawn` does: what no case runs would go unchecked on a user's driver.
#[test]
fn selfcheck_is_right_on_this_machine_and_leaves_no_kernel_out() {
    let Some((_, gpu)) = gpu_variants().first() else { return };
    let captured = tempfile::tempdir().unwrap();
    let mut command = program(&["selfcheck", "--device", &gpu.adapter.name]);
    let output = command.env("FOVEAL_CAPTURE", captured.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("checks are right"), "{text}");
    let mut ran = BTreeSet::new();
    for entry in std::fs::read_dir(captured.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let dispatch: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let label = dispatch["label"].as_str().unwrap().to_owned();
            ran.insert(label.split('.').next().unwrap().to_owned());
        }
    }
    // Which of the cooperative kernels fit hangs on the device's memory; matrices alone always do.
    let wanted = |kernel: &String| match kernel.strip_prefix("coop/") {
        Some(name) => name == "matmul" && gpu.features.coop.is_some(),
        None => !kernel.starts_with("processor/") || gpu.features.processor.is_some(),
    };
    for kernel in foveal::gpu::shader::kernels().iter().filter(|kernel| wanted(kernel)) {
        assert!(ran.contains(kernel), "no case runs {kernel}, only {ran:?}");
    }
    let features = &gpu.features;
    let (coop, processor) = (features.coop.is_some(), features.processor.is_some());
    let optional = [features.subgroup, coop, coop, features.int8, processor];
    for (present, name) in optional.into_iter().zip(["subgroup", "f16", "coop", "int8", "processor and f16"]) {
        assert_eq!(text.contains(&format!(", without {name}\n")), present, "{name} in {text}");
    }
}

#[test]
fn devices_lists_the_processor_and_the_adapters() {
    let text = foveal(&["devices"]).ok();
    assert!(text.contains("cpu: "));
    for device in devices().iter().skip(1) {
        assert!(text.contains(device.as_str()), "{text}");
    }
}

#[test]
fn control_characters_of_a_document_do_not_reach_the_terminal() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "The \x1b[31mcat\u{9b}2J sleeps.").unwrap();
    let table = foveal(&["score", "--text", file.path().to_str().unwrap(), "--device", "cpu"]).ok();
    assert!(!table.contains(|c: char| c.is_control() && c != '\n'), "{table:?}");
    assert!(table.contains("\\u{1b}"), "{table:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_answer() {
    use std::io::{BufRead, BufReader, Read};
    let document = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(document.path(), sample("memories").0).unwrap();
    let path = document.path().to_str().unwrap();
    // Reading this takes the processor long enough to be interrupted after the first event.
    let mut command = program(&["generate", "--json", "--document", path, "--prompt", "Who?", "--device", "cpu"]);
    let pipes = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.contains("prefill"), "{first}");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let summary = json_lines(&rest).pop().unwrap();
    assert_eq!((output.status.code(), summary["reason"].as_str()), (Some(1), Some("stopped")));
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert!(count("computed_tokens") < count("prompt_tokens"), "{summary}");
    assert!(summary["prompt_tokens_per_second"].as_f64().unwrap() < 1e6, "{summary}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("foveal: stopped"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = program(&["inspect"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_command_line_without_sense_is_exit_code_2() {
    for arguments in [&["nonsense"][..], &["generate", "--context", "0"], &["score"], &["chat", "--quantize", "q5"]] {
        assert_eq!(foveal(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn the_cache_can_have_eight_bits() {
    let ids = tempfile::NamedTempFile::new().unwrap();
    let folder = checkpoint("minicpm_tied");
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    std::fs::write(ids.path(), expected["token_ids"].to_string()).unwrap();
    let (model, file) = (folder.to_str().unwrap(), ids.path().to_str().unwrap());
    for device in devices() {
        let scores = |kv: &[&str]| -> Vec<f64> {
            let arguments = ["score", "--json", "--model", model, "--token-ids", file, "--device", &device];
            let got: Value = serde_json::from_str(&foveal(&[&arguments[..], kv].concat()).ok()).unwrap();
            got["logprobs"].as_array().unwrap().iter().skip(1).map(|value| value.as_f64().unwrap()).collect()
        };
        let (usual, full, half) = (scores(&[]), scores(&["--kv", "f16"]), scores(&["--kv", "q8"]));
        assert_eq!(usual, full, "{device}");
        let worst = full.iter().zip(&half).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!((1e-4..0.2).contains(&worst), "{device}: {worst}");
    }
    let text = foveal(&["generate", "--model", model, "--kv", "q8", "--prompt", "abc", "--max-tokens", "3"]).ok();
    assert!(!text.is_empty());
    let plan = foveal(&["inspect", model, "--kv", "q8"]).ok();
    assert!(plan.contains("q8 cache of 4096 tokens"), "{plan}");
    let wrong = foveal(&["chat", "--kv", "q4"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("expected f16 or q8"), "{}", wrong.err);
}
