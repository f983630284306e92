//! Every setting: its name, its text in `--help`, its default and its check.

use super::{
    ConfigError, Domain, TlsSettings, file,
    jupyter::{self, Jupyter},
    tls,
};
use clap::Args;
use serde::{Deserialize, Serialize};
use soulbox_node::IMAGE_SIDE;
use soulbox_runtime::{TemplateName, TierName, network::parse_block};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

const DEFAULT_LISTEN: &str = "127.0.0.1:3000";
const ROOT_DATA_DIR: &str = "/var/lib/soulbox";
const DEFAULT_LIFETIME_HOURS: u32 = 24;
/// Larger than any honest request to the control plane; data-plane bodies have no bound here.
const DEFAULT_BODY_BYTES: usize = 4 << 20;
const DEFAULT_SANDBOXES: u32 = 100;
const DEFAULT_LOG: &str = "info";
/// Where name servers listen (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;

/// What the user said, in one place: nothing is required, nothing is checked yet.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// Address and port of the one listener [default: 127.0.0.1:3000; port 0 takes a free one]
    #[arg(long, env = "SOULBOX_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Where everything is kept [default: /var/lib/soulbox as root]
    #[arg(long, env = "SOULBOX_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The built templates [default: `images` in the data directory]
    #[arg(long, env = "SOULBOX_IMAGES_DIR", value_name = "DIR")]
    pub images_dir: Option<PathBuf>,
    /// How sandboxes are isolated: auto, gvisor or namespace [default: auto, which never
    /// picks namespace]
    #[arg(long, env = "SOULBOX_ISOLATION", value_name = "TIER")]
    pub isolation: Option<String>,
    /// Whom the gateway runs as once its socket is bound: a name, or UID:GID [default:
    /// `soulbox` if there is such a user, else 65534:65534]
    #[arg(long, env = "SOULBOX_USER", value_name = "USER")]
    pub user: Option<String>,
    /// Domain of the API (api.DOMAIN) and of the sandboxes (PORT-ID.DOMAIN), with a port if
    /// clients are to use another than `tls-listen` has
    #[arg(long, env = "SOULBOX_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Where to serve HTTPS besides [default: port 443 of the address in `listen`, if a
    /// certificate is set]
    #[arg(long, env = "SOULBOX_TLS_LISTEN", value_name = "ADDRESS:PORT")]
    pub tls_listen: Option<String>,
    /// Certificate chain for DOMAIN and *.DOMAIN, PEM; read again on SIGHUP and twice a day
    #[arg(long, env = "SOULBOX_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM; only root must be able to read it
    #[arg(long, env = "SOULBOX_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Make a certificate authority in the data directory, and a certificate with it; prints
    /// how clients trust it
    #[arg(long, env = "SOULBOX_TLS_LOCAL", value_name = "BOOL", num_args = 0..=1,
        default_missing_value = "true")]
    pub tls_local: Option<bool>,
    /// Longest life of a sandbox, in hours [default: 24]
    #[arg(long, env = "SOULBOX_MAX_LIFETIME_HOURS", value_name = "HOURS")]
    pub max_lifetime_hours: Option<u32>,
    /// Largest body of a control-plane request, in bytes [default: 4194304]
    #[arg(long, env = "SOULBOX_MAX_BODY_BYTES", value_name = "BYTES")]
    pub max_body_bytes: Option<usize>,
    /// Sandboxes at one time, without the warm ones [default: 100]
    #[arg(long, env = "SOULBOX_MAX_SANDBOXES", value_name = "COUNT")]
    pub max_sandboxes: Option<u32>,
    /// Warm sandboxes to keep of a template; may be repeated [default:
    /// code-interpreter-v1=2 and base=1]
    #[arg(
        long,
        env = "SOULBOX_POOL",
        value_name = "TEMPLATE=COUNT",
        value_delimiter = ','
    )]
    pub pool: Option<Vec<String>>,
    /// Block of addresses that are not public and that sandboxes may reach all the same, such
    /// as 10.1.0.0/16; may be repeated [default: none]
    #[arg(
        long,
        env = "SOULBOX_EGRESS_ALLOW",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub egress_allow: Option<Vec<String>>,
    /// Name server that sandboxes' connections ask; may be repeated [default: those of
    /// /etc/resolv.conf]
    #[arg(
        long,
        env = "SOULBOX_EGRESS_DNS",
        value_name = "ADDRESS[:PORT]",
        value_delimiter = ','
    )]
    pub egress_dns: Option<Vec<String>>,
    /// Longest side of an image in a result of a cell, in pixels: a larger one is scaled down and
    /// kept whole as a file in the sandbox; 0 leaves all as they are [default: 4096]
    #[arg(long, env = "SOULBOX_MAX_IMAGE_SIDE", value_name = "PIXELS")]
    pub max_image_side: Option<u32>,
    /// Path before Jupyter's routes, for a proxy that does not take it off [default: none]
    #[arg(long, env = "SOULBOX_JUPYTER_BASE_PATH", value_name = "PATH")]
    pub jupyter_base_path: Option<String>,
    /// The template whose kernels Jupyter clients see by their plain names [default:
    /// code-interpreter-v1]
    #[arg(long, env = "SOULBOX_JUPYTER_TEMPLATE", value_name = "TEMPLATE")]
    pub jupyter_template: Option<String>,
    /// A sandbox that was made for a Jupyter client ends when its kernels have been idle and
    /// unconnected for so many seconds [default: 3600]
    #[arg(long, env = "SOULBOX_JUPYTER_CULL_IDLE", value_name = "SECONDS")]
    pub jupyter_cull_idle: Option<u32>,
    /// A forgotten browser tab does not keep an idle kernel alive
    #[arg(
        long,
        env = "SOULBOX_JUPYTER_CULL_CONNECTED",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub jupyter_cull_connected: Option<bool>,
    /// Take API keys in Jupyter's paths too (/t/KEY/api/...), for clients that can send them
    /// in no other way. Paths are often logged by proxies
    #[arg(
        long,
        env = "SOULBOX_JUPYTER_PATH_TOKENS",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub jupyter_path_tokens: Option<bool>,
    /// Web pages of this origin may call Jupyter's routes; may be repeated, `*` is any
    /// [default: none]
    #[arg(
        long,
        env = "SOULBOX_JUPYTER_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub jupyter_allow_origin: Option<Vec<String>>,
    /// What is logged to standard error: error, warn, info, debug, or a filter by module
    /// [default: info]
    #[arg(long, env = "SOULBOX_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// Checked settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The built templates.
    pub images_dir: PathBuf,
    /// The tier of all sandboxes; `None` lets the node pick.
    pub isolation: Option<TierName>,
    /// Whom the gateway runs as; `None` is the default.
    pub user: Option<String>,
    /// Domain of API and sandboxes.
    pub domain: Option<Domain>,
    /// HTTPS, if it is served.
    pub tls: Option<TlsSettings>,
    /// Longest life of a sandbox.
    pub max_lifetime_hours: u32,
    /// Largest control-plane body.
    pub max_body_bytes: usize,
    /// Sandboxes at one time.
    pub max_sandboxes: u32,
    /// Warm sandboxes per template; `None` is the node's default.
    pub pools: Option<BTreeMap<TemplateName, u32>>,
    /// What sandboxes may reach besides the public internet.
    pub egress_allow: Vec<String>,
    /// Who knows names for sandboxes.
    pub egress_dns: Vec<SocketAddr>,
    /// Longest side of an image in a result; 0 for any.
    pub max_image_side: u32,
    /// What concerns Jupyter clients only.
    pub jupyter: Jupyter,
    /// Filter of the log.
    pub log: String,
}

