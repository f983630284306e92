//! Which requests are Jupyter's, and their paths in one form: without the base path, without
//! a key in front, without a slash at the end.

use crate::config::Jupyter;
use axum::body::Body;
use http::{Request, Uri};

/// What a path with a key begins with.
const KEY_PREFIX: &str = "/t/";

/// A key that was found in a path.
#[derive(Clone)]
pub struct PathKey(pub String);

/// Whether a request is Jupyter's. When it is, its path is brought into its form.
pub fn enter(settings: &Jupyter, request: &mut Request<Body>) -> bool {
    let Some((key, path)) = own_path(settings, request.uri().path()) else {
        return false;
    };
    let key = key.map(str::to_owned);
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(uri) = target.parse::<Uri>() else {
        return false;
    };
    *request.uri_mut() = uri;
    if let Some(key) = key {
        request.extensions_mut().insert(PathKey(key));
    }
    true
}

/// The key, if there is one, and the path as the routes know it.
fn own_path<'a>(settings: &Jupyter, path: &'a str) -> Option<(Option<&'a str>, &'a str)> {
    let path = path.strip_prefix(settings.base_path.as_str())?;
    let keyed = path
        .strip_prefix(KEY_PREFIX)
        .filter(|_| settings.path_tokens)
        .and_then(|rest| Some((&rest[..rest.find('/')?], &rest[rest.find('/')?..])));
    let (key, path) = match keyed {
        Some((key, path)) => (Some(key), path),
        None => (None, path),
    };
    let path = path.trim_end_matches('/');
    let ours = path == "/api" || path.starts_with("/api/") || path.starts_with("/kernelspecs/");
    ours.then_some((key, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use soulbox_runtime::TemplateName;

    fn settings(base: &str, path_tokens: bool) -> Jupyter {
        Jupyter {
            base_path: base.into(),
            template: TemplateName::new("base").expect("a name"),
            cull_idle_seconds: 1,
            cull_connected: false,
            path_tokens,
            allow_origin: Vec::new(),
        }
    }

    #[test]
    fn a_path_is_found_under_its_base_and_behind_its_key() {
        let open = settings("/lab", true);
        assert_eq!(
            own_path(&open, "/lab/t/e2b_1/api/kernels/"),
            Some((Some("e2b_1"), "/api/kernels"))
        );
        assert_eq!(own_path(&open, "/lab/api"), Some((None, "/api")));
        for other in [
            "/api",
            "/lab",
            "/lab/apis",
            "/lab/t/e2b_1",
            "/lab/t//x",
            "/labapi",
        ] {
            assert_eq!(own_path(&open, other), None, "{other}");
        }
        let closed = settings("", false);
        assert_eq!(own_path(&closed, "/t/e2b_1/api"), None);
        assert_eq!(own_path(&closed, "/sandboxes"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(path in "[ -~]*") {
            let _ = own_path(&settings("", true), &path);
        }
    }
}
