//! TLS: what a server shows to prove its name, and how it is read.
//!
//! The launcher, which is root, reads or makes the private key and hands it to the gateway
//! over a socket (`handover`), so that no file that holds a key needs to be readable by the
//! gateway's user. Nothing here is logged.

mod local;

pub use local::{Authority, CA_FILE};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{fmt, fs::File, io, io::Read, path::Path, path::PathBuf, sync::Arc};
use thiserror::Error;

/// A chain of a few certificates, or a key. More is not one.
const FILE_BYTES: u64 = 64 << 10;
/// What is offered to clients, best first: API and envd clients take HTTP/2.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The certificate or the key is none.
    #[error("the TLS certificate or its key can't be used: {0}")]
    Unusable(String),
}

/// Certificates and their private key, as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    certificates: String,
    key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads both files.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificates: read(certificates)?,
            key: read(key)?,
        })
    }

    /// What connections are accepted with. Fails when key and certificate do not fit together.
    pub fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let unusable = |error: &dyn fmt::Display| TlsError::Unusable(error.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(self.certificates.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&error))?;
        if chain.is_empty() {
            return Err(unusable(&"the file holds no certificate"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| unusable(&error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<String, TlsError> {
    let wrong = |cause| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(wrong)?;
    file.take(FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    if text.len() as u64 > FILE_BYTES {
        let cause = io::Error::other("larger than any certificate or key");
        return Err(wrong(cause));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_what_is_none_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = Authority::open(directory.path(), "box.test").and_then(|ca| ca.issue());
        let made = made.expect("a certificate");
        let at = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (chain, key) = (at("chain", &made.certificates), at("key", &made.key));
        let read = Identity::read(&chain, &key).expect("read");
        assert!(read == made);
        assert!(!format!("{read:?}").contains("PRIVATE"));
        read.config().expect("usable");
        let swapped = Identity::read(&key, &chain).expect("read");
        assert!(swapped.config().is_err());
        let missing = Identity::read(&directory.path().join("none"), &key);
        let said = missing.expect_err("missing").to_string();
        assert!(said.contains("none"), "{said}");
        let large = at("large", &"x".repeat(FILE_BYTES as usize + 1));
        assert!(Identity::read(&large, &key).is_err());
    }
}
