//! Shows the events of an execution: text as text, images as files.

use super::{
    super::pictures::{FORMS, Pictures},
    print,
};
use anyhow::Context as _;
use serde_json::Value;
use std::io::Write as _;

/// Formats that can be read in a terminal, the best one first.
const TEXTS: [&str; 3] = ["text", "markdown", "latex"];

/// How the code ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ran to its end.
    Well,
    /// It raised an error, or could not go on.
    Failed,
    /// It was interrupted.
    Interrupted,
}

/// Where events go.
pub struct Show {
    json: bool,
    pictures: Pictures,
    /// A Python program has left with 0, which a kernel tells as an error.
    left_well: bool,
}

impl Show {
    /// Events are shown, or printed as they are.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            pictures: Pictures::default(),
            left_well: false,
        }
    }

    /// Shows one event; says how the code ended when this was the last.
    pub fn line(&mut self, line: &[u8]) -> anyhow::Result<Option<Ended>> {
        let event: Value = serde_json::from_slice(line).context("an event makes no sense")?;
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let kind = text("type");
        if self.json && kind != "keepalive" {
            print(line)?;
        }
        if kind == "error" {
            self.left_well =
                text("name") == "SystemExit" && matches!(text("value"), "" | "0" | "None");
        }
        match kind {
            "end_of_execution" => return Ok(Some(self.end(&event))),
            _ if self.json => {}
            "stdout" => print(text("text").as_bytes())?,
            "stderr" => std::io::stderr().write_all(text("text").as_bytes())?,
            "result" => self.result(&event)?,
            "error" if self.left_well => {}
            "error" => {
                let traceback = text("traceback");
                if traceback.is_empty() {
                    eprintln!("{}: {}", text("name"), text("value"));
                } else {
                    eprintln!("{traceback}");
                }
            }
            "gap" => eprintln!("soulbox: {} events are missing here", event["events"]),
            _ => {}
        }
        Ok(None)
    }

    fn end(&self, event: &Value) -> Ended {
        match event["end"].as_str() {
            Some("ok") => Ended::Well,
            Some("error") if self.left_well => Ended::Well,
            Some("interrupted") => Ended::Interrupted,
            _ => Ended::Failed,
        }
    }

    fn result(&mut self, result: &Value) -> anyhow::Result<()> {
        let mut shown = false;
        for form in FORMS {
            let Some(content) = result[form.field].as_str() else {
                continue;
            };
            if let Some(path) = self.pictures.save(form, content)? {
                eprintln!("soulbox: saved {}", path.display());
                shown = true;
            }
        }
        // The text of an image only says that it is one.
        let text = TEXTS.iter().find_map(|field| result[*field].as_str());
        if let Some(text) = text.filter(|_| !shown) {
            print(format!("{text}\n").as_bytes())?;
        }
        Ok(())
    }
}
