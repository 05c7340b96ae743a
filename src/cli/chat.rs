//! `foveal chat`: a conversation in the terminal. Piped in, every line is a question and standard output has the answers
//! only; a question that fails then ends the program.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::common::{
    ModelArguments, SamplingArguments, TextArguments, figures, grouped, read_document, report_recovery, sample_document,
};
use super::terminal::{Progress, Terminal, escape, remark};
use crate::chat_template::{Message, Role};
use crate::conversation::{Conversation, Document};
use crate::error::{Error, Result};
use crate::generate::{Event, GenerateOptions, generate};
use crate::open::{ModelFiles, OpenedSession};

const HELP: &str = "\
/attach FILE   let the model read a text file before the conversation
/sample NAME   the same with a text that comes with foveal: logbook, memories, hotel, allotment
/system TEXT   instructions for the whole conversation; empty takes them away
/attention MODE  auto, dense or sparse from the next answer on
/reset         forget the conversation and its documents
/help          this list
/quit          end (also Ctrl-D; Ctrl-C stops an answer)
A line that ends in \\ goes on in the next.";

#[derive(Debug, Args)]
pub(super) struct ChatArguments {
    /// Text that comes with foveal: logbook, memories, hotel or allotment
    #[arg(long, value_name = "NAME")]
    sample: Option<String>,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    sampling: SamplingArguments,
}

#[cfg(feature = "desktop")]
impl ChatArguments {
    /// The model that is named.
    pub(super) fn model_path(&self) -> Option<&Path> {
        self.model.path()
    }

    /// The documents that are named.
    pub(super) fn document_paths(&self) -> &[std::path::PathBuf] {
        self.text.document_paths()
    }

    /// The sample that is named.
    pub(super) fn sample_name(&self) -> Option<&str> {
        self.sample.as_deref()
    }

    /// The device that is named.
    pub(super) fn device_name(&self) -> Option<&str> {
        self.model.device.name()
    }

    /// Abilities to leave unused.
    pub(super) fn without(&self) -> std::collections::BTreeSet<crate::gpu::Feature> {
        self.model.device.without()
    }

    /// Texts that end an answer.
    pub(super) fn stop_texts(&self) -> Vec<String> {
        self.sampling.stop_texts()
    }

    /// How to load.
    pub(super) fn load_options(&self) -> crate::model::LoadOptions {
        self.model.load_options()
    }

    /// What the flags make of a chat of the window.
    pub(super) fn chat_change(&self) -> crate::desktop::ChatChange {
        let (attention, system) = (self.model.attention(), self.text.system.clone());
        let (thinking, sampling) = (self.sampling.thinking(), self.sampling.change());
        std::sync::Arc::new(move |chat| {
            if let Some(attention) = attention {
                chat.attention = attention;
            }
            if let Some(system) = &system {
                chat.system.clone_from(system);
            }
            chat.thinking = thinking.unwrap_or(chat.thinking);
            sampling(&mut chat.sampling);
        })
    }
}

struct Chat<'a> {
    files: &'a ModelFiles,
    opened: OpenedSession,
    options: GenerateOptions,
    thinking: Option<bool>,
    conversation: Conversation,
    interactive: bool,
}

