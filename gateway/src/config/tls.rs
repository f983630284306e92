//! The settings of HTTPS: all of them or none, and only what fits together.

use super::{
    ConfigError, Domain,
    settings::{absolute, address, wrong},
};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

const HTTPS: u16 = 443;

/// How HTTPS is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TlsSettings {
    /// Where.
    pub listen: SocketAddr,
    /// With which certificate.
    pub certificate: Certificate,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Certificate {
    /// From files of the owner.
    Files {
        /// The chain.
        certificates: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// From an authority of our own.
    Local,
}

/// What the user said.
pub struct Wanted {
    /// `tls_listen`.
    pub listen: Option<String>,
    /// `tls_cert`.
    pub certificates: Option<PathBuf>,
    /// `tls_key`.
    pub key: Option<PathBuf>,
    /// `tls_local`.
    pub local: bool,
}

impl Wanted {
    /// Checks that it makes sense together.
    pub fn check(
        self,
        plain: SocketAddr,
        domain: Option<&Domain>,
    ) -> Result<Option<TlsSettings>, ConfigError> {
        let certificate = match (self.certificates, self.key, self.local) {
            (None, None, false) if self.listen.is_some() => {
                let reason = "HTTPS needs a certificate: set tls_cert and tls_key, or tls_local";
                return Err(wrong("tls_listen", reason));
            }
            (None, None, false) => return Ok(None),
            (None, None, true) if domain.is_none() => {
                let reason = "tls_local makes a certificate for the domain, so set it";
                return Err(wrong("domain", reason));
            }
            (None, None, true) => Certificate::Local,
            (Some(certificates), Some(key), false) => Certificate::Files {
                certificates: absolute("tls_cert", &certificates)?,
                key: absolute("tls_key", &key)?,
            },
            (.., true) => {
                let reason = "either make a certificate here or give one by tls_cert and tls_key";
                return Err(wrong("tls_local", reason));
            }
            (Some(_), None, _) => return Err(wrong("tls_key", "tls_cert needs it")),
            (None, Some(_), _) => return Err(wrong("tls_cert", "tls_key needs it")),
        };
        let listen = match self.listen {
            Some(text) => address("tls_listen", &text)?,
            None => SocketAddr::new(plain.ip(), HTTPS),
        };
        Ok(Some(TlsSettings {
            listen,
            certificate,
        }))
    }
}