impl Settings {
    /// Puts flags and variables over the file, the file over the defaults, and checks all.
    pub fn resolve(flags: Overrides, named_file: Option<&PathBuf>) -> Result<Self, ConfigError> {
        let file = file::read(named_file)?;
        let data_dir = match flags.data_dir.or(file.data_dir) {
            Some(path) => absolute("data_dir", &path)?,
            None => default_data_dir()?,
        };
        let images_dir = match flags.images_dir.or(file.images_dir) {
            Some(path) => absolute("images_dir", &path)?,
            None => data_dir.join("images"),
        };
        let listen = flags.listen.or(file.listen);
        let listen = address("listen", listen.as_deref().unwrap_or(DEFAULT_LISTEN))?;
        let domain = flags
            .domain
            .or(file.domain)
            .map(|text| Domain::parse(&text));
        let domain = domain.transpose()?;
        let tls = tls::Wanted {
            listen: flags.tls_listen.or(file.tls_listen),
            certificates: flags.tls_cert.or(file.tls_cert),
            key: flags.tls_key.or(file.tls_key),
            local: flags.tls_local.or(file.tls_local).unwrap_or(false),
        };
        Ok(Self {
            tls: tls.check(listen, domain.as_ref())?,
            listen,
            domain,
            isolation: isolation(flags.isolation.or(file.isolation).as_deref())?,
            user: flags.user.or(file.user),
            max_lifetime_hours: positive(
                "max_lifetime_hours",
                flags
                    .max_lifetime_hours
                    .or(file.max_lifetime_hours)
                    .unwrap_or(DEFAULT_LIFETIME_HOURS),
            )?,
            max_body_bytes: positive(
                "max_body_bytes",
                flags
                    .max_body_bytes
                    .or(file.max_body_bytes)
                    .unwrap_or(DEFAULT_BODY_BYTES),
            )?,
            max_sandboxes: positive(
                "max_sandboxes",
                flags
                    .max_sandboxes
                    .or(file.max_sandboxes)
                    .unwrap_or(DEFAULT_SANDBOXES),
            )?,
            pools: flags
                .pool
                .or(file.pool)
                .map(|list| pools(&list))
                .transpose()?,
            egress_allow: blocks(flags.egress_allow.or(file.egress_allow))?,
            egress_dns: name_servers(flags.egress_dns.or(file.egress_dns))?,
            max_image_side: flags
                .max_image_side
                .or(file.max_image_side)
                .unwrap_or(IMAGE_SIDE),
            jupyter: Jupyter {
                base_path: jupyter::base_path(flags.jupyter_base_path.or(file.jupyter_base_path))?,
                template: jupyter::template(flags.jupyter_template.or(file.jupyter_template))?,
                cull_idle_seconds: positive(
                    "jupyter_cull_idle",
                    flags
                        .jupyter_cull_idle
                        .or(file.jupyter_cull_idle)
                        .unwrap_or(jupyter::DEFAULT_IDLE_SECONDS),
                )?,
                cull_connected: flags
                    .jupyter_cull_connected
                    .or(file.jupyter_cull_connected)
                    .unwrap_or(false),
                path_tokens: flags
                    .jupyter_path_tokens
                    .or(file.jupyter_path_tokens)
                    .unwrap_or(false),
                allow_origin: jupyter::origins(
                    flags.jupyter_allow_origin.or(file.jupyter_allow_origin),
                )?,
            },
            log: log(flags
                .log
                .or(file.log)
                .unwrap_or_else(|| DEFAULT_LOG.to_owned()))?,
            data_dir,
            images_dir,
        })
    }

