//! What a build takes from the host for as long as it runs: names, certificates, proxies, indexes.
//!
//! A build happens in the image's own root, so it would know none of the ways in which this host
//! reaches its package mirrors. They are handed in through files that are mounted for the build
//! and variables of its commands; none of them stays in the image.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Where the files are seen in the image's root while it is built.
pub(crate) const HANDED_IN: &str = "/run/soulbox-build";

/// Variables that say where certificates are, the usual ones first.
const CERTIFICATE_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
/// Where Debian and Ubuntu keep them.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Variables that are handed in as they are. No path is among them: paths of the host mean
/// nothing in the image's root.
const PASSED: [&str; 17] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_PROXY",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
];

/// A file of the host, and the name that it gets in the directory that is handed in.
#[derive(Debug)]
pub(crate) struct HostFile {
    pub name: &'static str,
    pub path: PathBuf,
}

/// The files of this host that a build needs; those that are there.
pub(crate) fn files() -> Vec<HostFile> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let in_home = |path: &str| home.iter().map(|home| home.join(path)).collect::<Vec<_>>();
    let from = |variables: &[&str]| {
        variables
            .iter()
            .filter_map(env::var_os)
            .map(PathBuf::from)
            .collect::<Vec<_>>()
    };
    let candidates = [
        (
            "ca.crt",
            [from(&CERTIFICATE_VARIABLES), vec![CERTIFICATES.into()]].concat(),
        ),
        ("resolv.conf", vec!["/etc/resolv.conf".into()]),
        (
            "pip.conf",
            [
                from(&["PIP_CONFIG_FILE"]),
                in_home(".config/pip/pip.conf"),
                vec!["/etc/pip.conf".into()],
            ]
            .concat(),
        ),
        (
            "npmrc",
            [from(&["NPM_CONFIG_USERCONFIG"]), in_home(".npmrc")].concat(),
        ),
    ];
    let found = candidates.into_iter().filter_map(|(name, paths)| {
        let path = paths.into_iter().find(|path| path.is_file())?;
        Some(HostFile { name, path })
    });
    found.collect()
}

/// Copies the files to where they are handed in from. A copy, since what they are on the host may
/// be a link to somewhere that the image's root does not have.
pub(crate) fn copy_files(to: &Path) -> io::Result<()> {
    for file in files() {
        fs::copy(&file.path, to.join(file.name))?;
    }
    fs::write(
        to.join("apt.conf"),
        apt_configuration(to.join("ca.crt").exists()),
    )
}

/// The variables of every command of a build.
pub(crate) fn variables(handed_in: &Path) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = PASSED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)))
        .collect();
    let mut set = |name: &str, value: String| variables.push((name.to_owned(), value));
    set(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
    );
    set("HOME", "/root".into());
    set("LANG", "C.UTF-8".into());
    set("DEBIAN_FRONTEND", "noninteractive".into());
    set("APT_CONFIG", format!("{HANDED_IN}/apt.conf"));
    set("PIP_DISABLE_PIP_VERSION_CHECK", "1".into());
    set("npm_config_cache", format!("{HANDED_IN}/npm"));
    if handed_in.join("ca.crt").exists() {
        let certificates = format!("{HANDED_IN}/ca.crt");
        for name in CERTIFICATE_VARIABLES
            .into_iter()
            .chain(["npm_config_cafile", "GIT_SSL_CAINFO"])
        {
            set(name, certificates.clone());
        }
    }
    if handed_in.join("pip.conf").exists() {
        set("PIP_CONFIG_FILE", format!("{HANDED_IN}/pip.conf"));
    }
    if handed_in.join("npmrc").exists() {
        set("npm_config_userconfig", format!("{HANDED_IN}/npmrc"));
    }
    variables
}

/// apt's settings for the time of the build: what is downloaded is kept, and nothing is synced
/// that a broken build would throw away.
fn apt_configuration(certificates: bool) -> String {
    let mut text = String::from(
        "APT::Install-Recommends \"false\";\n\
         APT::Keep-Downloaded-Packages \"true\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Retries \"3\";\n\
         Acquire::Languages \"none\";\n\
         Dpkg::Use-Pty \"0\";\n\
         Dir::Cache::pkgcache \"\";\n\
         Dir::Cache::srcpkgcache \"\";\n\
         DPkg::Options { \"--force-unsafe-io\"; \"--force-confdef\"; \"--force-confold\"; };\n",
    );
    if certificates {
        text.push_str(&format!("Acquire::https::CaInfo \"{HANDED_IN}/ca.crt\";\n"));
    }
    text
}
