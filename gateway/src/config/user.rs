//! Whom the gateway becomes. Read from `/etc/passwd` itself: a static program has no name
//! service, and a service account is always a local one.

use super::ConfigError;
use std::fs;

const PASSWD: &str = "/etc/passwd";
const PREFERRED: &str = "soulbox";
/// `nobody` on every Linux: it owns nothing.
const NOBODY: Account = Account {
    uid: 65_534,
    gid: 65_534,
};

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Account {
    /// The named account, or the default.
    pub fn find(wanted: Option<&str>) -> Result<Self, ConfigError> {
        let passwd = fs::read_to_string(PASSWD).unwrap_or_default();
        let Some(wanted) = wanted else {
            return Ok(by_name(&passwd, PREFERRED).unwrap_or(NOBODY));
        };
        let found = by_numbers(wanted).or_else(|| by_name(&passwd, wanted));
        let reason = |text: &str| ConfigError::Setting {
            key: "user",
            reason: text.to_owned(),
        };
        match found {
            None => Err(reason(&format!(
                "no user is called `{wanted}` in {PASSWD}; UID:GID works as well"
            ))),
            Some(Self { uid: 0, .. }) => Err(reason("the gateway must not run as root")),
            Some(account) => Ok(account),
        }
    }
}

fn by_numbers(text: &str) -> Option<Account> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Some(Account {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

fn by_name(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [found, _, uid, gid, ..] = fields[..] else {
            return None;
        };
        (found == name).then_some(())?;
        Some(Account {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbox:x:7:8::/:/bin/false\nbroken\n";
        assert_eq!(by_name(passwd, "box"), Some(Account { uid: 7, gid: 8 }));
        assert_eq!(by_name(passwd, "b"), None);
        assert_eq!(by_numbers("5:6"), Some(Account { uid: 5, gid: 6 }));
        assert_eq!(by_numbers("5"), Some(Account { uid: 5, gid: 5 }));
        assert!(Account::find(Some("0:0")).is_err());
    }
}
