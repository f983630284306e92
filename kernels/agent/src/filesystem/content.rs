//! What a file is called and what it seems to hold, for the headers of a download.

use http::HeaderValue;
use std::path::Path;

/// Type of content that nothing is known about.
const UNKNOWN: &str = "application/octet-stream";

/// First bytes that name a format.
const MAGIC: [(&[u8], &str); 9] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"<!DOCTYPE HTML", "text/html; charset=utf-8"),
    (b"<html", "text/html; charset=utf-8"),
    (b"<?xml", "text/xml; charset=utf-8"),
];

/// The type by the extension of its name, else by its first bytes.
pub fn content_type(path: &Path, first: &[u8]) -> HeaderValue {
    let by_name = mime_guess::from_path(path).first_raw();
    let known = by_name.unwrap_or_else(|| sniff(first));
    if known.starts_with("text/") && !known.contains("charset") {
        let text = format!("{known}; charset=utf-8");
        return HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(UNKNOWN));
    }
    HeaderValue::from_static(known)
}

fn sniff(first: &[u8]) -> &'static str {
    let first = &first[..first.len().min(512)];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
        return name;
    }
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if first.iter().any(is_binary) {
        UNKNOWN
    } else {
        "text/plain; charset=utf-8"
    }
}

/// `inline; filename=...`, quoted or in the extended form where the name needs it (RFC 6266).
pub fn disposition(path: &Path) -> HeaderValue {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let text = if !name.is_empty() && name.bytes().all(token) {
        format!("inline; filename={name}")
    } else if name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("inline; filename=\"{quoted}\"")
    } else {
        let mut text = String::from("inline; filename*=utf-8''");
        for byte in name.bytes() {
            if token(byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        text
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("inline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_names_and_else_from_bytes() {
        for (name, first, expected) in [
            ("a.txt", &b""[..], "text/plain; charset=utf-8"),
            ("a.json", b"", "application/json"),
            ("a.PNG", b"", "image/png"),
            ("a", b"\x89PNG\r\n\x1a\n..", "image/png"),
            ("a", b"words", "text/plain; charset=utf-8"),
            ("a", b"\0\x01", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name), first), expected, "{name}");
        }
    }

    #[test]
    fn names_are_quoted_only_where_needed() {
        for (path, expected) in [
            ("/a/plain.txt", "inline; filename=plain.txt"),
            ("/a/two words.txt", "inline; filename=\"two words.txt\""),
            ("/a/q\"uote", "inline; filename=\"q\\\"uote\""),
            ("/a/é\n", "inline; filename*=utf-8''%C3%A9%0A"),
        ] {
            assert_eq!(disposition(Path::new(path)), expected);
        }
    }
}
