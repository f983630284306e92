//! The line editor, on a thread of its own: a terminal can't be waited for in another way.
//!
//! It knows nothing of the kernel. What it needs of it, completions and whether code is
//! complete, it asks for and does without when the answer takes too long.

use anyhow::Context as _;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event,
    EventContext, EventHandler, ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
    completion::{Completer, Pair},
    config::Configurer as _,
    error::ReadlineError,
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::FileHistory,
    validate::Validator,
};
use std::{
    borrow::Cow,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    sync::mpsc as blocking,
    time::Duration,
};
use tokio::sync::mpsc;

/// How long Enter waits for the kernel. While that is known to be busy nobody waits at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long Tab waits. The first completion of a kernel loads what it takes to complete: seconds,
/// in gVisor on a busy machine many.
const TAB_PATIENCE: Duration = Duration::from_secs(60);
/// Lines of history that are kept.
const HISTORY_LINES: usize = 2000;
/// What Tab means where there is nothing to complete.
const INDENT: &str = "    ";
/// Enter, and what it was before the terminal was the editor's.
const ENTER: [KeyEvent; 2] = [
    KeyEvent(KeyCode::Enter, Modifiers::NONE),
    KeyEvent(KeyCode::Char('J'), Modifiers::CTRL),
];
/// Texts that may wait to be shown.
const TEXTS: usize = 64;

/// What is to be read.
#[derive(Debug)]
pub enum Read {
    /// Code, which may have many lines, after a prompt, beginning with a text.
    Code(String, String),
    /// An answer to a question of the kernel, hidden or not.
    Answer(String, bool),
}

/// What the kernel is to be asked for while somebody types.
#[derive(Debug)]
pub enum Query {
    /// Completions of code at a place, in characters.
    Completions(String, usize),
    /// Whether code is complete.
    IsComplete(String),
}

/// What the kernel knows of it.
#[derive(Debug)]
pub enum Known {
    /// The text from this character on can be one of these.
    Completions(usize, Vec<String>),
    /// Whether there must be more code, and how far that is indented.
    More(Option<String>),
}

/// What was typed, or is wanted.
pub enum Typed {
    /// A whole text.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D.
    End,
    /// The terminal is of no use any more.
    Broken(String),
    /// A question, and where to put the answer.
    Query(Query, blocking::SyncSender<Known>),
}

/// The other end of the thread.
pub struct Keyboard {
    reads: blocking::SyncSender<Read>,
    /// What is typed.
    pub typed: mpsc::Receiver<Typed>,
    /// Shows text above what is being typed.
    pub above: mpsc::Sender<String>,
}

impl Keyboard {
    /// Starts to listen.
    pub fn open() -> anyhow::Result<Self> {
        let (reads, wanted) = blocking::sync_channel(1);
        let (sender, typed) = mpsc::channel(1);
        let (above, texts) = mpsc::channel(TEXTS);
        std::thread::Builder::new()
            .name("editor".into())
            .spawn(move || {
                if let Err(error) = edit(&wanted, &sender, texts) {
                    let _ = sender.blocking_send(Typed::Broken(error.to_string()));
                }
            })
            .context("no thread for the terminal")?;
        Ok(Self {
            reads,
            typed,
            above,
        })
    }

    /// Asks for a text; it comes as something typed. Only one is asked for at a time.
    pub fn read(&self, what: Read) {
        // A thread that has ended has said so.
        let _ = self.reads.try_send(what);
    }
}

/// Serves reads until nobody wants any.
fn edit(
    wanted: &blocking::Receiver<Read>,
    sender: &mpsc::Sender<Typed>,
    texts: mpsc::Receiver<String>,
) -> rustyline::Result<()> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    let mut editor: Editor<Typist, FileHistory> = Editor::with_config(config)?;
    let printer = editor.create_external_printer().ok();
    std::thread::spawn(move || show(texts, printer));
    editor.set_helper(Some(Typist {
        sender: sender.clone(),
        code: true,
        hidden: false,
    }));
    for key in ENTER {
        let enter = Enter(sender.clone());
        editor.bind_sequence(key, EventHandler::Conditional(Box::new(enter)));
    }
    let file = history_file();
    if let Some(file) = &file {
        // There is none at first.
        let _ = editor.load_history(file);
    }
    while let Ok(read) = wanted.recv() {
        let text = match read {
            Read::Code(prompt, begun) => {
                let text = editor.readline_with_initial(&prompt, (&begun, ""));
                if let Ok(text) = &text
                    && editor.add_history_entry(text.as_str())?
                    && let Some(file) = &file
                {
                    // A home that can't be written to is no reason not to work.
                    let _ = editor.append_history(file);
                }
                text
            }
            Read::Answer(prompt, hidden) => answer(&mut editor, &prompt, hidden),
        };
        let typed = match text {
            Ok(text) => Typed::Text(text),
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(ReadlineError::Eof) => Typed::End,
            Err(error) => return Err(error),
        };
        if sender.blocking_send(typed).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads an answer: one line, without history or completion.
fn answer(
    editor: &mut Editor<Typist, FileHistory>,
    prompt: &str,
    hidden: bool,
) -> rustyline::Result<String> {
    // Without colours nothing would be hidden.
    editor.set_color_mode(if hidden {
        ColorMode::Forced
    } else {
        ColorMode::Enabled
    });
    let enters = ENTER.map(|key| (key, editor.unbind_sequence(key)));
    if let Some(helper) = editor.helper_mut() {
        (helper.code, helper.hidden) = (false, hidden);
    }
    let text = editor.readline(prompt);
    if let Some(helper) = editor.helper_mut() {
        (helper.code, helper.hidden) = (true, false);
    }
    for (key, enter) in enters {
        if let Some(enter) = enter {
            editor.bind_sequence(key, enter);
        }
    }
    editor.set_color_mode(ColorMode::Enabled);
    text
}

/// Shows texts above the line that is being edited, or simply, when none is.
fn show(mut texts: mpsc::Receiver<String>, mut printer: Option<impl ExternalPrinter>) {
    while let Some(text) = texts.blocking_recv() {
        let shown = match &mut printer {
            Some(printer) => printer.print(text).is_ok(),
            None => std::io::stdout().write_all(text.as_bytes()).is_ok(),
        };
        if !shown {
            return;
        }
    }
}

/// Where what was typed is remembered from one time to the next.
fn history_file() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let directory = state
        .filter(|path| path.is_absolute())
        .or_else(home)?
        .join("soulbox");
    std::fs::create_dir_all(&directory).ok()?;
    std::io::stdin()
        .is_terminal()
        .then(|| directory.join("console_history"))
}

