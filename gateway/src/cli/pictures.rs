//! Pictures that code draws, as files in the directory where the command was called: a terminal
//! shows text.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::PathBuf,
};

/// Files that may be written by one command, so that a loop does not fill a directory.
const MOST_FILES: usize = 1000;

/// A form of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// What Jupyter calls it.
    pub mime: &'static str,
    /// What the interpreter's events call it.
    pub field: &'static str,
    ending: &'static str,
    encoded: bool,
}

/// All of them.
pub const FORMS: [Form; 4] = [
    Form {
        mime: "image/png",
        field: "png",
        ending: "png",
        encoded: true,
    },
    Form {
        mime: "image/jpeg",
        field: "jpeg",
        ending: "jpg",
        encoded: true,
    },
    Form {
        mime: "image/svg+xml",
        field: "svg",
        ending: "svg",
        encoded: false,
    },
    Form {
        mime: "application/pdf",
        field: "pdf",
        ending: "pdf",
        encoded: true,
    },
];

/// Names and writes the files of one command.
#[derive(Debug, Default)]
pub struct Pictures {
    files: usize,
}

impl Pictures {
    /// Writes a new file; none that is there is touched. `None` when there are enough, or when
    /// the content is no picture.
    pub fn save(&mut self, form: Form, content: &str) -> anyhow::Result<Option<PathBuf>> {
        let bytes = if form.encoded {
            // Base64 of a kernel may have line ends in it.
            let plain = content.bytes().filter(|byte| !byte.is_ascii_whitespace());
            let Ok(bytes) = BASE64.decode(plain.collect::<Vec<u8>>()) else {
                eprintln!("soulbox: what came as {} is no image", form.field);
                return Ok(None);
            };
            bytes
        } else {
            content.as_bytes().to_vec()
        };
        while self.files < MOST_FILES {
            self.files += 1;
            let path = PathBuf::from(format!("soulbox-{}.{}", self.files, form.ending));
            match File::create_new(&path) {
                Ok(mut file) => {
                    file.write_all(&bytes)?;
                    return Ok(Some(path));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be written", path.display()));
                }
            }
        }
        Ok(None)
    }
}
