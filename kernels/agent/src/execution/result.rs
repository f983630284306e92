//! A kernel's display data as a `result` item (section 5.2 of the contract).
//!
//! Each MIME type of the table has a field of its own, everything else goes into `extra`.
//! No field is null and none is added: clients take unknown ones for formats.

use super::raw;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// MIME types that have a field, in the order in which the fields are written.
const FIELDS: [(&str, &str); 13] = [
    ("text/plain", "text"),
    ("text/html", "html"),
    ("text/markdown", "markdown"),
    ("image/svg+xml", "svg"),
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("application/pdf", "pdf"),
    ("text/latex", "latex"),
    ("application/json", "json"),
    ("application/javascript", "javascript"),
    ("e2b/data", "data"),
    ("e2b/chart", "chart"),
    ("", "extra"),
];

/// Content of `execute_result`, `display_data` and `update_display_data`, as far as it matters here.
#[derive(Deserialize)]
struct Display {
    #[serde(default)]
    data: BTreeMap<String, Box<RawValue>>,
}

/// What is shown, by MIME type.
pub struct Bundle(BTreeMap<String, Box<RawValue>>);

impl Bundle {
    /// `None` when the kernel's content cannot be read.
    pub fn read(content: &[u8]) -> Option<Self> {
        let Display { mut data } = raw::parse(content)?;
        data.retain(|_, value| value.get() != "null");
        Some(Self(data))
    }

    /// The value of this type.
    pub fn get(&self, mime: &str) -> Option<&RawValue> {
        self.0.get(mime).map(Box::as_ref)
    }

    /// Sets the value of this type.
    pub fn put(&mut self, mime: &str, value: Box<RawValue>) {
        self.0.insert(mime.into(), value);
    }

    /// The line of the result.
    pub fn line(self, main: bool) -> Vec<u8> {
        line(self.0, main)
    }
}

fn line(mut data: BTreeMap<String, Box<RawValue>>, main: bool) -> Vec<u8> {
    let length: usize = data.values().map(|value| value.get().len()).sum();
    let mut line = Vec::with_capacity(length + 256);
    line.extend_from_slice(br#"{"type":"result","is_main_result":"#);
    line.extend_from_slice(if main { b"true" } else { b"false" });
    for (mime, field) in FIELDS {
        if let Some(value) = data.remove(mime) {
            key(&mut line, field);
            match raw::unquoted(value.get()).filter(|_| field == "text") {
                Some(inside) => {
                    line.push(b'"');
                    line.extend_from_slice(inside.as_bytes());
                    line.push(b'"');
                }
                None => raw::splice(&mut line, &value),
            }
        }
    }
    key(&mut line, "extra");
    line.push(b'{');
    for (number, (mime, value)) in data.iter().enumerate() {
        if number > 0 {
            line.push(b',');
        }
        line.extend_from_slice(Value::from(mime.as_str()).to_string().as_bytes());
        line.push(b':');
        raw::splice(&mut line, value);
    }
    line.extend_from_slice(b"}}");
    raw::finish(line)
}

fn key(line: &mut Vec<u8>, field: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(field.as_bytes());
    line.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(data: Value, main: bool) -> Value {
        let content = json!({"data": data, "metadata": {}, "transient": {}, "execution_count": 1});
        let bundle = Bundle::read(content.to_string().as_bytes()).expect("a result");
        let line = bundle.line(main);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&line).expect("JSON")
    }

    #[test]
    fn the_main_result_of_a_number_is_the_captured_one() {
        let expected = json!({"type": "result", "text": "2", "is_main_result": true, "extra": {}});
        assert_eq!(result(json!({"text/plain": "2"}), true), expected);
    }

    #[test]
    fn every_mime_type_of_the_table_has_its_field() {
        let data = json!({
            "text/plain": "'t'", "text/html": "h", "text/markdown": "m", "text/latex": "l", "image/svg+xml": "s",
            "image/png": "p", "image/jpeg": "j", "application/pdf": "f", "application/json": {"a": [1, null]},
            "application/javascript": "x", "e2b/data": {"c": [1]}, "e2b/chart": {"type": "line"},
        });
        let expected = json!({
            "type": "result", "is_main_result": false, "text": "t", "html": "h", "markdown": "m", "latex": "l",
            "svg": "s", "png": "p", "jpeg": "j", "pdf": "f", "json": {"a": [1, null]}, "javascript": "x",
            "data": {"c": [1]}, "chart": {"type": "line"}, "extra": {},
        });
        assert_eq!(result(data, false), expected);
    }

    #[test]
    fn other_types_are_extra_and_nulls_are_left_out() {
        let data = json!({"application/vnd.plotly.v1+json": {"data": []}, "x/y": "z", "text/html": null, "a/b": null});
        let value = result(data, false);
        assert_eq!(
            value["extra"],
            json!({"application/vnd.plotly.v1+json": {"data": []}, "x/y": "z"})
        );
        assert_eq!(value.as_object().expect("an object").len(), 3);
    }

    #[test]
    fn only_texts_lose_their_quotes_and_only_in_the_text() {
        assert_eq!(
            result(json!({"text/plain": "'it\\'s'"}), true)["text"],
            "it\\'s"
        );
        assert_eq!(result(json!({"text/plain": "\"a\""}), true)["text"], "a");
        assert_eq!(
            result(json!({"text/plain": "a", "text/html": "'a'"}), true)["html"],
            "'a'"
        );
        assert_eq!(result(json!({"text/plain": 5}), true)["text"], 5);
    }

    #[test]
    fn an_empty_bundle_is_a_result_without_formats() {
        assert_eq!(
            result(json!({}), false),
            json!({"type": "result", "is_main_result": false, "extra": {}})
        );
        assert!(Bundle::read(b"5").is_none());
    }

    #[test]
    fn the_fields_are_those_that_the_protocol_crate_knows() {
        // The oracle: what jupyter-protocol serialises, this reads.
        use jupyter_protocol::{DisplayData, Media, MediaType};
        let bundle = Media::new(vec![
            MediaType::Plain("1".into()),
            MediaType::Html("<b>".into()),
        ]);
        let content = serde_json::to_vec(&DisplayData::new(bundle)).expect("JSON");
        let line = Bundle::read(&content).expect("a result").line(false);
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["text"], &line["html"]), (&json!("1"), &json!("<b>")));
    }
}
