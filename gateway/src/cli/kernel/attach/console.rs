//! A person at a terminal. One task owns the conversation with the kernel and decides whose
//! turn it is: the editor's, the kernel's, or that of whoever has to answer a question of it.

use super::{
    Info,
    channels::{Channels, Event, Message},
    editor::{Keyboard, Known, Query, Read, Typed},
    show::Show,
};
use anyhow::{Context as _, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use std::{
    collections::{HashSet, VecDeque},
    io::{Write as _, stdin, stdout},
    process::ExitCode,
    sync::mpsc::SyncSender,
};
use tokio::signal::unix::{SignalKind, signal};

/// Lines of other clients that wait to be shown above what is typed.
const MOST_WAITING: usize = 1000;
/// Ends the terminal's notion of pasted text, should the editor have no time to.
const PLAIN_PASTE: &[u8] = b"\x1b[?2004l";
/// What ends `input()` as Ctrl-D does.
const END_OF_INPUT: &str = "\x04";
/// Cells that are kept in mind; a kernel with more is busy anyway.
const MOST_UNDER_WAY: usize = 1000;
/// Completions that are shown; nobody reads more.
const MOST_COMPLETIONS: usize = 500;

/// Sends a cell and gives the id of the request.
pub async fn execute(channels: &mut Channels, code: &str, questions: bool) -> String {
    let content = json!({
        "code": code,
        "silent": false,
        "store_history": true,
        "user_expressions": {},
        "allow_stdin": questions,
        "stop_on_error": true,
    });
    channels.send("shell", "execute_request", &content).await
}

/// Works at the terminal until the user leaves or the kernel is gone.
pub async fn run(channels: Channels, info: Info) -> anyhow::Result<ExitCode> {
    let _kept = Kept::new()?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut console = Console {
        keyboard: Keyboard::open()?,
        show: Show::new(true),
        turn: Turn::Editor,
        query: None,
        waiting: VecDeque::new(),
        count: None,
        begun: String::new(),
        leaves: false,
        restarts: false,
        under_way: HashSet::new(),
        channels,
    };
    let hello = format!(
        "{} {} in kernel {}. Ctrl-C interrupts, Ctrl-D leaves; the kernel stays.\n",
        info.language,
        info.version,
        console.channels.kernel()
    );
    console.show.print(&hello)?;
    console.edit();
    let done = loop {
        let above = console.keyboard.above.clone();
        let step = tokio::select! {
            event = console.channels.next() => console.heard(event?).await?,
            typed = console.keyboard.typed.recv() => {
                console.typed(typed.context("the terminal is gone")?).await?
            }
            room = above.reserve(), if !console.waiting.is_empty() => {
                if let (Ok(room), Some(text)) = (room, console.waiting.pop_front()) {
                    room.send(text);
                }
                Step::On
            }
            _ = interrupts.recv() => {
                console.channels.interrupt().await?;
                Step::On
            }
        };
        match step {
            Step::On => {}
            Step::Leave => break Ok(ExitCode::SUCCESS),
            Step::Dead(why) => break Err(why),
        }
    };
    match done {
        Ok(status) => {
            console.show.next_line()?;
            let kernel = console.channels.kernel().to_owned();
            console.channels.close().await;
            println!("The kernel goes on: soulbox kernel attach {kernel}");
            Ok(status)
        }
        Err(why) => {
            if matches!(console.turn, Turn::Editor | Turn::Answer(_) | Turn::Late) {
                println!();
            }
            bail!("{why}")
        }
    }
}

/// What is to be done next.
enum Step {
    On,
    Leave,
    Dead(&'static str),
}

/// Whose turn it is.
enum Turn {
    /// Code is typed.
    Editor,
    /// A cell of ours runs.
    Kernel(Cell),
    /// A cell of ours runs and waits for an answer that is typed.
    Answer(Cell),
    /// An answer is typed that nobody waits for any more.
    Late,
}

/// A cell of ours.
struct Cell {
    request: String,
    replied: bool,
    idle: bool,
    /// A later request whose answer says that the cell never arrived.
    barrier: Option<String>,
}

/// A question of the editor on its way.
struct Pending {
    request: String,
    answer: SyncSender<Known>,
}

struct Console {
    channels: Channels,
    keyboard: Keyboard,
    show: Show,
    turn: Turn,
    query: Option<Pending>,
    /// Lines that are shown above the editor as soon as it takes them.
    waiting: VecDeque<String>,
    /// The number of the newest cell, when one was seen.
    count: Option<u64>,
    /// What the next cell is to begin with, when the last one said so.
    begun: String,
    /// The last cell wants that this program ends.
    leaves: bool,
    /// The kernel's process has died, and the next one has not said a word yet.
    restarts: bool,
    /// Cells that the kernel works on. While there are any, it answers no key of ours.
    under_way: HashSet<String>,
}

impl Console {
    /// Gives the editor its turn.
    fn edit(&mut self) {
        let number = self
            .count
            .map_or(" ".into(), |count| (count + 1).to_string());
        let begun = std::mem::take(&mut self.begun);
        self.keyboard
            .read(Read::Code(format!("In [{number}]: "), begun));
        self.turn = Turn::Editor;
    }

    fn is_edited(&self) -> bool {
        matches!(self.turn, Turn::Editor | Turn::Answer(_) | Turn::Late)
    }

    /// Shows lines, above what is being typed if anything is.
    fn tell(&mut self, text: String) -> anyhow::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if !self.is_edited() {
            self.show.next_line()?;
            self.show.print(&text)?;
        } else if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(text);
        } else if let Some(last) = self.waiting.back_mut() {
            // The terminal takes nothing, or not as fast as others print.
            *last = "[other] some lines are missing here\n".into();
        }
        Ok(())
    }

    async fn heard(&mut self, event: Event) -> anyhow::Result<Step> {
        match event {
            Event::Message(message) => self.message(message).await,
            Event::Gone => Ok(Step::Dead("the kernel is gone")),
            Event::Back => {
                self.query = None;
                self.under_way.clear();
                self.tell("soulbox: the connection was lost and is there again\n".into())?;
                if let Turn::Kernel(cell) | Turn::Answer(cell) = &mut self.turn {
                    // Requests are answered in order.
                    let (kind, nothing) = ("comm_info_request", json!({}));
                    cell.barrier = Some(self.channels.send("shell", kind, &nothing).await);
                }
                Ok(Step::On)
            }
        }
    }

    async fn message(&mut self, message: Message) -> anyhow::Result<Step> {
        if let Some(count) = message.content["execution_count"].as_u64() {
            self.count = Some(count);
        }
        if let Some(pending) = self.query.take_if(|one| message.answers(&one.request)) {
            // The editor may have stopped waiting.
            let _ = pending.answer.try_send(known(&message));
            return Ok(Step::On);
        }
        self.note(&message);
        match message.state() {
            Some("dead") => return Ok(Step::Dead("the kernel has died")),
            Some("restarting") => {
                self.restarts = true;
                self.tell("soulbox: the kernel has died and is started again\n".into())?;
                return self.over();
            }
            Some("starting") if !message.has_parent() => {
                (self.query, self.count) = (None, None);
                // After a death that was said already.
                if !std::mem::take(&mut self.restarts) {
                    let text = "soulbox: the kernel was restarted; its variables are gone\n";
                    self.tell(text.into())?;
                    return self.over();
                }
            }
            _ => {}
        }
        let (Turn::Kernel(cell) | Turn::Answer(cell)) = &mut self.turn else {
            return self.others(&message);
        };
        if cell
            .barrier
            .as_ref()
            .is_some_and(|barrier| message.answers(barrier))
        {
            self.tell("soulbox: the cell was lost with the connection; run it again\n".into())?;
            return self.over();
        }
        if !message.belongs_to(&cell.request) {
            return self.others(&message);
        }
        if message.answers(&cell.request) {
            cell.replied = true;
        }
        cell.idle = cell.idle || message.state() == Some("idle");
        let ended = cell.replied && cell.idle;
        if message.kind() == "execute_reply" {
            self.payloads(&message.content);
        }
        if message.kind() == "input_request" {
            self.question(&message)?;
        } else {
            self.show.own(&message)?;
        }
        if ended { self.over() } else { Ok(Step::On) }
    }

    /// Keeps in mind what the kernel works on.
    fn note(&mut self, message: &Message) {
        match message.state() {
            Some("busy") if message.is_of_a_cell() && self.under_way.len() < MOST_UNDER_WAY => {
                self.under_way.insert(message.parent_id().to_owned());
            }
            Some("idle") => {
                self.under_way.remove(message.parent_id());
            }
            // It may have said so, and to nobody.
            Some("starting" | "restarting") => self.under_way.clear(),
            _ => {}
        }
    }

    /// What another client has caused.
    fn others(&mut self, message: &Message) -> anyhow::Result<Step> {
        if message.channel == "iopub" {
            let text = self.show.other(message)?;
            self.tell(text)?;
        }
        Ok(Step::On)
    }

    /// What a cell wants of its client beyond being shown.
    fn payloads(&mut self, content: &Value) {
        for payload in content["payload"].as_array().into_iter().flatten() {
            match payload["source"].as_str() {
                Some("set_next_input") => {
                    self.begun = payload["text"].as_str().unwrap_or_default().to_owned();
                }
                Some("ask_exit") => self.leaves = true,
                _ => {}
            }
        }
    }

    /// The kernel asks the user.
    fn question(&mut self, message: &Message) -> anyhow::Result<()> {
        let prompt = message.text("prompt");
        let (before, last) = prompt
            .rsplit_once('\n')
            .map_or(("", prompt), |(before, last)| (before, last));
        if !before.is_empty() {
            self.show.print(&format!("{before}\n"))?;
        }
        self.show.next_line()?;
        if let Turn::Kernel(cell) = std::mem::replace(&mut self.turn, Turn::Late) {
            self.turn = Turn::Answer(cell);
            let hidden = message.content["password"] == true;
            self.keyboard.read(Read::Answer(last.to_owned(), hidden));
        }
        Ok(())
    }

    /// The cell has ended, or will never.
    fn over(&mut self) -> anyhow::Result<Step> {
        if self.leaves {
            return Ok(Step::Leave);
        }
        match std::mem::replace(&mut self.turn, Turn::Late) {
            Turn::Kernel(_) => {
                self.show.next_line()?;
                self.edit();
            }
            // Somebody else has interrupted it.
            Turn::Answer(_) => {
                self.tell("soulbox: nobody waits for this answer any more; press Enter\n".into())?;
            }
            other => self.turn = other,
        }
        Ok(Step::On)
    }

    async fn typed(&mut self, typed: Typed) -> anyhow::Result<Step> {
        match typed {
            Typed::Query(query, answer) => self.ask(query, answer).await,
            Typed::Broken(why) => bail!("the terminal can't be used: {why}"),
            Typed::Text(text) => self.text(text).await?,
            Typed::Interrupted => match std::mem::replace(&mut self.turn, Turn::Late) {
                Turn::Answer(cell) => {
                    self.turn = Turn::Kernel(cell);
                    self.channels.interrupt().await?;
                }
                _ => self.edit(),
            },
            Typed::End => match std::mem::replace(&mut self.turn, Turn::Late) {
                Turn::Answer(cell) => self.reply(cell, END_OF_INPUT).await,
                Turn::Editor => return Ok(Step::Leave),
                _ => self.edit(),
            },
        }
        Ok(Step::On)
    }

    async fn text(&mut self, text: String) -> anyhow::Result<()> {
        match std::mem::replace(&mut self.turn, Turn::Late) {
            Turn::Answer(cell) => self.reply(cell, &text).await,
            Turn::Editor if !text.trim().is_empty() => {
                let request = execute(&mut self.channels, &text, true).await;
                self.turn = Turn::Kernel(Cell {
                    request,
                    replied: false,
                    idle: false,
                    barrier: None,
                });
            }
            _ => self.edit(),
        }
        Ok(())
    }

    async fn reply(&mut self, cell: Cell, text: &str) {
        let content = json!({"value": text, "status": "ok"});
        self.channels.send("stdin", "input_reply", &content).await;
        self.turn = Turn::Kernel(cell);
    }

    async fn ask(&mut self, query: Query, answer: SyncSender<Known>) {
        if !self.under_way.is_empty() {
            // Dropped, which says that nothing is known.
            return;
        }
        let (kind, content) = match query {
            Query::Completions(code, place) => (
                "complete_request",
                json!({"code": code, "cursor_pos": place}),
            ),
            Query::IsComplete(code) => ("is_complete_request", json!({"code": code})),
        };
        let request = self.channels.send("shell", kind, &content).await;
        self.query = Some(Pending { request, answer });
    }
}

/// What a reply of the kernel says.
fn known(message: &Message) -> Known {
    let content = &message.content;
    if message.kind() == "is_complete_reply" {
        let more = content["status"] == "incomplete";
        return Known::More(more.then(|| message.text("indent").to_owned()));
    }
    let start = content["cursor_start"].as_u64().unwrap_or(u64::MAX);
    let matches = content["matches"].as_array().into_iter().flatten();
    // What is completed is shown by the editor, so it must not steer the terminal.
    let texts = matches
        .filter_map(Value::as_str)
        .filter(|text| !text.chars().any(char::is_control))
        .take(MOST_COMPLETIONS)
        .map(str::to_owned);
    Known::Completions(
        usize::try_from(start).unwrap_or(usize::MAX),
        texts.collect(),
    )
}

/// The terminal's settings, which are there again when this is dropped: the editor may be in the
/// middle of a line when there is nothing to edit any more.
struct Kept(Termios);

impl Kept {
    fn new() -> anyhow::Result<Self> {
        let settings = tcgetattr(stdin()).context("the terminal's settings can't be read")?;
        Ok(Self(settings))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A terminal that has gone away needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        let _ = stdout().write_all(PLAIN_PASTE);
        let _ = stdout().flush();
    }
}
