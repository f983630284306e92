//! Metadata of files: `X-Metadata-<key>` headers, kept as extended attributes `user.e2b.<key>`
//! (section 4.7 of the contract). Programs in the sandbox read and write the same attributes.

use super::files::FilesError;
use http::HeaderMap;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;

mod kept;

/// Before the key, in a header.
const HEADER: &str = "x-metadata-";

/// Before the key, in an attribute.
const ATTRIBUTE: &str = "user.e2b.";

/// Bytes of a key: an attribute's name has at most 255.
const MAX_KEY: usize = 246;

/// Bytes of all entries of a file: what common file systems keep in one block.
const MAX_TOTAL: usize = 4096;

/// Bytes of all names of attributes that are looked at.
const MAX_NAMES: usize = 64 << 10;

/// Bytes of the names of most files.
const FEW_NAMES: usize = 512;

/// Key and value.
pub type Metadata = BTreeMap<String, String>;

/// The metadata of a request.
pub fn from_headers(headers: &HeaderMap) -> Result<Metadata, FilesError> {
    let bad = |why: String| FilesError::bad(format!("invalid metadata: {why}"));
    let mut metadata = Metadata::new();
    for (name, value) in headers {
        // Header names are lower-cased by the library, as the contract wants keys to be.
        let Some(key) = name.as_str().strip_prefix(HEADER) else {
            continue;
        };
        let value = value.as_bytes();
        if key.is_empty() {
            return Err(bad("a key is empty".into()));
        }
        if key.len() > MAX_KEY {
            return Err(bad(format!("a key is longer than {MAX_KEY} bytes")));
        }
        if !value.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(bad(format!("the value of '{key}' is not printable ASCII")));
        }
        metadata.insert(key.to_owned(), String::from_utf8_lossy(value).into_owned());
    }
    let total: usize = metadata
        .iter()
        .map(|(k, v)| ATTRIBUTE.len() + k.len() + v.len())
        .sum();
    if total > MAX_TOTAL {
        return Err(bad(format!("{total} bytes are more than {MAX_TOTAL}")));
    }
    Ok(metadata)
}

/// Makes this the whole metadata of a file. Where the file system keeps none, the agent does.
pub fn replace(file: &File, metadata: &Metadata) -> Result<(), Errno> {
    let mut names = vec![0; MAX_NAMES];
    let known = match rustix::fs::flistxattr(file, &mut names) {
        Ok(length) => &names[..length.min(MAX_NAMES)],
        Err(_) => &[],
    };
    for name in known
        .split(|byte| *byte == 0)
        .filter(|n| n.starts_with(ATTRIBUTE.as_bytes()))
    {
        let kept = std::str::from_utf8(&name[ATTRIBUTE.len()..])
            .is_ok_and(|key| metadata.contains_key(key));
        if !kept {
            // It may be gone already; what matters is that it is not there afterwards.
            let _ = rustix::fs::fremovexattr(file, name);
        }
    }
    for (key, value) in metadata {
        let name = format!("{ATTRIBUTE}{key}");
        match rustix::fs::fsetxattr(file, &name, value.as_bytes(), XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return kept::replace(file, metadata),
            other => other?,
        }
    }
    kept::replace(file, &Metadata::new())
}

/// Hands on what is kept here of a file to its copy; attributes are copied as such.
pub fn carry(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    let kept = kept::read(from);
    if kept.is_empty() {
        return Ok(());
    }
    Ok(kept::replace(&File::open(to)?, &kept)?)
}

/// The metadata of a path, links not followed. Values that are not text are passed over.
pub fn read(path: &std::path::Path) -> Metadata {
    let mut metadata = Metadata::new();
    // Nearly all files have none, so the small buffer is tried first.
    let mut names = vec![0; FEW_NAMES];
    let mut length = rustix::fs::llistxattr(path, &mut names);
    if length == Err(Errno::RANGE) {
        names.resize(MAX_NAMES, 0);
        length = rustix::fs::llistxattr(path, &mut names);
    }
    let Ok(length @ 1..) = length else {
        return kept::read(path);
    };
    for name in names[..length.min(names.len())].split(|byte| *byte == 0) {
        let Some(key) = name.strip_prefix(ATTRIBUTE.as_bytes()) else {
            continue;
        };
        let mut value = vec![0; MAX_TOTAL];
        let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value) else {
            continue;
        };
        value.truncate(length);
        if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), String::from_utf8(value)) {
            metadata.insert(key.to_owned(), value);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn parse(pairs: &[(&str, &[u8])]) -> Result<Metadata, FilesError> {
        let headers = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            )
        });
        from_headers(&headers.collect())
    }

    #[test]
    fn keys_are_lower_case_and_bounds_hold() {
        let metadata = parse(&[("X-Metadata-Author", b"me"), ("X-Other", b"x")]).unwrap();
        assert_eq!(metadata, Metadata::from([("author".into(), "me".into())]));
        let long = format!("x-metadata-{}", "k".repeat(247));
        let bad: [&[(&str, &[u8])]; 4] = [
            &[("x-metadata-", b"x")],
            &[(&long, b"x")],
            &[("x-metadata-a", b"\xc3\xa9")],
            &[("x-metadata-a", &[b'x'; 4096])],
        ];
        for pairs in bad {
            assert!(
                parse(pairs)
                    .unwrap_err()
                    .message
                    .starts_with("invalid metadata: ")
            );
        }
    }

    #[test]
    fn a_new_set_replaces_the_old_one_and_other_attributes_stay() {
        let file = tempfile::NamedTempFile::new_in(".").unwrap();
        let set = |key: &str| Metadata::from([(key.to_owned(), "1".to_owned())]);
        let other = rustix::fs::fsetxattr(file.as_file(), "user.x", b"y", XattrFlags::empty());
        replace(file.as_file(), &set("a")).unwrap();
        replace(file.as_file(), &set("b")).unwrap();
        if other.is_ok() {
            assert_eq!(read(file.path()), set("b"));
            replace(file.as_file(), &Metadata::new()).unwrap();
            assert_eq!(read(file.path()), Metadata::new());
            let mut value = [0; 4];
            assert_eq!(
                rustix::fs::fgetxattr(file.as_file(), "user.x", &mut value),
                Ok(1)
            );
        }
    }
}
