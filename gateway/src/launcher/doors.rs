//! The sockets that clients come to, and what proves the server's name on the one with TLS.
//!
//! Bound before anything else starts, kept while gateways come and go. A certificate that
//! can't be read at the start keeps the server from starting; one that can't be read later
//! leaves the one that is in use.

use super::{LaunchError, say, system};
use crate::{
    config::{Certificate, Settings},
    handover::{Channel, Handover},
    tls::{Authority, Identity, TlsError},
};
use rustix::fd::AsFd;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

/// The directory of our own authorities, in the data directory.
const AUTHORITIES: &str = "tls";

/// What is handed to each gateway.
pub struct Doors {
    plain: TcpListener,
    tls: Option<Tls>,
}

struct Tls {
    listener: TcpListener,
    certificate: Certificate,
    authorities: PathBuf,
    domain: String,
    identity: Identity,
}

impl Doors {
    /// Binds, and reads or makes the certificate.
    pub fn open(settings: &Settings) -> Result<Self, LaunchError> {
        let plain = bind(settings.listen, "listen")?;
        let Some(wanted) = &settings.tls else {
            return Ok(Self { plain, tls: None });
        };
        let authorities = settings.data_dir.join(AUTHORITIES);
        let domain = settings.domain.as_ref().map(|domain| domain.name.clone());
        let domain = domain.unwrap_or_default();
        let identity = identity(&wanted.certificate, &authorities, &domain)?;
        let tls = Tls {
            listener: bind(wanted.listen, "tls_listen")?,
            certificate: wanted.certificate.clone(),
            authorities,
            domain,
            identity,
        };
        Ok(Self {
            plain,
            tls: Some(tls),
        })
    }

    /// Hands everything to a gateway that starts.
    pub fn hand_over(&self, gateway: &Channel) -> std::io::Result<()> {
        let mut sockets = vec![self.plain.as_fd()];
        sockets.extend(self.tls.as_ref().map(|tls| tls.listener.as_fd()));
        let identity = self.tls.as_ref().map(|tls| tls.identity.clone());
        gateway.send(&Handover { identity }, &sockets)
    }

    /// Whether there is a certificate that may be renewed.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads or makes the certificate again; what is new is handed to the gateway.
    pub fn renew(&mut self, gateway: &Channel) {
        let Some(tls) = &mut self.tls else { return };
        match identity(&tls.certificate, &tls.authorities, &tls.domain) {
            Ok(same) if same == tls.identity => {}
            Ok(new) => {
                tls.identity = new.clone();
                let message = Handover {
                    identity: Some(new),
                };
                match gateway.send(&message, &[]) {
                    Ok(()) => say("the TLS certificate was renewed"),
                    Err(error) => say(&format!("the new TLS certificate was not taken: {error}")),
                }
            }
            Err(error) => say(&format!("{error}; the TLS certificate stays as it is")),
        }
    }
}

fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, LaunchError> {
    let bound = TcpListener::bind(address);
    bound.map_err(system(format!("listen on {address} (setting `{setting}`)")))
}

fn identity(
    certificate: &Certificate,
    authorities: &std::path::Path,
    domain: &str,
) -> Result<Identity, TlsError> {
    let identity = match certificate {
        Certificate::Files { certificates, key } => Identity::read(certificates, key)?,
        Certificate::Local => Authority::open(authorities, domain)?.issue()?,
    };
    identity.config()?;
    Ok(identity)
}

/// Where the certificate of the local authority is, if that is what is served.
pub fn authority_file(settings: &Settings) -> Option<PathBuf> {
    let local = matches!(settings.tls.as_ref()?.certificate, Certificate::Local);
    let domain = &settings.domain.as_ref()?.name;
    let own = settings.data_dir.join(AUTHORITIES).join(domain);
    local.then(|| own.join(crate::tls::CA_FILE))
}
