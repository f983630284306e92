//! `limit`, `nextToken` and `X-Next-Token` (e2b-wire.md, section 2).
//!
//! A token says after which place the next page begins, and for which order. It is readable
//! for whoever decodes it and holds nothing that its owner has not seen.

use super::{ApiError, query::Query};
use crate::sandboxes::{Cursor, Order};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use soulbox_runtime::SandboxId;

const LARGEST_PAGE: i64 = 100;

/// Items per page.
pub fn limit(query: &Query) -> Result<usize, ApiError> {
    match query.parsed::<i64>("limit", "a number")? {
        None => Ok(LARGEST_PAGE as usize),
        Some(wanted) if wanted < 1 => Err(ApiError::bad("limit must be greater than 0")),
        Some(wanted) => Ok(wanted.min(LARGEST_PAGE) as usize),
    }
}

/// The opaque form of a place.
pub fn token(order: Order, cursor: &Cursor) -> String {
    let start = cursor.started_at.as_microsecond();
    URL_SAFE_NO_PAD.encode(format!("{}:{start}:{}", word(order), cursor.id))
}

/// The place that a token stands for, if it was made for this order.
pub fn cursor(token: &str, order: Order) -> Result<Cursor, ApiError> {
    read(token, order).ok_or_else(|| ApiError::bad("Invalid next token"))
}

fn read(token: &str, order: Order) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (start, id) = text
        .strip_prefix(word(order))?
        .strip_prefix(':')?
        .split_once(':')?;
    let started_at = Timestamp::from_microsecond(start.parse().ok()?).ok()?;
    Some(Cursor {
        started_at,
        id: SandboxId::new(id).ok()?,
    })
}

fn word(order: Order) -> &'static str {
    match order {
        Order::Ascending => "asc",
        Order::Descending => "desc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_gives_back_its_place_for_its_order_only(
            micros in 0i64..253_402_207_199_000_000,
            id in "i[a-z0-9]{20}",
        ) {
            let cursor = Cursor {
                started_at: Timestamp::from_microsecond(micros).expect("in range"),
                id: SandboxId::new(id).expect("valid"),
            };
            let text = token(Order::Ascending, &cursor);
            prop_assert_eq!(read(&text, Order::Ascending), Some(cursor));
            prop_assert_eq!(read(&text, Order::Descending), None);
        }

        #[test]
        fn nothing_makes_it_panic(text in ".*") {
            let _ = read(&text, Order::Ascending);
            let _ = read(&URL_SAFE_NO_PAD.encode(text), Order::Descending);
        }
    }

    #[test]
    fn a_page_holds_one_to_a_hundred() {
        let limit = |text| super::limit(&Query::parse(text));
        assert_eq!(limit("").expect("absent"), 100);
        assert_eq!(limit("limit=1").expect("one"), 1);
        assert_eq!(limit("limit=5000").expect("clipped"), 100);
        for bad in ["limit=0", "limit=-1", "limit=x", "limit=1.5"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
