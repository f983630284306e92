//! Which part of a file is wanted: `Range` and the conditional headers (RFC 9110, 13 and 14).
//!
//! One range is honoured; several are answered with the whole file, as the RFC allows, because
//! overlapping ranges are a known way to make a server work for nothing.

use http::{HeaderMap, HeaderName, header};
use std::time::{Duration, SystemTime};

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes: the first, and how many (at least one).
    Range(u64, u64),
    /// The file has no such bytes (416).
    OutOfRange,
    /// The client has this file already (304).
    NotModified,
    /// The file is not the one that the client means (412).
    Changed,
}

/// Headers after which the answer is never compressed.
const SELECTING: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// Whether the request has any of the headers that this module looks at.
pub fn is_selecting(headers: &HeaderMap) -> bool {
    SELECTING.iter().any(|name| headers.contains_key(name))
}

/// Decides what to send of a file.
pub fn select(headers: &HeaderMap, size: u64, modified: SystemTime) -> Part {
    let modified = whole_seconds(modified);
    let date = |name| text(headers, name).and_then(|value| httpdate::parse_http_date(value).ok());
    // There are no entity tags here: nothing matches one, and `*` matches every file.
    if text(headers, header::IF_MATCH).is_some_and(|tags| tags.trim() != "*")
        || date(header::IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since)
    {
        return Part::Changed;
    }
    match text(headers, header::IF_NONE_MATCH) {
        Some(tags) if tags.trim() == "*" => return Part::NotModified,
        Some(_) => {}
        None if date(header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since) => {
            return Part::NotModified;
        }
        None => {}
    }
    let still_the_same = match text(headers, header::IF_RANGE) {
        None => true,
        Some(value) => httpdate::parse_http_date(value).is_ok_and(|since| modified == since),
    };
    match text(headers, header::RANGE) {
        Some(range) if still_the_same => parse(range, size),
        _ => Part::Whole,
    }
}

/// `bytes=first-last`, `bytes=first-` or `bytes=-count`.
fn parse(range: &str, size: u64) -> Part {
    let Some((unit, set)) = range.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Part::OutOfRange;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
    };
    let bounds: (Option<u64>, Option<u64>) = match (first, last) {
        ("", "") => return Part::OutOfRange,
        ("", count) => match number(count).flatten() {
            Some(count) => (Some(size.saturating_sub(count)), None),
            None => return Part::OutOfRange,
        },
        (first, "") => (number(first).flatten(), None),
        (first, last) => match number(last).flatten() {
            Some(last) => (number(first).flatten(), Some(last)),
            None => return Part::OutOfRange,
        },
    };
    let (Some(first), last) = bounds else {
        return Part::OutOfRange;
    };
    let end = last.map_or(size, |last: u64| last.saturating_add(1).min(size));
    if first >= end {
        return Part::OutOfRange;
    }
    Part::Range(first, end - first)
}

/// HTTP dates have no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap()))
            .collect()
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-3", Part::Range(0, 4)),
            ("bytes=8-", Part::Range(8, 2)),
            ("bytes=-3", Part::Range(7, 3)),
            ("bytes=-30", Part::Range(0, 10)),
            ("bytes=5-500", Part::Range(5, 5)),
            ("bytes=10-", Part::OutOfRange),
            ("bytes=-0", Part::OutOfRange),
            ("bytes=4-2", Part::OutOfRange),
            ("bytes=x-", Part::OutOfRange),
            ("bytes=0-1,2-3", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            let headers = headers(&[(header::RANGE, range)]);
            assert_eq!(
                select(&headers, 10, SystemTime::UNIX_EPOCH),
                expected,
                "{range}"
            );
        }
    }

    #[test]
    fn conditions() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_500);
        let (same, before) = (
            "Mon, 12 Jan 1970 13:46:40 GMT",
            "Mon, 12 Jan 1970 13:46:39 GMT",
        );
        for (pairs, expected) in [
            (vec![(header::IF_MODIFIED_SINCE, same)], Part::NotModified),
            (vec![(header::IF_MODIFIED_SINCE, before)], Part::Whole),
            (vec![(header::IF_UNMODIFIED_SINCE, before)], Part::Changed),
            (vec![(header::IF_UNMODIFIED_SINCE, same)], Part::Whole),
            (vec![(header::IF_NONE_MATCH, "*")], Part::NotModified),
            (vec![(header::IF_MATCH, "\"x\"")], Part::Changed),
            (
                vec![(header::RANGE, "bytes=0-0"), (header::IF_RANGE, same)],
                Part::Range(0, 1),
            ),
            (
                vec![(header::RANGE, "bytes=0-0"), (header::IF_RANGE, before)],
                Part::Whole,
            ),
        ] {
            assert_eq!(select(&headers(&pairs), 10, now), expected, "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_file(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0u64..100) {
            if let Part::Range(first, count) = parse(&range, size) {
                prop_assert!(count > 0 && first + count <= size);
            }
        }
    }
}
