//! JSON that is passed on without being decoded.
//!
//! Output of a kernel is already JSON text. Decoding and encoding a 100 MB text again would
//! cost seconds and its size twice over, and lone surrogates would not survive it. So values
//! are spliced, after the few changes that the line format of section 5.1 needs.

use memchr::{memchr2, memmem};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Characters at which clients that split on "lines" would cut a JSON line in two, as they
/// stand in UTF-8, and as they are written instead.
const LINE_ENDS: [(&[u8], &[u8]); 3] = [
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
];

/// Reads content of a kernel. What is not JSON for the reasons that kernels have (bytes that
/// are not UTF-8, `NaN`) is mended and read once more.
pub fn parse<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    serde_json::from_slice(content).ok().or_else(|| {
        let text = String::from_utf8_lossy(content);
        serde_json::from_str(&without_nan(&text)).ok()
    })
}

/// Appends a value to a line. Line ends outside texts, which pretty printers make, become blanks.
pub fn splice(line: &mut Vec<u8>, value: &RawValue) {
    let raw = value.get().as_bytes();
    if memchr2(b'\n', b'\r', raw).is_none() {
        line.extend_from_slice(raw);
    } else {
        line.extend(raw.iter().map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                *byte
            }
        }));
    }
}

/// Ends a line such that nobody sees a line end inside it.
pub fn finish(mut line: Vec<u8>) -> Vec<u8> {
    for (seen, written) in LINE_ENDS {
        if memmem::find(&line, seen).is_some() {
            line = replace(&line, seen, written);
        }
    }
    line.push(b'\n');
    line
}

fn replace(text: &[u8], seen: &[u8], written: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len() + text.len() / 8);
    let mut from = 0;
    for at in memmem::find_iter(text, seen) {
        result.extend_from_slice(&text[from..at]);
        result.extend_from_slice(written);
        from = at + seen.len();
    }
    result.extend_from_slice(&text[from..]);
    result
}

/// The inside of a JSON text without the outer pair of quote characters that a `repr` has.
/// `None` when the value is no text or has no such pair.
pub fn unquoted(raw: &str) -> Option<&str> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    let between = |quote: &str| inside.strip_prefix(quote)?.strip_suffix(quote);
    between("'").or_else(|| between("\\\""))
}

/// Removes the colour codes of terminals from a JSON text.
pub fn without_colours(raw: &str) -> Cow<'_, str> {
    const ESCAPE: &str = "\\u001b[";
    let lower = |text: &str| {
        text.get(..ESCAPE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(ESCAPE))
    };
    if !raw.contains("\\u001b[") && !raw.contains("\\u001B[") {
        return Cow::Borrowed(raw);
    }
    let mut clean = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (before, here) = rest.split_at(at);
        clean.push_str(before);
        if lower(here) {
            let code = here[ESCAPE.len()..]
                .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ';' | '?'));
            rest = code
                .strip_prefix(|c: char| c.is_ascii_alphabetic())
                .unwrap_or(code);
        } else {
            // An escape is copied whole, so that the second of two backslashes starts none.
            let end = here
                .char_indices()
                .nth(2)
                .map_or(here.len(), |(end, _)| end);
            clean.push_str(&here[..end]);
            rest = &here[end..];
        }
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Writes `null` for the numbers that Python's JSON has and JSON has not.
fn without_nan(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\\' if inside => rest
                .char_indices()
                .nth(2)
                .map_or(rest.len(), |(end, _)| end),
            _ => next.len_utf8(),
        };
        if next == '"' {
            inside = !inside;
        }
        let number = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|name| !inside && rest.starts_with(name));
        if let Some(name) = number {
            result.push_str("null");
            rest = &rest[name.len()..];
        } else {
            result.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_outer_pair_of_quotes_is_removed_and_nothing_else() {
        for (text, expected) in [
            ("'a'", Some("a")),
            ("\"it's\"", Some("it's")),
            ("'", None),
            ("'a\"", None),
            ("a'b'", None),
            ("''", Some("")),
            ("'a\\n'", Some("a\\n")),
            ("\"a\\\"", Some("a\\")),
            ("5", None),
        ] {
            let raw = json!(text).to_string();
            let inside = unquoted(&raw).map(|inside| {
                serde_json::from_str::<String>(&format!("\"{inside}\"")).expect("JSON")
            });
            assert_eq!(inside.as_deref(), expected, "{text}");
        }
        assert_eq!(unquoted("5"), None);
    }

    #[test]
    fn a_line_has_one_line_end_whatever_is_in_it() {
        let text = "a\u{2028}b\u{2029}c\u{85}d\u{e9}\u{20ac}";
        let line = finish(serde_json::to_vec(text).expect("JSON"));
        let shown = String::from_utf8(line).expect("UTF-8");
        assert_eq!(
            shown
                .matches(['\n', '\u{2028}', '\u{2029}', '\u{85}'])
                .count(),
            1
        );
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
    }

    #[test]
    fn a_pretty_printed_value_stays_on_its_line() {
        let value = RawValue::from_string("{\n \"a\": \"x\\ny\"\r\n}".into()).expect("JSON");
        let mut line = Vec::new();
        splice(&mut line, &value);
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        assert_eq!(
            serde_json::from_slice::<Value>(&line).expect("JSON"),
            json!({"a": "x\ny"})
        );
    }

    #[test]
    fn colours_are_removed_and_look_alikes_stay() {
        let clean = |text: &str| {
            serde_json::from_str::<String>(&without_colours(&json!(text).to_string()))
                .expect("JSON")
        };
        assert_eq!(
            clean("\u{1b}[0;31mError\u{1b}[0m: \u{1b}[38;5;28mé"),
            "Error: é"
        );
        assert_eq!(clean("\\u001b[31m\u{1b}[1m"), "\\u001b[31m");
        assert_eq!(clean("\u{1b}["), "");
    }

    #[test]
    fn numbers_that_json_lacks_become_null_outside_texts() {
        let value: Value =
            parse(br#"{"a": [NaN, -Infinity, Infinity, 1], "b": "NaN \" NaN"}"#).expect("mended");
        assert_eq!(
            value,
            json!({"a": [null, null, null, 1], "b": "NaN \" NaN"})
        );
        let value: Value = parse(b"\"\xff\"").expect("mended");
        assert_eq!(value, json!("\u{fffd}"));
        assert!(parse::<Value>(b"{").is_none());
    }
}
