//! `{id}` in a path: `<id>`, or the historic `<id>-<client id>`, of which the second half is
//! cut off (e2b-wire.md, section 2).

use super::ApiError;
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

/// The id of the sandbox that a path names. Not looked up yet.
pub struct SandboxPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for SandboxPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // By name, since a route may have further parameters.
        let all = RawPathParams::from_request_parts(parts, state).await.ok();
        let text = all
            .iter()
            .flatten()
            .find_map(|(name, text)| (name == "id").then_some(text));
        short_id(text.unwrap_or_default())
            .map(|id| Self(id.to_owned()))
            .ok_or(ApiError::bad("Invalid sandbox ID"))
    }
}

/// The id proper.
pub fn short_id(text: &str) -> Option<&str> {
    let (id, suffix) = text
        .split_once('-')
        .map_or((text, None), |(id, rest)| (id, Some(rest)));
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    (fits(id) && suffix.is_none_or(fits)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::short_id;
    use proptest::prelude::*;

    #[test]
    fn the_historic_half_is_cut_off() {
        assert_eq!(short_id("iabc"), Some("iabc"));
        assert_eq!(short_id("iabc-6532622b"), Some("iabc"));
        for bad in ["", "-", "a-", "-a", "a-b-c", "A", "a_b", "a/b", "ä", "a b"] {
            assert_eq!(short_id(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_always_plain(text in ".*") {
            if let Some(id) = short_id(&text) {
                prop_assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
                prop_assert!(text.starts_with(id));
            }
        }
    }
}
