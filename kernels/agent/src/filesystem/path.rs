//! Which file a client means (section 4.3 of the contract).
//!
//! Empty is the default directory, `~` the home directory, relative is relative to the home
//! directory and not to the working directory. The result is absolute and has no `.`, `..` or
//! doubled slashes left; links are left to the system.

use crate::process::user::User;
use std::path::{Path, PathBuf};

/// Longest path that the system takes, in bytes.
const MAX_PATH: usize = 4096;

/// Why a path names no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `~other`.
    #[error("home directories of other users are not supported, only '~' and '~/'")]
    OtherHome,
    /// It holds a NUL character.
    #[error("the path holds a NUL character")]
    Nul,
    /// It is longer than the system takes.
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
}

/// Makes a client's path absolute.
pub fn resolve(path: &str, user: &User, workdir: Option<&str>) -> Result<PathBuf, PathError> {
    if path.contains('\0') {
        return Err(PathError::Nul);
    }
    let absolute = if path.is_empty() {
        match workdir.filter(|workdir| !workdir.is_empty()) {
            Some(workdir) => return resolve(workdir, user, None),
            None => user.home.clone(),
        }
    } else if let Some(rest) = path.strip_prefix('~') {
        match rest.strip_prefix('/') {
            _ if rest.is_empty() => user.home.clone(),
            Some(rest) => user.home.join(rest.trim_start_matches('/')),
            None => return Err(PathError::OtherHome),
        }
    } else {
        user.home.join(path)
    };
    let clean = clean(&absolute);
    if clean.as_os_str().len() >= MAX_PATH {
        return Err(PathError::TooLong);
    }
    Ok(clean)
}

/// Removes `.`, `..` and doubled slashes from an absolute path, by its text alone.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user() -> User {
        User {
            name: "user".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            home: "/home/user".into(),
            shell: String::new(),
        }
    }

    #[test]
    fn the_table_of_the_contract() {
        for (path, workdir, expected) in [
            ("", None, "/home/user"),
            ("", Some("/code"), "/code"),
            ("", Some("~/x"), "/home/user/x"),
            ("~", Some("/code"), "/home/user"),
            ("~/a//b/", None, "/home/user/a/b"),
            ("~//etc", None, "/home/user/etc"),
            ("a/../b", Some("/code"), "/home/user/b"),
            ("/a/./b/../c", None, "/a/c"),
            ("../../../../etc", None, "/etc"),
            ("/", None, "/"),
        ] {
            assert_eq!(
                resolve(path, &user(), workdir).unwrap(),
                Path::new(expected),
                "{path}"
            );
        }
        assert_eq!(resolve("~root/x", &user(), None), Err(PathError::OtherHome));
        assert_eq!(resolve("a\0b", &user(), None), Err(PathError::Nul));
        assert_eq!(
            resolve(&"a".repeat(5000), &user(), None),
            Err(PathError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn what_comes_out_is_absolute_and_stays_as_it_is(path in "[a~./ é]{0,40}") {
            if let Ok(resolved) = resolve(&path, &user(), None) {
                prop_assert!(resolved.is_absolute());
                let text = resolved.to_str().unwrap();
                prop_assert!(!text.split('/').any(|part| part == ".." || part == "."));
                prop_assert_eq!(resolve(text, &user(), None).unwrap(), resolved.clone());
            }
        }
    }
}
