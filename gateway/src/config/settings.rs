//! Every setting: its name, its text in `--help`, its default and its check.

use super::{ConfigError, file};
use clap::Args;
use serde::{Deserialize, Serialize};
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
    /// Domain that sandboxes are told to be under, if the clients' own is not right
    #[arg(long, env = "SOULBOX_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,
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
    /// Domain told to clients.
    pub domain: Option<String>,
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
        Ok(Self {
            listen: listen(
                flags
                    .listen
                    .or(file.listen)
                    .as_deref()
                    .unwrap_or(DEFAULT_LISTEN),
            )?,
            isolation: isolation(flags.isolation.or(file.isolation).as_deref())?,
            user: flags.user.or(file.user),
            domain: domain(flags.domain.or(file.domain))?,
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

fn wrong(key: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Setting {
        key,
        reason: reason.into(),
    }
}

fn absolute(key: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| wrong(key, error.to_string()))
}

fn listen(text: &str) -> Result<SocketAddr, ConfigError> {
    // There is no name service in a static binary, and the one name that people use is known.
    let address = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    SocketAddr::from_str(address.as_deref().unwrap_or(text)).map_err(|_| {
        wrong(
            "listen",
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

fn domain(text: Option<String>) -> Result<Option<String>, ConfigError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
    match text {
        Some(text) if text.is_empty() || !text.bytes().all(fits) => Err(wrong(
            "domain",
            format!("expected a host name such as box.example.org, not `{text}`"),
        )),
        text => Ok(text),
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
            ("pool = ['base']", "`pool`"),
            ("egress_allow = ['10.0.0.0/40']", "`egress_allow`"),
            ("egress_dns = ['dns.example']", "`egress_dns`"),
            ("domain = 'a b'", "`domain`"),
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
