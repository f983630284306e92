//! What the kernel says, as text: pictures become files that are named, and what other clients
//! asked for stands in lines with a mark.

use super::{
    super::super::pictures::{FORMS, Pictures},
    channels::Message,
};
use serde_json::Value;
use std::io::{Write as _, stderr, stdout};

/// Before every line that is not an answer to this client.
const MARK: &str = "[other] ";
/// An unfinished line of another client that is held back, in bytes.
const LINE_BYTES: usize = 16 << 10;

/// Shows messages.
pub struct Show {
    /// Whether a person looks, who is helped by numbers.
    person: bool,
    pictures: Pictures,
    /// Whether the cursor is at the beginning of a line.
    fresh: bool,
    /// What another client's output has of a line.
    unfinished: String,
}

impl Show {
    /// For a person at a terminal, or for a program.
    pub fn new(person: bool) -> Self {
        Self {
            person,
            pictures: Pictures::default(),
            fresh: true,
            unfinished: String::new(),
        }
    }

    /// Shows what belongs to this client's own cell.
    pub fn own(&mut self, message: &Message) -> anyhow::Result<()> {
        let content = &message.content;
        match message.kind() {
            "stream" if message.text("name") == "stderr" => self.error(message.text("text"))?,
            "stream" => self.print(message.text("text"))?,
            "execute_result" => {
                let number = &content["execution_count"];
                let text = self.bundle(&content["data"])?;
                self.result(&text, number)?;
            }
            "display_data" => {
                let text = self.bundle(&content["data"])?;
                self.result(&text, &Value::Null)?;
            }
            "error" => {
                let text = traceback(content);
                self.error(&text)?;
            }
            "execute_reply" => {
                for page in pages(content) {
                    self.print(&page)?;
                    self.next_line()?;
                }
                if content["status"] == "aborted" || content["status"] == "abort" {
                    self.error("soulbox: the cell was not run: one before it failed\n")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What belongs to somebody else, as whole lines.
    pub fn other(&mut self, message: &Message) -> anyhow::Result<String> {
        let content = &message.content;
        if message.kind() == "stream" {
            self.unfinished += message.text("text");
            let end = match self.unfinished.rfind('\n') {
                Some(end) => end + 1,
                None if self.unfinished.len() > LINE_BYTES => self.unfinished.len(),
                None => 0,
            };
            let rest = self.unfinished.split_off(end);
            return Ok(marked(&std::mem::replace(&mut self.unfinished, rest)));
        }
        let text = match message.kind() {
            "execute_input" => {
                let code = message.text("code").trim_end().replace('\n', "\n   ...: ");
                format!("In [{}]: {code}", content["execution_count"])
            }
            "execute_result" | "display_data" => self.bundle(&content["data"])?,
            "error" => traceback(content),
            "status" if message.state() == Some("idle") => String::new(),
            _ => return Ok(String::new()),
        };
        // A line that was not ended is over when something else comes.
        Ok(marked(&std::mem::take(&mut self.unfinished)) + &marked(&text))
    }

    /// Ends a line that output has left open.
    pub fn next_line(&mut self) -> std::io::Result<()> {
        if self.fresh {
            return Ok(());
        }
        self.print("\n")
    }

    /// Prints text as it is.
    pub fn print(&mut self, text: &str) -> std::io::Result<()> {
        if let Some(last) = text.chars().last() {
            self.fresh = last == '\n';
            let mut out = stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    fn error(&mut self, text: &str) -> std::io::Result<()> {
        if let Some(last) = text.chars().last() {
            self.fresh = last == '\n';
            stderr().write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn result(&mut self, text: &str, number: &Value) -> std::io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.person {
            self.next_line()?;
        }
        let break_before = if text.contains('\n') { "\n" } else { "" };
        let shown = match number.as_u64() {
            Some(number) if self.person => format!("Out[{number}]: {break_before}{text}\n"),
            _ => format!("{text}\n"),
        };
        self.print(&shown)
    }

    /// Saves the pictures of a result, or gives its text; the text of a picture only says
    /// that it is one.
    fn bundle(&mut self, data: &Value) -> anyhow::Result<String> {
        let mut said = Vec::new();
        for form in FORMS {
            if let Some(content) = data[form.mime].as_str()
                && let Some(path) = self.pictures.save(form, content)?
            {
                said.push(format!("soulbox: saved {}", path.display()));
            }
        }
        if said.is_empty() {
            return Ok(data["text/plain"].as_str().unwrap_or_default().to_owned());
        }
        if self.person {
            return Ok(said.join("\n"));
        }
        // A program reads results only.
        said.iter().for_each(|line| eprintln!("{line}"));
        Ok(String::new())
    }
}

/// The traceback of an error, or what there is of it.
fn traceback(content: &Value) -> String {
    let lines = content["traceback"].as_array().into_iter().flatten();
    let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
    let text = |name: &str| content[name].as_str().unwrap_or_default();
    match lines.join("\n") {
        none if none.is_empty() => format!("{}: {}\n", text("ename"), text("evalue")),
        lines => lines + "\n",
    }
}

/// What a cell wants to be read, such as help.
fn pages(content: &Value) -> Vec<String> {
    let payloads = content["payload"].as_array().into_iter().flatten();
    payloads
        .filter(|payload| payload["source"] == "page")
        .filter_map(|payload| Some(payload["data"]["text/plain"].as_str()?.to_owned()))
        .collect()
}

fn marked(text: &str) -> String {
    let lines = text.trim_end_matches('\n').split('\n');
    match text {
        "" => String::new(),
        _ => lines.map(|line| format!("{MARK}{line}\n")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn every_line_of_others_has_a_mark() {
        assert_eq!(marked(""), "");
        assert_eq!(marked("a\n\nb\n"), "[other] a\n[other] \n[other] b\n");
    }
}
