//! A certificate authority of our own, for machines without a public name.
//!
//! It is made once and kept, so that whoever trusts it goes on doing so; its certificate is
//! for everybody to read, its key for root. It can vouch for the domain and what is below it
//! and for nothing else, so that trusting it risks no other site. Server certificates are
//! made anew at each start and never written down.

use super::{Identity, TlsError};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

/// The authority's certificate, in its directory.
pub const CA_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks of other machines may be behind.
const BACKDATED: Duration = DAY;
const AUTHORITY_LIVES: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The longest that clients accept (398 days), with a margin.
const SERVER_LIVES: Duration = Duration::from_secs(390 * 24 * 60 * 60);

/// The authority for one domain.
pub struct Authority {
    domain: String,
    key: KeyPair,
    certificate: String,
}

impl Authority {
    /// Takes up the authority of this domain, or makes it. `directory` belongs to us.
    pub fn open(directory: &Path, domain: &str) -> Result<Self, TlsError> {
        let own = directory.join(domain);
        let (path, key_path) = (own.join(CA_FILE), own.join(KEY_FILE));
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |cause| TlsError::File { path, cause }
        };
        fs::create_dir_all(&own).map_err(wrong(&own))?;
        match fs::read_to_string(&path) {
            Ok(certificate) => {
                let text = fs::read_to_string(&key_path).map_err(wrong(&key_path))?;
                let key = KeyPair::from_pem(&text).map_err(|error| unusable(&error))?;
                return Ok(Self {
                    domain: domain.to_owned(),
                    key,
                    certificate,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(&path)(error)),
        }
        let key = KeyPair::generate().map_err(|error| unusable(&error))?;
        let made = authority(domain).and_then(|params| params.self_signed(&key));
        let certificate = made.map_err(|error| unusable(&error))?.pem();
        // The key first: where there is a certificate there is a key for it.
        write(&key_path, 0o600, &key.serialize_pem()).map_err(wrong(&key_path))?;
        write(&path, 0o644, &certificate).map_err(wrong(&path))?;
        Ok(Self {
            domain: domain.to_owned(),
            key,
            certificate,
        })
    }

    /// A new key and certificate for the domain and every name right below it.
    pub fn issue(&self) -> Result<Identity, TlsError> {
        let issue = || {
            let issuer = Issuer::new(authority(&self.domain)?, &self.key);
            let key = KeyPair::generate()?;
            let server = server(&self.domain)?.signed_by(&key, &issuer)?;
            Ok((server.pem(), key.serialize_pem()))
        };
        let (server, key) = issue().map_err(|error: rcgen::Error| unusable(&error))?;
        Ok(Identity {
            certificates: server + &self.certificate,
            key,
        })
    }
}

/// The authority as a certificate names it. The same for the same domain, since what is
/// issued refers to it by this name.
fn authority(domain: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = lasting(CertificateParams::new([])?, AUTHORITY_LIVES);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("SoulBox at {domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

fn server(domain: &str) -> Result<CertificateParams, rcgen::Error> {
    let names = [domain.to_owned(), format!("*.{domain}")];
    let mut params = lasting(CertificateParams::new(names)?, SERVER_LIVES);
    params.distinguished_name.push(DnType::CommonName, domain);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn lasting(mut params: CertificateParams, time: Duration) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + time).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    // Whatever the umask says: clients of other users read the certificate.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn unusable(error: &dyn fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_nobodys() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Authority::open(directory.path(), "box.test").expect("made");
        let again = Authority::open(directory.path(), "box.test").expect("taken up");
        assert_eq!(first.certificate, again.certificate);
        let key = fs::metadata(directory.path().join("box.test").join(KEY_FILE)).expect("there");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let (one, two) = (first.issue().expect("one"), again.issue().expect("two"));
        assert!(one != two, "each start has a key of its own");
        one.config().expect("usable");
        two.config().expect("usable");
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::open(directory.path(), "box.test").expect("made");
        let (mut one, two) = (
            authority.issue().expect("one"),
            authority.issue().expect("two"),
        );
        one.key = two.key;
        assert!(one.config().is_err());
    }
}
