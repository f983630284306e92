//! Whose a request is (e2b-wire.md, section 1.3): the host name decides, else the routing
//! headers, else a signature, else it is ours. Nothing is looked up here.

use http::{HeaderMap, HeaderValue, Uri, header::HOST};

const ID_HEADER: &str = "e2b-sandbox-id";
const PORT_HEADER: &str = "e2b-sandbox-port";

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To a port of a sandbox.
    Sandbox {
        /// Which; keeps the rule of ids, not looked up.
        id: String,
        /// Port inside.
        port: u16,
    },
    /// To the files of the sandbox whose token made the signature.
    SignedFile,
    /// To the control plane.
    Api,
    /// Nowhere: 400 with this text.
    Invalid(&'static str),
}

/// Decides, by the rules in their order.
pub fn route(uri: &Uri, headers: &HeaderMap) -> Route {
    let host = uri
        .host()
        .or_else(|| headers.get(HOST)?.to_str().ok())
        .unwrap_or_default();
    if let Some((id, port)) = from_host(host) {
        return Route::Sandbox { id, port };
    }
    if let Some(route) = from_headers(headers.get(ID_HEADER), headers.get(PORT_HEADER)) {
        return route;
    }
    if uri.path() == "/files" && has_signature(uri.query().unwrap_or_default()) {
        return Route::SignedFile;
    }
    Route::Api
}

/// `<port>-<id>` or `<port>-<id>-<historic client id>` as the left-most label.
fn from_host(host: &str) -> Option<(String, u16)> {
    let label = host.split(['.', ':']).next()?.to_ascii_lowercase();
    let (port, id) = label.split_once('-')?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0)?;
    let id = id.split_once('-').map_or(id, |(id, _)| id);
    is_id(id).then(|| (id.to_owned(), port))
}

fn from_headers(id: Option<&HeaderValue>, port: Option<&HeaderValue>) -> Option<Route> {
    let (id, port) = match (id, port) {
        (None, None) => return None,
        (Some(id), Some(port)) => (id.to_str().unwrap_or_default(), port),
        _ => return Some(Route::Invalid("missing header")),
    };
    let port = port
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|port| *port != 0);
    let Some(port) = port else {
        return Some(Route::Invalid("Invalid sandbox port"));
    };
    if !is_id(id) {
        return Some(Route::Invalid("Invalid sandbox ID"));
    }
    Some(Route::Sandbox {
        id: id.to_owned(),
        port,
    })
}

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn has_signature(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "signature")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(host: &str, uri: &str, id: Option<&str>, port: Option<&str>) -> Route {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", Some(host)), (ID_HEADER, id), (PORT_HEADER, port)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().expect("a header value"));
            }
        }
        route(&uri.parse().expect("a uri"), &headers)
    }

    fn to(id: &str, port: u16) -> Route {
        Route::Sandbox {
            id: id.to_owned(),
            port,
        }
    }

    #[test]
    fn a_host_name_beats_everything() {
        let host = "49983-iabc.example.org:3000";
        assert_eq!(
            ask(host, "/health", Some("iother"), Some("1")),
            to("iabc", 49983)
        );
        assert_eq!(
            ask("8080-IABC-6532622b.x", "/", None, None),
            to("iabc", 8080)
        );
    }

    #[test]
    fn a_host_name_that_does_not_parse_decides_nothing() {
        for host in [
            "localhost:3000",
            "127.0.0.1:3000",
            "api.x",
            "70000-iabc.x",
            "0-iabc.x",
            "+80-iabc.x",
            "80-.x",
            "-iabc.x",
            "80-a_b.x",
            "[::1]:3000",
            "",
        ] {
            assert_eq!(ask(host, "/health", None, None), Route::Api, "{host}");
            assert_eq!(
                ask(host, "/health", Some("iabc"), Some("49999")),
                to("iabc", 49999)
            );
        }
    }

    #[test]
    fn headers_come_in_pairs_and_keep_their_rules() {
        let refused = |id, port| match ask("localhost", "/", id, port) {
            Route::Invalid(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Some("iabc"), None), "missing header");
        assert_eq!(refused(None, Some("1")), "missing header");
        assert_eq!(refused(Some("iabc"), Some("x")), "Invalid sandbox port");
        assert_eq!(refused(Some("iabc"), Some("65536")), "Invalid sandbox port");
        assert_eq!(refused(Some("../etc"), Some("1")), "Invalid sandbox ID");
        assert_eq!(refused(Some("IABC"), Some("1")), "Invalid sandbox ID");
    }

    #[test]
    fn a_signature_leads_to_files_only() {
        assert_eq!(
            ask("localhost", "/files?path=a&signature=v1_x", None, None),
            Route::SignedFile
        );
        assert_eq!(ask("localhost", "/files?path=a", None, None), Route::Api);
        assert_eq!(
            ask("localhost", "/health?signature=x", None, None),
            Route::Api
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_ids_are_always_plain(host in "[ -~]*", id in "[ -~]*", port in "[ -~]*") {
            if let Route::Sandbox { id, port } = ask(&host, "/", Some(&id), Some(&port)) {
                prop_assert!(is_id(&id) && port != 0);
            }
        }

        #[test]
        fn every_good_host_name_is_found(port in 1u16.., id in "[a-z0-9]{1,30}") {
            prop_assert_eq!(ask(&format!("{port}-{id}.box.example"), "/", None, None), to(&id, port));
        }
    }
}
