//! `[namespace/]name[:tag]` (e2b-wire.md, section 2).

use super::ApiError;
use soulbox_runtime::TemplateName;

/// The tag that no tag means.
const DEFAULT_TAG: &str = "default";
/// Length and places of the dashes of a UUID, which a tag may not look like.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// A reference that keeps the rules. Whether it leads to a template is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateReference {
    /// Whose, if said.
    pub namespace: Option<TemplateName>,
    /// Which.
    pub name: TemplateName,
    /// Which build of it, if said.
    pub tag: Option<String>,
}

impl TemplateReference {
    /// Reads a reference as a client writes it.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = |what: &str| ApiError::bad(format!("Invalid template reference: {what}"));
        let text = text.trim().to_lowercase();
        let (rest, tag) = match text.split_once(':') {
            Some((rest, tag)) => (rest, Some(tag)),
            None => (text.as_str(), None),
        };
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, rest),
        };
        let named = |part: &str, what: &str| {
            TemplateName::new(part)
                .map_err(|error| wrong(&format!("{what}: expected {}", error.rule)))
        };
        if tag.is_some_and(|tag| !fits_tag(tag)) {
            return Err(wrong("tag: expected a-z, 0-9, -, _ and ., and not a UUID"));
        }
        Ok(Self {
            namespace: namespace.map(|part| named(part, "namespace")).transpose()?,
            name: named(name, "name")?,
            tag: tag.map(ToOwned::to_owned),
        })
    }

    /// Whether it means the current build, which is the only one that is kept.
    pub fn is_current(&self) -> bool {
        self.tag.as_deref().is_none_or(|tag| tag == DEFAULT_TAG)
    }
}

fn fits_tag(tag: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let groups = tag.split('-').map(str::len);
    let hexadecimal = tag.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let uuid = hexadecimal && groups.eq(UUID_GROUPS);
    (1..=128).contains(&tag.len()) && tag.bytes().all(letters) && !uuid
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_parts_are_found() {
        let full = TemplateReference::parse(" Team/Code-interpreter_v1:V1.2 ").expect("valid");
        assert_eq!(full.namespace.expect("given").as_str(), "team");
        assert_eq!(full.name.as_str(), "code-interpreter_v1");
        assert_eq!(full.tag.as_deref(), Some("v1.2"));
        let bare = TemplateReference::parse("base").expect("valid");
        assert!(bare.namespace.is_none() && bare.is_current());
        assert!(
            TemplateReference::parse("base:default")
                .expect("valid")
                .is_current()
        );
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let uuid = "base:0b3f5a52-27a0-4ab5-9e9c-bc3f7b8c7f4d";
        for bad in [
            "", "/", "a/", "/a", "a:", ":a", "a/b/c", "a:b:c", "a b", "ä", "a\0", uuid,
        ] {
            assert!(TemplateReference::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".*") {
            let _ = TemplateReference::parse(&text);
        }
    }
}
