//! The smallest use of the library: load a model, ask about a text, print the answer.
//!
//!     cargo run --release --example generate -- MODEL_FOLDER DOCUMENT.txt "What is the town known for?"

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use foveal::chat_template::{ChatTemplate, Message, Role};
use foveal::conversation::{Conversation, Document};
use foveal::error::{Error, Result};
use foveal::generate::{Event, GenerateOptions, generate};
use foveal::gpu::{Gpu, GpuOptions};
use foveal::model::LoadOptions;
use foveal::sampler::SamplerSettings;
use foveal::session::Session;
use foveal::tokenizer::Tokenizer;
use foveal::weights::Checkpoint;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, document, question] = &arguments[..] else {
        let found = format!("{} arguments", arguments.len());
        return Err(Error::Usage { what: "generate".into(), expected: "MODEL DOCUMENT QUESTION".into(), found });
    };
    let text = std::fs::read_to_string(document).map_err(|error| Error::io(document, &error, "Give a text file"))?;
    let folder = Path::new(model);
    let tokenizer = Tokenizer::from_folder(folder)?;
    let template = ChatTemplate::for_tokenizer(&tokenizer)?;
    let gpu = Arc::new(Gpu::open(&GpuOptions::default())?);
    let checkpoint = Checkpoint::open(folder)?;
    let budget = Duration::from_millis(100);
    let mut session = Session::on_gpu(&gpu, &checkpoint, &LoadOptions::default(), budget, &mut |_, _, _| Ok(()))?;

    let conversation = Conversation {
        system: None,
        documents: vec![Document { name: document.clone(), text }],
        turns: vec![Message { role: Role::User, content: question.clone() }],
    };
    let context: Vec<u32> =
        conversation.tokens(&tokenizer, &template, None)?.into_iter().map(|token| token.id).collect();
    let options = GenerateOptions { sampler: SamplerSettings::greedy(), max_tokens: 200, stop: Vec::new() };
    let answer = generate(&mut session, &tokenizer, &context, &options, &AtomicBool::new(false), &mut |event| {
        if let Event::Prefill { done, total } = event {
            eprintln!("read {done} of {total} tokens");
        }
        Ok(())
    })?;
    println!("{}", answer.text);
    eprintln!("{:.0} tokens/s reading, {:.1} tokens/s writing", answer.prompt_speed(), answer.decode_speed());
    Ok(())
}
