//! The items of an execution's answer, as JSON lines (section 5.1 of the contract).
//!
//! A line is complete JSON with one line end at its end; fields that are absent are left out.

use super::raw;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Sent when nothing else was for a while; clients ignore it.
pub const KEEPALIVE: &[u8] = b"{\"type\":\"keepalive\"}\n";

/// The last line of every answer.
pub const END: &[u8] = b"{\"type\":\"end_of_execution\"}\n";

#[derive(Deserialize)]
struct Stream {
    name: String,
    text: Box<RawValue>,
}

/// Content of an `error` broadcast, and of a reply that says `error`.
#[derive(Deserialize)]
struct Failure {
    ename: Box<RawValue>,
    evalue: Box<RawValue>,
    #[serde(default)]
    traceback: Vec<Box<RawValue>>,
}

/// The first line: which execution of its kernel this is.
pub fn number(count: u64) -> Vec<u8> {
    raw::finish(
        json!({"type": "number_of_executions", "execution_count": count})
            .to_string()
            .into_bytes(),
    )
}

/// Text that was written to standard output or error.
pub fn output(content: &[u8]) -> Option<Vec<u8>> {
    let stream: Stream = raw::parse(content)?;
    let name = if stream.name == "stderr" {
        "stderr"
    } else {
        "stdout"
    };
    let text = stream.text.get();
    let mut line = Vec::with_capacity(text.len() + 96);
    line.extend_from_slice(format!(r#"{{"type":"{name}","text":"#).as_bytes());
    raw::splice(&mut line, &stream.text);
    line.extend_from_slice(format!(r#","timestamp":"{}"}}"#, now()).as_bytes());
    Some(raw::finish(line))
}

/// An exception in the code. Its traceback is one text without colours.
pub fn error(content: &[u8]) -> Option<Vec<u8>> {
    let failure: Failure = raw::parse(content)?;
    let mut line = Vec::with_capacity(content.len() + 64);
    line.extend_from_slice(br#"{"type":"error","name":"#);
    raw::splice(&mut line, &failure.ename);
    line.extend_from_slice(br#","value":"#);
    raw::splice(&mut line, &failure.evalue);
    line.extend_from_slice(br#","traceback":""#);
    let inside = |part: &RawValue| {
        let clean = raw::without_colours(part.get()).into_owned();
        clean
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or_default()
            .to_owned()
    };
    let parts: Vec<String> = failure.traceback.iter().map(|part| inside(part)).collect();
    line.extend_from_slice(parts.join("\\n").as_bytes());
    line.extend_from_slice(b"\"}");
    Some(raw::finish(line))
}

/// An error that is ours to tell, and not one of the code.
pub fn failure(name: &str, value: &str) -> Vec<u8> {
    raw::finish(
        json!({"type": "error", "name": name, "value": value, "traceback": ""})
            .to_string()
            .into_bytes(),
    )
}

/// RFC 3339 in UTC with microseconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn value(line: Option<Vec<u8>>) -> Value {
        serde_json::from_slice(&line.expect("a line")).expect("JSON")
    }

    #[test]
    fn the_first_and_the_last_line_are_the_captured_ones() {
        assert_eq!(
            value(Some(number(1))),
            json!({"type": "number_of_executions", "execution_count": 1})
        );
        assert_eq!(
            value(Some(END.to_vec())),
            json!({"type": "end_of_execution"})
        );
    }

    #[test]
    fn output_keeps_its_text_and_has_a_time() {
        let item = value(
            output(br#"{"name": "stdout", "text": "a\n\ud800"}"#.as_slice()).map(|line| {
                // A lone surrogate is passed on as it is; this parser would refuse it.
                String::from_utf8(line)
                    .expect("UTF-8")
                    .replace("\\ud800", "")
                    .into_bytes()
            }),
        );
        assert_eq!(
            (&item["type"], &item["text"]),
            (&json!("stdout"), &json!("a\n"))
        );
        let time = item["timestamp"].as_str().expect("a text");
        assert!(
            time.parse::<jiff::Timestamp>().is_ok()
                && time.len() == "2026-01-01T00:00:00.000000Z".len(),
            "{time}"
        );
        assert_eq!(
            value(output(br#"{"name": "stderr", "text": ""}"#))["type"],
            "stderr"
        );
    }

    #[test]
    fn a_traceback_is_one_text_without_colours() {
        let content = json!({"ename": "E", "evalue": "v\"", "traceback": ["\u{1b}[31ma\u{1b}[0m", "b"], "status": "error"});
        let expected = json!({"type": "error", "name": "E", "value": "v\"", "traceback": "a\nb"});
        assert_eq!(value(error(content.to_string().as_bytes())), expected);
    }
}
