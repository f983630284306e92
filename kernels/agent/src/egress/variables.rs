//! The variables by which programs find the proxies.
//!
//! Each has two spellings, and programs differ in which one they prefer. So a variable that an
//! owner has set in either spelling is left alone in both: ours would win with some programs
//! otherwise.
//!
//! `all_proxy` names the HTTP proxy, though SOCKS would carry the same: a widely used HTTP
//! library for Python fails at its first call when it sees a SOCKS proxy there and has not
//! been installed with SOCKS. `socks_proxy` tells those who look for one.

use std::collections::BTreeMap;

/// What must not go through a proxy: what is in the sandbox itself.
const INSIDE: &str = "localhost,127.0.0.1,0.0.0.0,::1";

/// Names in lower case, and their values. The port is that of `soulbox_protocol::egress`.
const VARIABLES: [(&str, &str); 5] = [
    ("http_proxy", "http://127.0.0.1:28128"),
    ("https_proxy", "http://127.0.0.1:28128"),
    ("all_proxy", "http://127.0.0.1:28128"),
    ("socks_proxy", "socks5h://127.0.0.1:28128"),
    ("no_proxy", INSIDE),
];

/// Adds what the owner has not set.
pub fn add(env: &mut BTreeMap<String, String>) {
    for (name, value) in VARIABLES {
        let capital = name.to_uppercase();
        if !env.contains_key(name) && !env.contains_key(&capital) {
            env.insert(name.to_owned(), value.to_owned());
            env.insert(capital, value.to_owned());
        }
    }
}

/// Takes our own away where a request sets the other spelling.
pub fn give_way(env: &mut BTreeMap<String, String>, request: &BTreeMap<String, String>) {
    for (name, value) in VARIABLES {
        let spellings = [name.to_owned(), name.to_uppercase()];
        if spellings.iter().any(|name| request.contains_key(name)) {
            for name in &spellings {
                if env.get(name).is_some_and(|own| own == value) {
                    env.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn the_port_is_the_one_that_is_listened_on() {
        let port = format!(":{}", soulbox_protocol::egress::PORT);
        let proxies = VARIABLES.iter().filter(|(name, _)| *name != "no_proxy");
        assert!(proxies.into_iter().all(|(_, value)| value.ends_with(&port)));
    }

    #[test]
    fn what_an_owner_set_stays_alone() {
        let mut variables = env(&[("HTTPS_PROXY", "http://mine"), ("no_proxy", "")]);
        add(&mut variables);
        assert_eq!(variables["HTTPS_PROXY"], "http://mine");
        assert!(!variables.contains_key("https_proxy") && !variables.contains_key("NO_PROXY"));
        assert_eq!(variables["http_proxy"], variables["HTTP_PROXY"]);
        assert_eq!(variables.len(), 8);
    }

    #[test]
    fn ours_give_way_to_a_request_in_the_other_spelling() {
        let mut variables = env(&[]);
        add(&mut variables);
        give_way(&mut variables, &env(&[("HTTP_PROXY", "http://mine")]));
        assert!(!variables.contains_key("http_proxy") && variables.contains_key("https_proxy"));
    }
}