    /// The node's socket.
    pub fn node_socket(&self) -> PathBuf {
        self.data_dir.join("node.sock")
    }

    /// The gateway's own directory.
    pub fn gateway_dir(&self) -> PathBuf {
        self.data_dir.join("gateway")
    }
}

/// The data directory of whoever runs this and names none.
pub fn default_data_dir() -> Result<PathBuf, ConfigError> {
    if rustix::process::geteuid().is_root() {
        return Ok(ROOT_DATA_DIR.into());
    }
    let own = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let own = own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    own.map(|path| path.join("soulbox")).ok_or_else(|| {
        wrong(
            "data_dir",
            "it must be given, since there is no home directory",
        )
    })
}

pub(super) fn wrong(key: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Setting {
        key,
        reason: reason.into(),
    }
}

pub(super) fn absolute(key: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| wrong(key, error.to_string()))
}

pub(super) fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    // There is no name service in a static binary, and the one name that people use is known.
    let address = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    SocketAddr::from_str(address.as_deref().unwrap_or(text)).map_err(|_| {
        wrong(
            key,
            format!("expected an IP address and a port such as {DEFAULT_LISTEN}, not `{text}`"),
        )
    })
}

fn isolation(text: Option<&str>) -> Result<Option<TierName>, ConfigError> {
    match text {
        None | Some("auto") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|reason: String| wrong("isolation", reason)),
    }
}