pub(super) fn run(arguments: &ChatArguments, terminal: &mut Terminal) -> Result<ExitCode> {
    let mut documents = arguments.text.documents()?;
    let mut questions = Vec::new();
    if let Some(name) = &arguments.sample {
        let (document, about) = sample_document(name)?;
        documents.push(document);
        questions = about;
    }
    let files = arguments.model.open_files()?;
    let opened = arguments.model.open_session(&files, &arguments.model.load_options())?;
    let mut chat = Chat {
        options: arguments.sampling.options(files.sampler),
        thinking: arguments.sampling.thinking(),
        conversation: Conversation { system: arguments.text.system.clone(), documents, turns: Vec::new() },
        interactive: std::io::stdin().is_terminal(),
        files: &files,
        opened,
    };
    chat.greet();
    show_questions(&questions);
    while let Some(line) = chat.read()? {
        match chat.obey(&line, terminal) {
            Ok(Next::Go) => {}
            Ok(Next::Quit) => break,
            Err(error) if chat.interactive && !terminal.reader_is_gone() => remark(&error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What follows a line of input.
enum Next {
    Go,
    Quit,
}

impl Chat<'_> {
    fn greet(&self) {
        if !self.interactive {
            return;
        }
        let config = self.opened.session.config();
        let model = self.files.checkpoint.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        remark(&format!(
            "{model}: {} layers, {} million parameters, context {}, on {}. /help lists the commands",
            config.layers,
            self.files.checkpoint.parameters() / 1_000_000,
            self.opened.session.capacity(),
            self.opened.device,
        ));
        for document in &self.conversation.documents {
            remark(&attached(document));
        }
    }

    /// The next question or command; nothing at the end of the input.
    fn read(&self) -> Result<Option<String>> {
        let mut text = String::new();
        loop {
            if self.interactive {
                eprint!("{}", if text.is_empty() { "> " } else { ". " });
                // A prompt that does not appear is no reason to stop.
                let _ = std::io::stderr().flush();
            }
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let read = read.map_err(|error| Error::io("standard input", &error, "Questions must be UTF-8 text"))?;
            if read == 0 {
                return Ok((!text.is_empty()).then_some(text));
            }
            let line = line.trim_end_matches(['\n', '\r']);
            match line.strip_suffix('\\') {
                Some(part) => {
                    text.push_str(part);
                    text.push('\n');
                }
                None => {
                    text.push_str(line);
                    return Ok(Some(text));
                }
            }
        }
    }

    fn obey(&mut self, line: &str, terminal: &mut Terminal) -> Result<Next> {
        let line = line.trim();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "" => {}
            "/quit" | "/exit" => return Ok(Next::Quit),
            "/help" => remark(HELP),
            "/reset" => {
                self.conversation.turns.clear();
                self.conversation.documents.clear();
                remark("forgotten");
            }
            "/system" => {
                self.conversation.system = (!rest.is_empty()).then(|| rest.to_owned());
                remark("the conversation will be read again with these instructions");
            }
            "/attention" => {
                self.opened.session.set_attention(rest.parse()?);
                remark(&format!("attention: {rest}"));
            }
            "/attach" if rest.is_empty() => remark("/attach needs the path of a text file"),
            "/attach" => self.attach(read_document(Path::new(rest))?),
            "/sample" => {
                let (document, questions) = sample_document(rest)?;
                self.attach(document);
                show_questions(&questions);
            }
            _ if command.starts_with('/') && !command[1..].contains('/') => {
                let expected = "one of those that /help lists".into();
                return Err(Error::Usage { what: "command".into(), expected, found: escape(command).into_owned() });
            }
            _ => self.answer(line, terminal)?,
        }
        Ok(Next::Go)
    }

    fn attach(&mut self, document: Document) {
        remark(&attached(&document));
        if !self.conversation.turns.is_empty() {
            remark("it goes before the first question, so the conversation will be read again");
        }
        self.conversation.documents.push(document);
    }

    fn answer(&mut self, question: &str, terminal: &mut Terminal) -> Result<()> {
        self.conversation.turns.push(Message { role: Role::User, content: question.to_owned() });
        match self.generate(terminal) {
            Ok(text) if !text.is_empty() => {
                self.conversation.turns.push(Message { role: Role::Assistant, content: text });
                Ok(())
            }
            other => {
                // Without an answer the question must go too: templates want turns to alternate.
                self.conversation.turns.pop();
                other.map(drop)
            }
        }
    }

    fn generate(&mut self, terminal: &mut Terminal) -> Result<String> {
        let Self { files, opened, options, thinking, conversation, .. } = self;
        let context = conversation.tokens(&files.tokenizer, &files.template, *thinking)?;
        let prompt: Vec<u32> = context.into_iter().map(|token| token.id).collect();
        let session = &mut opened.session;
        let mut bar = Some(Progress::new("reading"));
        let answer = terminal.stoppable(|terminal, stop| {
            generate(session, &files.tokenizer, &prompt, options, stop, &mut |event| match event {
                Event::Prefill { done, total } | Event::Recomputing { done, total } => {
                    if let Some(bar) = &bar {
                        bar.set(done as u64, total as u64);
                    }
                    Ok(())
                }
                Event::Token { text, .. } | Event::Rest { text } => {
                    bar = None;
                    terminal.write(&escape(&text))
                }
                other => {
                    report_recovery(&other);
                    Ok(())
                }
            })
        })?;
        drop(bar);
        terminal.line("")?;
        remark(&figures(&answer, session));
        Ok(answer.text)
    }
}

fn attached(document: &Document) -> String {
    format!("the model will read {} ({} characters)", document.name, grouped(document.text.chars().count()))
}

fn show_questions(questions: &[String]) {
    if !questions.is_empty() {
        remark("Questions to try:");
    }
    for question in questions {
        remark(&format!("  {question}"));
    }
}
