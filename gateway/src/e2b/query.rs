//! Query parameters by name. Unknown ones are ignored (e2b-wire.md, section 1.7).

use super::ApiError;
use axum::{extract::FromRequestParts, http::request::Parts};
use std::convert::Infallible;

/// The decoded pairs of a query, in order.
pub struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Decodes a query once.
    pub fn parse(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        values
            .next()
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A list: separated by commas, or the parameter repeated.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values
            .flat_map(|(_, value)| value.split(','))
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// A parameter that must be of a kind, if it is there.
    pub fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let wrong = |_| ApiError::bad(format!("query parameter '{name}' must be {kind}"));
        text.parse().map(Some).map_err(wrong)
    }
}