fn ask(sender: &mpsc::Sender<Typed>, query: Query) -> Option<Known> {
    let patience = match query {
        Query::Completions(..) => TAB_PATIENCE,
        Query::IsComplete(_) => PATIENCE,
    };
    let (answer, known) = blocking::sync_channel(1);
    sender.blocking_send(Typed::Query(query, answer)).ok()?;
    known.recv_timeout(patience).ok()
}

/// What the editor asks while somebody types.
struct Typist {
    sender: mpsc::Sender<Typed>,
    /// Whether code is typed, which can be completed.
    code: bool,
    /// Whether what is typed must not be seen.
    hidden: bool,
}

impl Helper for Typist {}
impl Validator for Typist {}

impl Hinter for Typist {
    type Hint = String;
}

impl Highlighter for Typist {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.hidden {
            Cow::Owned("*".repeat(line.chars().count()))
        } else {
            Cow::Borrowed(line)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.hidden && kind != CmdKind::MoveCursor
    }
}

impl Completer for Typist {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        place: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if !self.code {
            return Ok((place, Vec::new()));
        }
        let before = &line[..place];
        let row = before.rsplit('\n').next().unwrap_or_default();
        if row.trim().is_empty() {
            return Ok((place, vec![pair(INDENT)]));
        }
        let query = Query::Completions(line.to_owned(), before.chars().count());
        Ok(match ask(&self.sender, query) {
            Some(Known::Completions(from, texts)) => {
                let start = line.char_indices().nth(from).map_or(place, |(at, _)| at);
                (
                    start.min(place),
                    texts.iter().map(|text| pair(text)).collect(),
                )
            }
            _ => (place, Vec::new()),
        })
    }
}

fn pair(text: &str) -> Pair {
    Pair {
        display: text.to_owned(),
        replacement: text.to_owned(),
    }
}

/// Enter ends code that is complete, and begins a line of code that is not.
struct Enter(mpsc::Sender<Typed>);

impl ConditionalEventHandler for Enter {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let code = context.line();
        if code.trim().is_empty() {
            return Some(Cmd::AcceptLine);
        }
        // In the middle of a longer text a new line is meant.
        if context.pos() < code.trim_end().len() && code.contains('\n') {
            return Some(Cmd::Insert(1, "\n".into()));
        }
        match ask(&self.0, Query::IsComplete(closed(code))) {
            Some(Known::More(Some(indent))) => Some(Cmd::Insert(1, format!("\n{indent}"))),
            None if looks_unfinished(code) => Some(Cmd::Insert(1, "\n".into())),
            _ => Some(Cmd::AcceptLine),
        }
    }
}

/// A guess for as long as the kernel can't be asked.
fn looks_unfinished(code: &str) -> bool {
    let goes_on = [':', '{', '(', '[', ',', '\\'];
    code.trim_end_matches([' ', '\t']).ends_with(goes_on)
}

/// Code as it is meant: a last line of nothing but indentation is an empty one.
fn closed(code: &str) -> String {
    match code.rsplit_once('\n') {
        Some((before, last)) if last.trim().is_empty() => format!("{before}\n"),
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{closed, looks_unfinished};

    #[test]
    fn indentation_alone_is_an_empty_line() {
        assert_eq!(closed("if x:\n    y\n    "), "if x:\n    y\n");
        assert_eq!(closed("x"), "x");
        assert!(looks_unfinished("if x: ") && looks_unfinished("f(1,"));
        assert!(!looks_unfinished("f(1)") && !looks_unfinished("if x:\n    y\n"));
    }
}
