//! Which encoding an answer may have: `Accept-Encoding` (RFC 9110, section 12.5.3).

use http::{HeaderMap, header};

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes as they are.
    Identity,
    /// Compressed.
    Gzip,
    /// The client takes neither (406).
    Neither,
}

/// Chooses gzip wherever the client takes it, since most of what is read is text.
pub fn negotiate(headers: &HeaderMap) -> Encoding {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|v| v.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';');
        let coding = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let admitted = parts.find_map(weight).unwrap_or(1.0) > 0.0;
        match coding.as_str() {
            "gzip" | "x-gzip" => gzip = Some(admitted),
            "identity" => identity = Some(admitted),
            "*" => any = Some(admitted),
            _ => {}
        }
    }
    if gzip.or(any).unwrap_or(false) {
        Encoding::Gzip
    } else if identity.or(any).unwrap_or(true) {
        Encoding::Identity
    } else {
        Encoding::Neither
    }
}

/// `q=0.5`; nonsense admits.
fn weight(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.split_once('=')?;
    name.trim()
        .eq_ignore_ascii_case("q")
        .then(|| value.trim().parse().unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_table() {
        for (value, expected) in [
            ("", Encoding::Identity),
            ("gzip, deflate, br", Encoding::Gzip),
            ("GZIP;q=0.1", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("identity", Encoding::Identity),
            ("br", Encoding::Identity),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0, *", Encoding::Identity),
            ("identity;q=0", Encoding::Neither),
            ("*;q=0", Encoding::Neither),
            ("identity;q=0, gzip", Encoding::Gzip),
            ("*;q=0, identity", Encoding::Identity),
        ] {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.clone())]);
            assert_eq!(negotiate(&headers), expected, "{value:?}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Encoding::Identity);
    }
}
