//! Which passages a model reads: runs a document through the built-in model, asks, and prints how often each block of 64
//! tokens was chosen while the answer was written, the most chosen passages first.
//!
//!     cargo run --release --example heat_map -- DOCUMENT.txt "Who keeps the brass sextant?"

use foveal::chat_template::{Message, Role};
use foveal::conversation::{Conversation, Document, Source};
use foveal::error::{Error, Result};
use foveal::generate::{Event, GenerateOptions, generate};
use foveal::model::{Attention, LoadOptions};
use foveal::open::{Device, ModelFiles, open_session};
use foveal::trace::{StepTrace, context_of};

/// Passages to print.
const SHOWN: usize = 5;
/// From never chosen to chosen most.
const SHADES: [char; 5] = [' ', '.', ':', '*', '#'];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, question] = &arguments[..] else {
        let found = format!("{} arguments", arguments.len());
        return Err(Error::Usage { what: "heat_map".into(), expected: "DOCUMENT QUESTION".into(), found });
    };
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error, "Give a text file"))?;
    let conversation = Conversation {
        system: None,
        documents: vec![Document { name: path.clone(), text: text.clone() }],
        turns: vec![Message { role: Role::User, content: question.clone() }],
    };
    let files = ModelFiles::open(None)?;
    let context = conversation.tokens(&files.tokenizer, &files.template, None)?;
    let prompt: Vec<u32> = context.iter().map(|token| token.id).collect();
    let (device, without, options) = (Device::Best, Default::default(), LoadOptions::default());
    let mut opened = open_session(&files.checkpoint, &device, &without, &options, &mut |_, _, _| Ok(()))?;
    opened.session.set_attention(Attention::Sparse);
    opened.session.set_trace(true);

    let options = GenerateOptions { sampler: files.sampler, max_tokens: 100, stop: Vec::new() };
    let mut steps: Vec<StepTrace> = Vec::new();
    let stop = false.into();
    let answer = generate(&mut opened.session, &files.tokenizer, &prompt, &options, &stop, &mut |event| {
        if let Event::Token { trace: Some(trace), .. } = event {
            steps.push(*trace);
        }
        Ok(())
    })?;
    println!("{}\n", answer.text);
    let Some(last) = steps.last() else { return Ok(()) };

    let mut votes = vec![0; last.position / last.block_size + 1];
    for step in &steps {
        for (total, count) in votes.iter_mut().zip(step.votes()) {
            *total += count;
        }
    }
    let most = votes.iter().copied().max().unwrap_or(0).max(1);
    let shade = |count: &u32| SHADES[(*count as usize * (SHADES.len() - 1)).div_ceil(most as usize)];
    println!("|{}| one sign per block, {} tokens each", votes.iter().map(shade).collect::<String>(), last.block_size);
    println!("each step read {} of {} tokens\n", last.tokens_read(), last.position + 1);

    let mut ranked: Vec<usize> = (0..votes.len()).filter(|block| votes[*block] > 0).collect();
    ranked.sort_by_key(|block| std::cmp::Reverse(votes[*block]));
    for block in ranked.into_iter().take(SHOWN) {
        let tokens = context_of(&context, last, block as u32);
        let bytes = tokens.iter().filter(|token| token.source == Source::Document(0)).map(|token| &token.bytes);
        let (start, end) = bytes.fold((text.len(), 0), |(start, end), b| (start.min(b.start), end.max(b.end)));
        let passage = text.get(start..end).unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
        println!("block {block}, chosen {} times: {passage}", votes[block]);
    }
    Ok(())
}
