//! The other half of the stories: a program that is the first process of a cell, reads
//! commands as lines from its channel, and answers each with one line.

use std::{
    fs::{self, File},
    io::{self, BufRead, Write},
    path::Path,
    process::{Command, Stdio},
};

/// Runs until the channel ends.
pub fn run() -> ! {
    for fd in [io::stdin().lock().as_raw(), io::stdout().lock().as_raw()] {
        // gVisor hands over descriptors that do not block.
        let flags = rustix::fs::fcntl_getfl(fd).expect("a descriptor");
        let flags = flags - rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(fd, flags).expect("a descriptor");
    }
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line");
        let answer = obey(&line).unwrap_or_else(|error| format!("error {error}"));
        let mut out = io::stdout().lock();
        writeln!(out, "{}", answer.replace('\n', " ")).expect("the channel");
        out.flush().expect("the channel");
    }
    std::process::exit(0)
}

trait Raw {
    fn as_raw(&self) -> std::os::fd::BorrowedFd<'static>;
}

impl<T: std::os::fd::AsRawFd> Raw for T {
    fn as_raw(&self) -> std::os::fd::BorrowedFd<'static> {
        // SAFETY: standard input and output stay open for the whole life of this program.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

fn obey(line: &str) -> io::Result<String> {
    let words: Vec<_> = line.split(' ').collect();
    Ok(match words.as_slice() {
        ["echo", rest @ ..] => rest.join(" "),
        ["read", path] => fs::read_to_string(path)?.trim().to_owned(),
        ["list", path] => list(path)?,
        ["descriptors"] => descriptors()?,
        ["write", path, text] => fs::write(path, text).map(|()| "ok".into())?,
        ["fill", path, mib] => fill(path, mib.parse().expect("a number"))?,
        ["mode", path] => format!("{:o}", mode(path)?),
        ["alloc", mib] => alloc(mib.parse().expect("a number")),
        ["sleepers", count] => sleepers(count.parse().expect("a number")),
        ["child", rest @ ..] => child(&rest.join(" "))?,
        ["become", id] => become_user(id.parse().expect("a number"))?,
        ["syscall", name] => super::forbidden::attempt(name),
        ["exit", code] => std::process::exit(code.parse().expect("a number")),
        _ => "what?".into(),
    })
}

fn list(path: &str) -> io::Result<String> {
    let mut names: Vec<_> = fs::read_dir(path)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names.join(" "))
}

/// What this process holds open besides its standard streams and this directory itself.
fn descriptors() -> io::Result<String> {
    let mut found = Vec::new();
    for number in 3..256 {
        if let Ok(target) = fs::read_link(format!("/proc/self/fd/{number}")) {
            found.push(format!("{number}={}", target.display()));
        }
    }
    Ok(found.join(" "))
}

fn mode(path: &str) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(Path::new(path))?.mode())
}

/// Writes until it is done or the disk is full; says how far it came.
fn fill(path: &str, mib: usize) -> io::Result<String> {
    let mut file = File::create(path)?;
    let block = vec![7; 1 << 20];
    for written in 0..mib {
        if let Err(error) = file.write_all(&block).and_then(|()| file.sync_data()) {
            return Ok(format!("full {written} {:?}", error.kind()));
        }
    }
    Ok("ok".into())
}

fn alloc(mib: usize) -> String {
    let mut held = Vec::new();
    for _ in 0..mib {
        held.push(vec![7_u8; 1 << 20]);
    }
    format!(
        "ok {}",
        held.iter()
            .map(|block| usize::from(block[4096]))
            .sum::<usize>()
    )
}

/// Starts children that sleep; says how many could be started.
fn sleepers(count: usize) -> String {
    let mut started = 0;
    for _ in 0..count {
        // Sleepers must not keep the pipe open that their parent's answer goes through.
        let mut sleeper = Command::new("/opt/soulbox/bin/soulbox-agent");
        sleeper
            .arg("sleep")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        match sleeper.stderr(Stdio::null()).spawn() {
            Ok(_) => started += 1,
            Err(error) => return format!("{started} {:?}", error.kind()),
        }
    }
    format!("{started} all")
}

/// Obeys one command in a child, so that what it does to itself stays there.
fn child(line: &str) -> io::Result<String> {
    let output = Command::new("/opt/soulbox/bin/soulbox-agent")
        .args(["obey", line])
        .output()?;
    Ok(match output.status.success() {
        true => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        false => format!("child {}", output.status),
    })
}

/// The child of [`child`]: several commands, divided by semicolons; the last answer counts.
pub fn obey_once(lines: &str) -> ! {
    let mut last = String::new();
    for line in lines.split(';') {
        last = obey(line.trim()).unwrap_or_else(|error| format!("error {error}"));
    }
    println!("{last}");
    std::process::exit(0)
}

fn become_user(id: u32) -> io::Result<String> {
    let (uid, gid) = (
        rustix::process::Uid::from_raw(id),
        rustix::process::Gid::from_raw(id),
    );
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok("ok".into())
}
