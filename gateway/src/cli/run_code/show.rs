//! Shows the events of an execution: text as text, images as files.

use super::print;
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use std::{io::Write as _, path::PathBuf};

/// Formats that become files: the event's field, the ending, and whether it is base64.
const FILES: [(&str, &str, bool); 4] = [
    ("png", "png", true),
    ("jpeg", "jpg", true),
    ("svg", "svg", false),
    ("pdf", "pdf", true),
];

/// Formats that can be read in a terminal, the best one first.
const TEXTS: [&str; 3] = ["text", "markdown", "latex"];

/// Files that may be written by one execution, so that a loop does not fill a directory.
const MOST_FILES: usize = 1000;

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
    files: usize,
    /// A Python program has left with 0, which a kernel tells as an error.
    left_well: bool,
}

impl Show {
    /// Events are shown, or printed as they are.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            files: 0,
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
        for (field, ending, encoded) in FILES {
            let Some(content) = result[field].as_str() else {
                continue;
            };
            if self.files >= MOST_FILES {
                continue;
            }
            let bytes = if encoded {
                // Base64 of a kernel may have line ends in it.
                let plain = content.bytes().filter(|byte| !byte.is_ascii_whitespace());
                let Ok(bytes) = BASE64.decode(plain.collect::<Vec<u8>>()) else {
                    eprintln!("soulbox: what came as {field} is no image");
                    continue;
                };
                bytes
            } else {
                content.as_bytes().to_vec()
            };
            let path = self.save(ending, &bytes)?;
            eprintln!("soulbox: saved {}", path.display());
            shown = true;
        }
        // The text of an image only says that it is one.
        let text = TEXTS.iter().find_map(|field| result[*field].as_str());
        if let Some(text) = text.filter(|_| !shown) {
            print(format!("{text}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Writes a new file; none that is there is touched.
    fn save(&mut self, ending: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        loop {
            self.files += 1;
            let path = PathBuf::from(format!("soulbox-{}.{ending}", self.files));
            match std::fs::File::create_new(&path) {
                Ok(mut file) => {
                    file.write_all(bytes)?;
                    return Ok(path);
                }
                Err(error)
                    if error.kind() == std::io::ErrorKind::AlreadyExists
                        && self.files < MOST_FILES => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be written", path.display()));
                }
            }
        }
    }
}
