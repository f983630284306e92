//! The `metadata` parameter of the list, which is encoded more than once
//! (e2b-wire.md, section 3.2).
//!
//! The client encodes each key and each value, then the pairs as a form, then the form as a
//! query value. The last layer is off already when the text arrives here.

use super::ApiError;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// Pairs that must all match.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let form = decode(text)?;
    form.split('&')
        .filter(|pair| !pair.is_empty())
        .map(pair)
        .collect()
}

fn pair(text: &str) -> Result<(String, String), ApiError> {
    match text.split('=').collect::<Vec<_>>()[..] {
        [key, value] => Ok((decode(key)?, decode(value)?)),
        _ => Err(ApiError::bad(
            "Invalid metadata filter: expected key=value pairs",
        )),
    }
}

fn decode(text: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| ApiError::bad("Invalid metadata filter: not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::e2b::query::Query;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    /// What the clients do, all three layers.
    fn on_the_wire(pairs: &BTreeMap<String, String>) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(
            pairs
                .iter()
                .map(|(key, value)| (encode(key), encode(value))),
        );
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("metadata", &form.finish());
        query.finish()
    }

    fn arrives(query: &str) -> Result<BTreeMap<String, String>, ApiError> {
        parse(Query::parse(query).get("metadata").unwrap_or_default())
    }

    #[test]
    fn the_captured_example_is_understood() {
        let pairs = arrives("metadata=a%252520b%3Dc%252526d").expect("valid");
        assert_eq!(pairs, BTreeMap::from([("a b".into(), "c&d".into())]));
    }

    #[test]
    fn a_pair_has_exactly_one_equals_sign() {
        for bad in ["a", "a=b=c", "a=b&c"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse("%ff=a").is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_arrives(
            pairs in prop::collection::btree_map(".*", ".*", 1..5),
        ) {
            prop_assert_eq!(arrives(&on_the_wire(&pairs)).expect("valid"), pairs);
        }

        #[test]
        fn nothing_makes_it_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