fn positive<N: Default + PartialOrd>(key: &'static str, number: N) -> Result<N, ConfigError> {
    if number > N::default() {
        Ok(number)
    } else {
        Err(wrong(key, "must be greater than 0"))
    }
}

fn pools(list: &[String]) -> Result<BTreeMap<TemplateName, u32>, ConfigError> {
    let entry = |text: &String| {
        let (name, count) = text.split_once('=')?;
        Some((
            TemplateName::new(name.trim()).ok()?,
            count.trim().parse().ok()?,
        ))
    };
    let explain = |text: &String| format!("expected TEMPLATE=COUNT such as base=1, not `{text}`");
    list.iter()
        .map(|text| entry(text).ok_or_else(|| wrong("pool", explain(text))))
        .collect()
}

fn blocks(list: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let list = list.unwrap_or_default();
    for text in &list {
        if parse_block(text).is_none() {
            let reason = format!("expected a block such as 10.1.0.0/16, not `{text}`");
            return Err(wrong("egress_allow", reason));
        }
    }
    Ok(list)
}

fn name_servers(list: Option<Vec<String>>) -> Result<Vec<SocketAddr>, ConfigError> {
    let server = |text: &String| {
        let with_port = text.parse::<SocketAddr>().ok();
        let address = || text.parse::<IpAddr>().ok();
        with_port
            .or_else(|| address().map(|address| SocketAddr::new(address, DNS_PORT)))
            .ok_or_else(|| {
                let reason = format!("expected an address such as 10.0.0.53, not `{text}`");
                wrong("egress_dns", reason)
            })
    };
    list.unwrap_or_default().iter().map(server).collect()
}

fn log(text: String) -> Result<String, ConfigError> {
    let parsed = text.parse::<tracing_subscriber::EnvFilter>();
    parsed.map_err(|error| wrong("log", error.to_string()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Settings, ConfigError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("soulbox.toml");
        std::fs::write(&path, text).expect("written");
        Settings::resolve(Overrides::default(), Some(&path))
    }

    #[test]
    fn a_bad_setting_is_named_with_its_reason() {
        for (text, key) in [
            ("listen = 'here'", "`listen`"),
            ("isolation = 'jail'", "`isolation`"),
            ("max_lifetime_hours = 0", "`max_lifetime_hours`"),
            ("max_body_bytes = -1", "max_body_bytes"),
            ("max_image_side = -1", "max_image_side"),
            ("pool = ['base']", "`pool`"),
            ("egress_allow = ['10.0.0.0/40']", "`egress_allow`"),
            ("egress_dns = ['dns.example']", "`egress_dns`"),
            ("domain = 'a b'", "`domain`"),
            ("tls_cert = '/a'", "`tls_key`"),
            ("tls_local = true", "`domain`"),
            ("tls_listen = '127.0.0.1:1'", "`tls_listen`"),
            ("jupyter_base_path = 'a b'", "`jupyter_base_path`"),
            ("jupyter_template = 'A B'", "`jupyter_template`"),
            ("jupyter_allow_origin = ['x']", "`jupyter_allow_origin`"),
            ("listne = '127.0.0.1:1'", "listne"),
        ] {
            let said = from(text).expect_err(text).to_string();
            assert!(said.contains(key), "{text}: {said}");
        }
    }

    #[test]
    fn a_flag_beats_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("soulbox.toml");
        std::fs::write(&path, "listen = '127.0.0.1:1'\nmax_sandboxes = 7").expect("written");
        let flags = Overrides {
            listen: Some("localhost:2".into()),
            ..Overrides::default()
        };
        let settings = Settings::resolve(flags, Some(&path)).expect("valid");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:2");
        assert_eq!(settings.max_sandboxes, 7);
    }
}
