//! Which links are copied: those that lead to another place in the copied directory, written
//! so that they lead there from wherever the copy is.

/// The text of a link, if what it leads to is below `root`. `link` and `target` are absolute,
/// and so is `root`; none of them is looked up.
pub fn within(root: &str, link: &str, target: &str) -> Option<String> {
    if link == target {
        // What a link that leads nowhere is said to lead to.
        return None;
    }
    let from = below(root, link)?;
    let to = below(root, target)?;
    // The directory that holds the link.
    let (_, from) = from.split_last()?;
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut words = vec![".."; from.len() - shared];
    words.extend(&to[shared..]);
    (!words.is_empty()).then(|| words.join("/"))
}

/// Whether a relative link stays below the directory that is copied. `depth` is how many
/// directories lie between the two.
pub fn stays_inside(depth: usize, text: &str) -> bool {
    if text.is_empty() || text.starts_with('/') {
        return false;
    }
    let mut level = depth;
    for word in text.split('/') {
        match word {
            "" | "." => {}
            ".." if level == 0 => return false,
            ".." => level -= 1,
            _ => level += 1,
        }
    }
    true
}

fn below<'a>(root: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let rest = match root {
        "/" => path.strip_prefix('/')?,
        _ => path.strip_prefix(root)?.strip_prefix('/')?,
    };
    let words: Vec<_> = rest.split('/').filter(|word| !word.is_empty()).collect();
    let odd = |word: &&str| matches!(*word, "." | "..") || word.contains('\0');
    (!words.iter().any(odd)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_inside_are_made_relative_and_others_are_none() {
        assert_eq!(within("/a", "/a/l", "/a/l"), None);
        assert_eq!(within("/a", "/a/l", "/a/f").as_deref(), Some("f"));
        assert_eq!(within("/a", "/a/b/l", "/a/c/f").as_deref(), Some("../c/f"));
        assert_eq!(within("/a", "/a/b/l", "/a/b/f").as_deref(), Some("f"));
        assert_eq!(within("/", "/b/l", "/etc/x").as_deref(), Some("../etc/x"));
        for outside in [
            "/ab/f",
            "/etc/passwd",
            "/a/../etc",
            "/a",
            "a/f",
            "/a/x/../../b",
        ] {
            assert_eq!(within("/a", "/a/b/l", outside), None, "{outside}");
        }
    }

    #[test]
    fn a_relative_link_may_not_climb_out() {
        assert!(stays_inside(0, "f"));
        assert!(stays_inside(1, "../f"));
        assert!(!stays_inside(0, "../f"));
        assert!(!stays_inside(2, "a/../../../../f"));
        assert!(!stays_inside(1, "/etc/passwd"));
    }

    proptest! {
        #[test]
        fn no_link_ever_leads_out(link in "(/[a-z.]{1,3}){1,5}", target in "(/[a-z.]{1,3}){1,5}") {
            let (link, target) = (format!("/r{link}"), format!("/r{target}"));
            if let Some(text) = within("/r", &link, &target) {
                let depth = below("/r", &link).expect("was found").len() - 1;
                prop_assert!(stays_inside(depth, &text));
            }
        }
    }
}
