//! Users and groups of the sandbox, from `/etc/passwd` and `/etc/group`.
//!
//! A static binary has no name service, and user code may rewrite both files at any time, so
//! they are read for each request, within a bound, and lines that make no sense are skipped.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// How much of each file is read, in bytes. Real ones have a few kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// Supplementary groups of a user. Linux allows 65536; nobody needs more than this.
const MAX_GROUPS: usize = 256;

/// A user as a process needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one included.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell; empty when the file names none.
    pub shell: String,
}

/// Looks a user up by name. `Ok(None)` when there is no such user.
pub fn find(name: &str) -> io::Result<Option<User>> {
    let passwd = read("/etc/passwd")?;
    let Some(mut user) = passwd
        .lines()
        .filter_map(parse_user)
        .find(|user| user.name == name)
    else {
        return Ok(None);
    };
    let groups = read("/etc/group").unwrap_or_default();
    user.groups = groups_of(&groups, name, user.gid);
    Ok(Some(user))
}

/// Name of a user number, for listings.
pub fn name_of(uid: u32) -> Option<String> {
    let passwd = read("/etc/passwd").ok()?;
    passwd
        .lines()
        .filter_map(parse_user)
        .find(|user| user.uid == uid)
        .map(|user| user.name)
}

/// Name of a group number, for listings.
pub fn group_name_of(gid: u32) -> Option<String> {
    let groups = read("/etc/group").ok()?;
    groups
        .lines()
        .filter_map(parse_group)
        .find(|group| group.1 == gid)
        .map(|group| group.0.into())
}

/// Number of a group.
pub fn group_number_of(name: &str) -> Option<u32> {
    let groups = read("/etc/group").ok()?;
    groups
        .lines()
        .filter_map(parse_group)
        .find(|group| group.0 == name)
        .map(|group| group.1)
}

fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `name:password:uid:gid:comment:home:shell`
fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields
        .nth(1)
        .filter(|home| home.starts_with('/'))
        .unwrap_or("/");
    let shell = fields.next().unwrap_or_default();
    Some(User {
        name: name.into(),
        uid,
        gid,
        groups: vec![gid],
        home: home.into(),
        shell: shell.into(),
    })
}

/// `name:password:gid:member,member`
fn parse_group(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

fn groups_of(groups: &str, name: &str, primary: u32) -> Vec<u32> {
    let mut numbers = vec![primary];
    for (_, gid, members) in groups.lines().filter_map(parse_group) {
        if numbers.len() == MAX_GROUPS {
            break;
        }
        if gid != primary && members.split(',').any(|member| member == name) {
            numbers.push(gid);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_make_no_sense_are_skipped() {
        for line in [
            "",
            ":",
            "a:b:c",
            "a:x:-1:0::/:",
            "#c",
            "x:y:1",
            "a:x:99999999999:0::/:",
        ] {
            assert_eq!(parse_user(line), None, "{line}");
        }
        let user = parse_user("user:x:1000:1001:A,B:/home/user:/bin/bash").unwrap();
        assert_eq!((user.uid, user.gid), (1000, 1001));
        assert_eq!(
            (user.home.as_path(), user.shell.as_str()),
            ("/home/user".as_ref(), "/bin/bash")
        );
    }

    #[test]
    fn supplementary_groups_come_from_member_lists() {
        let groups = "root:x:0:\nsudo:x:27:other,user\nuser:x:1000:\nbad\naudio:x:29:user\n";
        assert_eq!(groups_of(groups, "user", 1000), [1000, 27, 29]);
    }
}
